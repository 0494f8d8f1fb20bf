"""The application: both faces, health, errors, and nothing of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from fastapi import FastAPI
from starlette.types import ASGIApp

from graph.http.router import GRAPH_PATH, build_graph_router, serve_graphql
from rest_compat.router import build_cluster_apis, build_rest_router
from server.asgi.fast_path import Direct
from server.errors import install_error_handlers
from server.health import build_health_router
from server.lifespan import OpenState
from server.requests import RequestLog
from server.settings.groups import Settings


def create_app(settings: Settings, open_state: OpenState) -> ASGIApp:
    """The application; what it works with is opened by `open_state` when it starts and closed when it ends.

    Paths are served as they are: yesterday's clients end some with a slash and follow no redirect.
    """

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with open_state(settings) as state:
            yield cast("dict[str, Any]", state)

    app = FastAPI(
        title="openmcp-apiserver",
        lifespan=lifespan,
        redirect_slashes=False,
        docs_url=None,
        redoc_url=None,
        openapi_url=None,
    )
    app.include_router(build_health_router(detailed=False))
    app.include_router(build_graph_router())
    apis = build_cluster_apis()
    app.include_router(build_rest_router(apis))
    install_error_handlers(app)
    # Around the framework and not among its middleware: its own layers stay out of the way of what is served directly.
    return RequestLog(Direct(app, {GRAPH_PATH: serve_graphql}, apis))
