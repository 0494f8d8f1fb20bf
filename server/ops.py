"""The operators' application: probes with names and reasons, and figures in Prometheus' text format (0.0.4)."""

import time
from typing import cast

from fastapi import APIRouter, FastAPI
from starlette.responses import PlainTextResponse, Response

from server.app import build_framework
from server.figures.own import build_own_exposition
from server.health import build_health_router
from server.lifespan import OpenState, State, StateRequest
from server.settings.groups import Settings
from server.workers.peers import Peers

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def create_ops_app(settings: Settings, open_state: OpenState, peers: Peers | None = None) -> FastAPI:
    """The application of the ops port. It asks for no token: the port is not for users.

    With `peers`, the other workers on this port, figures are those of all workers, each with a label `worker`.
    """
    app = build_framework(settings, open_state)
    app.include_router(build_health_router(detailed=True))
    app.include_router(_build_metrics_router(peers, time.time()))
    return app


def _build_metrics_router(peers: Peers | None, started_at: float) -> APIRouter:
    router = APIRouter()

    @router.api_route("/metrics", methods=["GET", "HEAD"], include_in_schema=False)
    async def metrics(request: StateRequest) -> Response:
        own = build_own_exposition(cast("State", request.scope["state"]), started_at)
        text = own if peers is None else await peers.merge(own)
        return PlainTextResponse(text, media_type=CONTENT_TYPE)

    return router
