"""`/metrics/...` with `?clustername=`: stored usage of one node or pod in the shapes the original answered."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from json.encoder import encode_basestring
from typing import Any, TypeVar

from starlette.responses import Response, StreamingResponse
from starlette.types import ASGIApp

from auth.policy import authorize_request
from auth.principal import Principal
from fleet.aio.request_context import note_call
from fleet.model.errors import FleetError, Forbidden, NotFound
from fleet.model.kinds import NODES, PODS, ObjectKind
from fleet.model.objects import NodeKey, PodKey
from fleet.model.quantities import format_kibibytes, format_nanocores
from fleet.model.request_info import RequestInfo
from fleet.model.usage import Kind, Point
from rest_compat.parameters import read_parameter, read_query, split_clustername
from rest_compat.request import Request
from rest_compat.resource_metrics import ask_store
from rest_compat.routing import build_null, build_reading_route
from rest_compat.times import format_time, parse_time

MAX_POINTS = 100_000
"""The newest points of a range that are answered: a week at the platform's five seconds has 120,960."""

T = TypeVar("T")

Describe = Callable[[Point], Mapping[str, str]]
"""What names the object of a point: the first members of its entry."""

_BLOCK = 200


def build_metrics_routes() -> dict[str, ASGIApp]:
    return {"metrics": build_reading_route(answer_metrics, _build_error)}


async def answer_metrics(request: Request, principal: Principal) -> Response:
    """With or without a slash at the end; what else is below `/metrics` is a 404."""
    path: str = request.scope["path"]
    match path.removesuffix("/").split("/")[2:]:
        case ["nodes", node] if node:
            return await answer_node(request, principal, node)
        case ["namespaces", namespace, "pods", pod] if namespace and pod:
            return await answer_pod(request, principal, namespace, pod)
        case ["pods", pod] if pod:
            return await answer_pod_of_no_namespace(request, principal, pod)
    served = "/metrics/nodes/NODE and /metrics/namespaces/NAMESPACE/pods/POD are"
    raise NotFound(f"{path[:200]!r} is not served: {served}")


async def answer_node(request: Request, principal: Principal, node: str) -> Response:
    cluster = _authorize(request, principal, "nodes", None, node)
    key = NodeKey(cluster, node)
    _check_granted(principal, NODES, key)
    points = await _load_points(request, Kind.NODE, key)
    named = {"cluster": cluster, "node": node}
    return _build_answer("nodemetrics", points, lambda point: {"time": format_time(point.time_ns), **named})


async def answer_pod(request: Request, principal: Principal, namespace: str, pod: str) -> Response:
    """The points of a pod; each says on which node it was."""
    cluster = _authorize(request, principal, "pods", namespace, pod)
    key = PodKey(cluster, namespace, pod)
    _check_granted(principal, PODS, key)
    points = await _load_points(request, Kind.POD, key)

    def describe(point: Point) -> dict[str, str]:
        named = {"cluster": cluster, "namespace": namespace, "node": point.node or "", "pod": pod}
        return {"time": format_time(point.time_ns), **named}

    return _build_answer("podmetrics", points, describe)


async def answer_pod_of_no_namespace(request: Request, principal: Principal, pod: str) -> Response:
    """A pod without a namespace has no points, as ever."""
    _authorize(request, principal, "pods", None, pod)
    return _build_answer("podmetrics", [], lambda _: {})


def _authorize(request: Request, principal: Principal, resource: str, namespace: str | None, name: str) -> str:
    """The cluster that is asked for, when the caller may read usage there."""
    named, _ = split_clustername(read_query(request))
    federation = request.state["federation"]
    cluster = federation.resolve_name(principal.scope, named)
    note_call(cluster, "metrics")
    info = RequestInfo(
        verb="get",
        is_resource=True,
        api_group="metrics.k8s.io",
        version="v1beta1",
        resource=resource,
        namespace=namespace,
        name=name,
    )
    authorize_request(principal, cluster, info)
    return cluster


