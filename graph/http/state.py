"""What the routes of `/graphql` find in `request.state`: all of it is opened by the lifespan."""

from collections.abc import Callable
from typing import NotRequired

from starlette.requests import Request
from starlette.websockets import WebSocket

from auth.dependencies import AuthState
from fleet.federation import Federation
from fleet.live.usage_cache import UsageCache
from fleet.model.redaction import EnvValues
from fleet.ports import MetricStore
from graph.http.persisted import Documents
from graph.limits.limits import Limits
from graph.loading.timeslice import TimeSlices
from graph.subscriptions.hub import Hub


class GraphState(AuthState):
    """`request_timeout` is in seconds; `compiled` lets plain selections be read by generated code.

    `arrived_at` is when a request's head was whole, in the loop's time, where the server says it;
    `hang_up` is what the server calls when the client is gone.
    """

    federation: Federation
    metric_store: MetricStore
    documents: Documents
    live: Hub
    request_timeout: float
    limits: Limits
    compiled: bool
    time_slices: TimeSlices
    held_usage: UsageCache
    redact_env: NotRequired[EnvValues]
    arrived_at: NotRequired[float]
    hang_up: NotRequired[Callable[[], None] | None]


GraphRequest = Request[GraphState]
GraphSocket = WebSocket[GraphState]
