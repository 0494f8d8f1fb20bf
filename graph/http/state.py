"""What the routes of `/graphql` find in `request.state`: all of it is opened by the lifespan."""

from starlette.requests import Request
from starlette.websockets import WebSocket

from auth.dependencies import AuthState
from fleet.federation import Federation
from fleet.live.usage_cache import UsageCache
from fleet.ports import MetricStore
from graph.http.persisted import Documents
from graph.limits.limits import Limits
from graph.loading.timeslice import TimeSlices
from graph.subscriptions.hub import Hub


class GraphState(AuthState):
    """`request_timeout` is in seconds; `compiled` lets plain selections be read by generated code."""

    federation: Federation
    metric_store: MetricStore
    documents: Documents
    live: Hub
    request_timeout: float
    limits: Limits
    compiled: bool
    time_slices: TimeSlices
    held_usage: UsageCache


GraphRequest = Request[GraphState]
GraphSocket = WebSocket[GraphState]
