"""Questions to a metric store as spans. Source: OpenTelemetry, semantic conventions for database client spans."""

from urllib.parse import urlsplit

from fleet.aio import tracing
from fleet.aio.tracing import Kind, Span, Value


def begin_store_span(system: str, operation: str, *, place: str = "", database: str = "") -> Span | None:
    """Of a question that is sent now; None where it is for nothing that is traced. No query is told: it has names."""
    attributes: dict[str, Value] = {"db.system.name": system, "db.operation.name": operation}
    if database:
        attributes["db.namespace"] = database
    if place:
        parts = urlsplit(place)
        attributes["server.address"] = parts.hostname or ""
        if parts.port is not None:
            attributes["server.port"] = parts.port
    return tracing.child(f"{operation} {database or system}", attributes, Kind.CLIENT)
