"""The operators' application: probes with names and reasons, and figures as Prometheus reads them."""

import asyncio
from typing import cast

from fastapi import APIRouter, FastAPI
from starlette.responses import Response

from server.app import build_framework
from server.asgi.compression import Compression
from server.figures.exposition import build_exposition, merge_expositions, pick_type
from server.figures.process import Serving
from server.health import build_health_router
from server.lifespan import OpenState, State, StateRequest
from server.settings.groups import Settings
from server.workers.peers import Peers


def create_ops_app(
    settings: Settings, open_state: OpenState, peers: Peers | None = None, serving: Serving | None = None
) -> FastAPI:
    """The application of the ops port. It asks for no token: the port is not for users.

    With `peers`, the other workers on this port, figures are those of all workers, each with a label `worker`.
    """
    app = build_framework(settings, open_state)
    app.add_middleware(Compression)
    app.include_router(build_health_router(detailed=True))
    app.include_router(_build_metrics_router(peers, serving))
    return app


def _build_metrics_router(peers: Peers | None, serving: Serving | None) -> APIRouter:
    router = APIRouter()

    @router.api_route("/metrics", methods=["GET", "HEAD"], include_in_schema=False)
    async def metrics(request: StateRequest) -> Response:
        content_type = pick_type(request.headers.get("accept", ""))
        text = await build_exposition(cast("State", request.scope["state"]), content_type, serving)
        if peers is not None:
            text = await asyncio.to_thread(merge_expositions, await peers.load(content_type, text))
        return Response(text, headers={"content-type": content_type, "vary": "accept"})

    return router
