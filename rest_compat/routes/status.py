"""`/status` with `?clustername=`: the platform's scores of a cluster in the shape the original answered."""

import json
from decimal import Decimal

from starlette.responses import Response
from starlette.types import ASGIApp

from auth.policy import authorize_request
from auth.principal import Principal
from fleet.aio.request_context import note_call
from fleet.model.cluster_status import ClusterStatus, StatusStore
from fleet.model.errors import Forbidden
from fleet.model.request_info import RequestInfo
from rest_compat.parameters import read_query, split_clustername
from rest_compat.request import Request
from rest_compat.resource_metrics import ask_store
from rest_compat.routes.metrics import read_range
from rest_compat.routing import build_json, build_null, build_reading_route
from rest_compat.times import format_time

MAX_STATUSES = 10_000
"""The newest points of a range that are answered: at the platform's two seconds more than five hours."""

_MEASURES = ("cpu", "memory", "disk", "network", "latency")


def build_status_routes() -> dict[str, ASGIApp]:
    route = build_reading_route(answer_status, lambda request, error: build_null(request, "cluster_status", error))
    return {"/status": route, "/status/": route}


async def answer_status(request: Request, principal: Principal) -> Response:
    """The points of a cluster. A store that the platform's analysis does not write to has none."""
    named, _ = split_clustername(read_query(request))
    federation = request.state["federation"]
    cluster = federation.resolve_name(principal.scope, named)
    note_call(cluster, "status")
    # Sums over all nodes: who reads the nodes' usage reads these.
    info = RequestInfo(verb="list", is_resource=True, api_group="metrics.k8s.io", version="v1beta1", resource="nodes")
    authorize_request(principal, cluster, info)
    if principal.scope.granted is not None and not principal.scope.sees_all_namespaces(cluster, "nodes"):
        raise Forbidden(f"{cluster} does not let user {principal.name[:100]!r} list nodes, of which these are sums")
    start, end = read_range(request)
    store, statuses = request.state["metric_store"], list[ClusterStatus]()
    if isinstance(store, StatusStore):
        asked = store.cluster_statuses(cluster, start_ns=start, end_ns=end, limit=MAX_STATUSES)
        statuses = await ask_store(asked, request.state["request_timeout"])
    return build_json({"cluster_status": [_build_entry(cluster, status) for status in statuses] or None})


def _build_entry(cluster: str, status: ClusterStatus) -> dict[str, str]:
    entry = {"time": format_time(status.time_ns), "cluster": cluster}
    entry |= {f"{name}_score": format_score(getattr(status, f"{name}_score")) for name in _MEASURES}
    return entry | {f"{name}_warning": format_score(getattr(status, f"{name}_warning")) for name in _MEASURES}


def format_score(value: float | None) -> str:
    """A number or a truth as Go's JSON writes it, which the original had from its store; empty where there is none."""
    if value is None or isinstance(value, bool):
        return "" if value is None else json.dumps(value)
    shortest = repr(float(value))
    if value and not 1e-6 <= abs(value) < 1e21:
        return shortest.removesuffix(".0").replace("e-0", "e-")
    return f"{Decimal(shortest):f}".removesuffix(".0")
