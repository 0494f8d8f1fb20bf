"""`/api...` and `/apis...` with `?clustername=`: the Kubernetes API of one cluster, passed through."""

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response
from starlette.websockets import WebSocket

from auth.dependencies import CurrentPrincipal
from auth.policy import authorize_request
from fleet.federation import Federation
from fleet.ports import Connection
from fleet.request_info import RequestInfo, parse_request
from rest_compat.errors import (
    ErrorShape,
    NotServed,
    build_error_shape,
    build_kubernetes_answer,
    build_route_class,
    build_status_answer,
)
from rest_compat.parameters import read_parameter, read_path, read_query, split_clustername
from rest_compat.passthrough import MemberCall, PassThrough

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

WRITE_TIMEOUT = 65.0
"""Seconds a write may take: an API server itself gives up after 60, and only its own word says what came of it."""

FOLLOW_TIMEOUT = 24 * 3600.0
"""Seconds until the head of a followed log: older API servers send it with the first line only."""

_INTERACTIVE = frozenset({"exec", "attach", "portforward"})


def build_proxy_router() -> APIRouter:
    """The routes; every path below `/api` and `/apis` is one of them, with or without a slash at its end."""
    router = APIRouter(route_class=build_route_class(build_kubernetes_answer), include_in_schema=False)
    for prefix in ("/api", "/apis"):
        for path in (prefix, f"{prefix}/{{rest:path}}"):
            router.add_api_route(path, pass_on, methods=METHODS, response_model=None)
            router.add_api_websocket_route(path, refuse_websocket)
    return router


async def pass_on(request: Request, principal: CurrentPrincipal) -> Response:
    """Authorizes the request for what it is about and answers what the member answers."""
    cluster, query = split_clustername(read_query(request))
    path = read_path(request)
    info = parse_request(request.method, path, query)
    authorize_request(principal, cluster, info)
    _refuse_interactive(request, info)
    federation: Federation = request.state.federation
    connection = federation.get_connection(principal.scope, cluster)
    return PassThrough(_build_call(request, connection, path, query, info), build_error_shape(request))


async def refuse_websocket(websocket: WebSocket) -> None:
    """Says that streams over WebSocket are not passed on."""
    shape = ErrorShape(widened=False, with_spec=False)
    await websocket.send_denial_response(build_status_answer(shape, _not_interactive()))


def _refuse_interactive(request: Request, info: RequestInfo) -> None:
    upgrade = request.headers.get("upgrade", "").lower()
    if info.subresource in _INTERACTIVE or upgrade.startswith(("websocket", "spdy/")):
        raise _not_interactive()


def _not_interactive() -> NotServed:
    return NotServed("exec, attach, port-forward and watches over WebSocket are not passed on by this server")


def _build_call(request: Request, connection: Connection, path: str, query: str, info: RequestInfo) -> MemberCall:
    bound: float = request.state.request_timeout
    foreign = info.subresource == "proxy"
    follows = info.subresource == "log" and read_parameter(query, "follow") not in (None, "false", "0")
    reads = request.method in ("GET", "HEAD", "OPTIONS")
    return MemberCall(
        connection=connection,
        method=request.method,
        path=path,
        query=query,
        headers=request.scope["headers"],
        timeout=FOLLOW_TIMEOUT if follows else bound if reads else WRITE_TIMEOUT,
        idle_timeout=None if follows or foreign or info.verb == "watch" else bound,
        foreign=foreign,
    )
