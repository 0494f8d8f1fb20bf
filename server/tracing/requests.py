"""Requests as spans. Source: OpenTelemetry, semantic conventions for HTTP server spans."""

from starlette.types import Scope

from fleet.aio import tracing
from fleet.aio.request_context import RequestContext
from fleet.aio.tracing import Kind, Span
from fleet.model.request_info import build_route
from server.asgi.requests import OTHER, Routes

_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
_PROBES = frozenset({"/healthz", "/readyz"})


class RequestSpans:
    """The spans of requests, which the layer around all others begins and ends."""

    def __init__(self, routes: Routes) -> None:
        self._routes = routes

    def begin(self, scope: Scope, request: RequestContext) -> Span | None:
        """The span of a request, to be ended by its `with`; None of one that is not traced."""
        if tracing.tracer is None or scope["path"] in _PROBES:
            return None
        method = scope.get("method", "GET")
        name = method if method in _METHODS else "HTTP"
        span = tracing.tracer.begin(name, Kind.SERVER, {}, scope["headers"])
        if span.sampled:
            request.trace_id = f"{span.trace_id:032x}"
            span.attributes = {
                "http.request.method": method if method in _METHODS else "_OTHER",
                # What is behind a proxy of a member is another server's own, and may be a secret.
                "url.path": scope["path"].partition("/proxy/")[0],
                "url.scheme": scope["scheme"],
                "client.address": scope["client"][0] if scope.get("client") else "",
                "openmcp.request.id": request.request_id,
            }
        return span

    def describe(self, span: Span, scope: Scope, status: int) -> None:
        """Says what is known only once it was answered; a status of 0 is none."""
        if not span.sampled:
            return
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
