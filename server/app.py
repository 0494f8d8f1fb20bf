"""The application: both faces, health, errors, and nothing of its own."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, cast

from fastapi import APIRouter, FastAPI
from starlette.routing import Route
from starlette.types import ASGIApp

from graph.http.router import GRAPH_PATHS, build_graph_router, serve_graphql
from rest_compat.router import PASSED_ON, build_legacy_apis
from server.address_rate import AddressRate
from server.asgi.audit import Audit
from server.asgi.compression import Compression
from server.asgi.cors import CrossOrigin
from server.asgi.fast_path import FastPath
from server.asgi.requests import Routes
from server.errors import install_error_handlers
from server.health import build_health_router
from server.index import build_index_router
from server.lifespan import OpenState
from server.oidc import build_oidc_router
from server.openapi import build_openapi_router
from server.request_log import RequestLog
from server.settings.groups import Settings


def create_app(settings: Settings, open_state: OpenState) -> ASGIApp:
    """Both faces and health; what they work with is opened by `open_state` at the start and closed at the end."""
    app = build_framework(settings, open_state)
    routers = build_routers()
    for router in routers:
        app.include_router(router)
    install_error_handlers(app)
    # Around the framework and not among its middleware: its own layers stay out of the way of what is served directly.
    traffic = settings.traffic
    apis = build_legacy_apis(traffic.user_streams, traffic.user_calls)
    legacy = {at: api if at in PASSED_ON else Compression(api) for at, api in apis.items()}
    fast = FastPath(Compression(app), dict.fromkeys(GRAPH_PATHS, serve_graphql), legacy)
    # Of the routers, since the application does not say what it includes.
    paths = [route.path for router in routers for route in router.routes if isinstance(route, Route)]
    routes = Routes([*GRAPH_PATHS, *apis, *paths])
    spans = None
    if settings.tracing.traced:
        from server.tracing.requests import RequestSpans

        spans = RequestSpans(routes)
    served = RequestLog(Audit(AddressRate(fast, traffic.address_rate)), routes, spans)
    return CrossOrigin(served, settings.http.cors_origins) if settings.http.cors_origins else served


def build_routers() -> list[APIRouter]:
    """All that the framework routes; what is served around it is `build_legacy_apis`."""
    return [
        build_health_router(detailed=False),
        build_graph_router(),
        build_index_router(),
        build_openapi_router(),
        build_oidc_router(),
    ]


def build_framework(settings: Settings, open_state: OpenState) -> FastAPI:
    """An application without routes. Paths are served as they are: yesterday's clients follow no redirect."""

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with open_state(settings) as state:
            yield cast("dict[str, Any]", state)

    return FastAPI(lifespan=lifespan, redirect_slashes=False, docs_url=None, redoc_url=None, openapi_url=None)
