"""`/api...` and `/apis...` with `?clustername=`: the Kubernetes API of one cluster, passed through."""

from collections.abc import Awaitable, Callable

from fastapi import APIRouter
from starlette.requests import Request
from starlette.responses import Response

from auth.dependencies import CurrentPrincipal
from rest_compat.api_calls import ApiCall, build_answer
from rest_compat.errors import build_error_shape, build_kubernetes_answer, build_route_class
from rest_compat.exec_words import answer_exec, is_word_exec
from rest_compat.open_streams import OpenStreams
from rest_compat.parameters import read_path, read_query, split_clustername

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]


def build_proxy_router(streams: OpenStreams) -> APIRouter:
    """The routes; every path below `/api` and `/apis` is one of them, with or without a slash at its end."""
    router = APIRouter(route_class=build_route_class(build_kubernetes_answer), include_in_schema=False)
    pass_on = _build_endpoint(streams)
    for prefix in ("/api", "/apis"):
        for path in (prefix, f"{prefix}/{{rest:path}}"):
            router.add_api_route(path, pass_on, methods=METHODS, response_model=None)
    return router


def _build_endpoint(streams: OpenStreams) -> Callable[[Request, CurrentPrincipal], Awaitable[Response]]:
    async def pass_on(request: Request, principal: CurrentPrincipal) -> Response:
        """Authorizes the request for what it is about and answers what the member answers."""
        cluster, query = split_clustername(read_query(request))
        shape = build_error_shape(request)
        call = ApiCall(cluster=cluster, path=read_path(request), query=query, shape=shape, patient=False)
        if is_word_exec(request, call):
            return await answer_exec(request, principal, call, streams)
        return build_answer(request, principal, call, streams)

    return pass_on
