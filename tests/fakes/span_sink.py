"""Where a collector posts what it got: OTLP as JSON over HTTP, kept as spans with plain attributes."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from msgspec import Struct


class Received(Struct, frozen=True):
    """A span as the collector handed it on; `service` is whose."""

    service: str
    name: str
    kind: int
    trace_id: str
    span_id: str
    parent_id: str
    attributes: dict[str, Any]
    failed: bool
    state: str


class SpanSink:
    """All spans so far. `url` is where they are posted below; with another `status` than 200 none is taken."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.status = 200
        self.spans: list[Received] = []
        self.raw: list[bytes] = []
        """What came in protobuf, from a server that posts here itself."""

    def of(self, trace_id: str) -> list[Received]:
        return [span for span in self.spans if span.trace_id == trace_id]

    def find(self, trace_id: str, name: str) -> Received | None:
        return next((span for span in self.of(trace_id) if span.name == name), None)

    def take(self, body: bytes) -> None:
        for resource in json.loads(body)["resourceSpans"]:
            service = _read(resource["resource"]["attributes"])["service.name"]
            for scope in resource["scopeSpans"]:
                self.spans += [_build(service, span) for span in scope["spans"]]


@contextmanager
def open_span_sink() -> Iterator[SpanSink]:
    """A sink on loopback, until the `with` is left."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            if sink.status == 200:
                sink.take(body) if self.headers["Content-Type"] == "application/json" else sink.raw.append(body)
            self.send_response(sink.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"{}")

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        sink = SpanSink(f"http://127.0.0.1:{server.server_port}")
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        try:
            yield sink
        finally:
            server.shutdown()
            thread.join()


def _build(service: str, span: dict[str, Any]) -> Received:
    return Received(
        service,
        span["name"],
        span.get("kind", 0),
        span["traceId"],
        span["spanId"],
        span.get("parentSpanId", ""),
        _read(span.get("attributes", [])),
        span.get("status", {}).get("code") == 2,
        span.get("traceState", ""),
    )


def _read(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    return {each["key"]: _value(each["value"]) for each in attributes}


def _value(value: dict[str, Any]) -> Any:
    ((kind, found),) = value.items()
    return int(found) if kind == "intValue" else found
