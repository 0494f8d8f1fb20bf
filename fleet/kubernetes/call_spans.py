"""Calls to a member as spans. Source: OpenTelemetry, semantic conventions for HTTP client spans."""

from contextlib import AbstractContextManager, suppress
from urllib.parse import urlsplit

from fleet.aio import tracing
from fleet.aio.tracing import Kind, Span
from fleet.model.errors import InvalidQuery
from fleet.model.request_info import build_route, parse_request
from fleet.ports import Call

_DEFAULT_PORTS = {"http": 80, "https": 443}

CONTEXT = frozenset({b"traceparent", b"tracestate"})
"""The headers that `write_context` writes."""


class CallSpans:
    """Those of one member, which is at `endpoint`."""

    def __init__(self, cluster: str, endpoint: str) -> None:
        parts = urlsplit(endpoint)
        self._place = f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        self._known: dict[str, tracing.Value] = {
            "k8s.cluster.name": cluster,
            "server.address": parts.hostname or "",
            "server.port": parts.port or _DEFAULT_PORTS.get(parts.scheme, 0),
        }

    def begin(self, call: Call) -> Span | None:
        """The span of a call that is sent now, to be ended; None where it is for nothing that is traced."""
        parent = tracing.current_span()
        if parent is None or not parent.sampled:
            return None
        attributes = {"http.request.method": call.method, **self._known}
        route = ""
        with suppress(InvalidQuery):  # whoever sends it will say so
            route = build_route(parse_request(call.method, call.path, call.query))
        if route:
            attributes["url.template"] = route
        # Behind `proxy` is another server's path, and a query may hold a command or a secret.
        attributes["url.full"] = self._place + call.path.partition("/proxy/")[0]
        return tracing.child(f"{call.method} {route}".rstrip(), attributes, Kind.CLIENT)

    def around(self, call: Call) -> AbstractContextManager[Span | None]:
        """The same, for a `with`."""
        return self.begin(call) or tracing.UNTRACED


def write_context(span: Span) -> bytes:
    """Lines of a request's head: whose trace it is of."""
    lines = b"traceparent: %b\r\n" % span.traceparent
    return lines + b"tracestate: %b\r\n" % span.state if span.state else lines
