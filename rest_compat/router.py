"""All legacy routes in one router, mounted without a prefix."""

from fastapi import APIRouter

from rest_compat.clusters import build_cluster_routes
from rest_compat.metrics import build_metrics_router
from rest_compat.open_streams import OpenStreams
from rest_compat.proxy import build_proxy_router
from rest_compat.token import build_token_router


def build_rest_router() -> APIRouter:
    """`/token`, `/api...`, `/apis...`, `/clusters/...` and `/metrics...`.

    They find `federation`, `metric_store`, `authenticator` and `request_timeout` (seconds) in the lifespan's state. The
    application must not redirect slashes: these paths are served with and without one at their end.
    """
    router = APIRouter(include_in_schema=False)
    streams = OpenStreams()
    for part in (build_token_router(), build_proxy_router(streams), build_metrics_router()):
        router.include_router(part)
    router.routes += build_cluster_routes(streams)
    return router
