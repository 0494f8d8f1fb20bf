"""All legacy routes in one router, mounted without a prefix."""

from collections.abc import Mapping

from fastapi import APIRouter
from starlette.routing import Route
from starlette.types import ASGIApp

from rest_compat.clusters import ClusterApi
from rest_compat.open_streams import OpenStreams
from rest_compat.proxy import ClusternameApi
from rest_compat.routes.join import build_join_router
from rest_compat.routes.joinable import build_joinable_router
from rest_compat.routes.metrics import build_metrics_router
from rest_compat.routes.status import build_status_router
from rest_compat.routes.token import build_token_router


def build_cluster_apis() -> dict[str, ASGIApp]:
    """What passes requests on to clusters, as plain ASGI, by the first segment of the path."""
    streams = OpenStreams()
    named_in_query = ClusternameApi(streams)
    return {"api": named_in_query, "apis": named_in_query, "clusters": ClusterApi(streams)}


def build_rest_router(apis: Mapping[str, ASGIApp] | None = None) -> APIRouter:
    """`/token`, `/api...`, `/apis...`, `/clusters/...`, `/metrics...`, `/status`, `/joinable`, `/join`, `/joinCloud`.

    They find `rest_compat.request.RestState` in the lifespan's state. The application must not redirect slashes: these
    paths are served with and without one at their end.
    """
    router = APIRouter(include_in_schema=False)
    parts = (
        build_token_router(),
        build_metrics_router(),
        build_status_router(),
        build_joinable_router(),
        build_join_router(),
    )
    for part in parts:
        router.include_router(part)
    for segment, api in (build_cluster_apis() if apis is None else apis).items():
        router.routes += [Route(f"/{segment}", api), Route(f"/{segment}/{{rest:path}}", api)]
    return router