def _check_granted(principal: Principal, kind: ObjectKind[Any], key: PodKey | NodeKey) -> None:
    """Where members decide, usage is for who may get the object. Raises Forbidden."""
    if principal.scope.granted is not None and not kind.is_within(principal.scope, key, "get"):
        user = principal.name[:100]
        raise Forbidden(f"{key.cluster} does not let user {user!r} get {kind.name} of this name, whose usage this is")


def read_range(request: Request) -> tuple[int | None, int | None]:
    """`timeStart` and `timeEnd` in Unix nanoseconds, each None where it is not given. Raises InvalidQuery."""
    query = read_query(request)
    start, end = (
        parse_time(text) if (text := read_parameter(query, name)) else None for name in ("timeStart", "timeEnd")
    )
    return start, end


async def _load_points(request: Request, kind: Kind, key: PodKey | NodeKey) -> list[Point]:
    start, end = read_range(request)
    store = request.state["metric_store"]
    points = store.points(kind, key, start_ns=start, end_ns=end, limit=MAX_POINTS)
    return await ask_store(points, request.state["request_timeout"])


def _build_error(request: Request, error: FleetError) -> Response:
    is_node = request.scope["path"].startswith("/metrics/nodes")
    return build_null(request, "nodemetrics" if is_node else "podmetrics", error)


def _build_answer(member: str, points: list[Point], describe: Describe) -> Response:
    pieces = _render(member, points, describe)
    if len(points) <= _BLOCK:
        return Response("".join(pieces), media_type="application/json")
    return StreamingResponse(_paced(pieces), media_type="application/json")


async def _paced(pieces: Iterator[str]) -> AsyncIterator[str]:
    for piece in pieces:
        yield piece
        # A long range takes seconds to write out; other callers get their turn in between.
        await asyncio.sleep(0)


def _render(member: str, points: list[Point], describe: Describe) -> Iterator[str]:
    """The answer as Go's encoder indents it, in pieces."""
    yield f'{{\n\t"{member}": '
    if not points:
        yield "null\n}"
        return
    for start in range(0, len(points), _BLOCK):
        texts = (_write({**describe(point), **_measures(point)}, "\n\t\t") for point in points[start : start + _BLOCK])
        yield (",\n\t\t" if start else "[\n\t\t") + ",\n\t\t".join(texts)
    yield "\n\t]\n}"


def _write(members: Mapping[str, str | Mapping[str, str]], line: str) -> str:
    """An object of texts and objects of texts. The standard library indents in Python, at several times the cost."""
    inner = f"{line}\t"
    written = (
        f"{encode_basestring(name)}: {encode_basestring(value) if isinstance(value, str) else _write(value, inner)}"
        for name, value in members.items()
    )
    return f"{{{inner}{f',{inner}'.join(written)}{line}}}"


def _measures(point: Point) -> dict[str, Mapping[str, str]]:
    return {
        "cpu": {"CPUUsageNanoCores": "" if point.cpu_cores is None else format_nanocores(point.cpu_cores)},
        "memory": {
            "MemoryAvailableBytes": _kibibytes(point.memory_available_bytes),
            "MemoryUsageBytes": _kibibytes(point.memory_usage_bytes),
            "MemoryWorkingSetBytes": _kibibytes(point.memory_bytes),
        },
        "fs": {
            "FsAvailableBytes": _kibibytes(point.fs_available_bytes),
            "FsCapacityBytes": _kibibytes(point.fs_capacity_bytes),
            "FsUsedBytes": _kibibytes(point.fs_used_bytes),
        },
        "network": {
            "NetworkRxBytes": "" if point.network_receive_bytes is None else str(point.network_receive_bytes),
            "NetworkTxBytes": "" if point.network_transmit_bytes is None else str(point.network_transmit_bytes),
        },
    }


def _kibibytes(amount: int | None) -> str:
    return "" if amount is None else format_kibibytes(amount)
