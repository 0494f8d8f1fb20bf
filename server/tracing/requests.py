"""Requests as spans, as raw ASGI. Source: OpenTelemetry, semantic conventions for HTTP server spans."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleet.aio import tracing
from fleet.aio.request_context import current_request
from fleet.aio.tracing import Kind, Span, Tracer
from fleet.model.request_info import build_route
from server.asgi.requests import OTHER, Routes

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PROBES = frozenset({"/healthz", "/readyz"})


class Traced:
    """An application whose requests are spans."""

    def __init__(self, app: ASGIApp, routes: Routes) -> None:
        self._app = app
        self._routes = routes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        tracer = tracing.tracer
        if tracer is None or scope["type"] not in ("http", "websocket") or scope["path"] in _PROBES:
            await self._app(scope, receive, send)
            return
        status = 0

        async def send_on(message: Message) -> None:
            nonlocal status
            kind = message["type"]
            if kind == "http.response.start":
                status = message["status"]
            elif kind == "websocket.accept":
                status = 101
            await send(message)

        with _begin(tracer, scope) as span:
            try:
                await self._app(scope, receive, send_on)
            finally:
                if span.sampled:
                    self._describe(span, scope, status)

    def _describe(self, span: Span, scope: Scope, status: int) -> None:
        """What is known only once it was answered."""
        if status:
            span.note_status(status, 500)
        cluster, info = scope.get("call", (None, None))
        route = build_route(info) if info is not None else self._routes.find(scope["path"])
        if cluster is not None:
            span.attributes["k8s.cluster.name"] = cluster
            if route and scope["path"].startswith("/clusters/"):
                route = f"/clusters/{{cluster}}{route}"
        if route and route != OTHER:
            span.attributes["http.route"] = route
            span.name = f"{span.name} {route}"


def _begin(tracer: Tracer, scope: Scope) -> Span:
    method = scope.get("method", "GET")
    if method not in _METHODS:
        method = "_OTHER"
    span = tracer.begin("HTTP" if method == "_OTHER" else method, Kind.SERVER, {}, scope["headers"])
    if not span.sampled:
        return span
    span.attributes = {
        "http.request.method": method,
        # What is behind a proxy of a member is another server's own, and may be a secret.
        "url.path": scope["path"].partition("/proxy/")[0],
        "url.scheme": scope["scheme"],
    }
    if scope.get("client"):
        span.attributes["client.address"] = scope["client"][0]
    if (request := current_request()) is not None:
        span.attributes["openmcp.request.id"] = request.request_id
        request.trace_id = f"{span.trace_id:032x}"
    return span
