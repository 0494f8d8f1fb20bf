"""All legacy routes in one router, mounted without a prefix."""

from fastapi import APIRouter

from rest_compat.clusters import build_cluster_routes
from rest_compat.join import build_join_router
from rest_compat.joinable import build_joinable_router
from rest_compat.metrics import build_metrics_router
from rest_compat.open_streams import OpenStreams
from rest_compat.proxy import build_proxy_router
from rest_compat.status import build_status_router
from rest_compat.token import build_token_router


def build_rest_router() -> APIRouter:
    """`/token`, `/api...`, `/apis...`, `/clusters/...`, `/metrics...`, `/status`, `/joinable`, `/join`, `/joinCloud`.

    They find `federation`, `metric_store`, `authenticator`, `request_timeout` (seconds) and, where the last three are
    to differ from its defaults, `platform` (`rest_compat.platform.PlatformOptions`) in the lifespan's state. The
    application must not redirect slashes: these paths are served with and without one at their end.
    """
    router = APIRouter(include_in_schema=False)
    streams = OpenStreams()
    parts = (
        build_token_router(),
        build_proxy_router(streams),
        build_metrics_router(),
        build_status_router(),
        build_joinable_router(),
        build_join_router(),
    )
    for part in parts:
        router.include_router(part)
    router.routes += build_cluster_routes(streams)
    return router
