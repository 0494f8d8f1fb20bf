"""`metrics.k8s.io/v1beta1` of members that have none, by the usage that this server has: what `kubectl top` asks for.

A member's own always wins. Of a pod the sum of its containers is known, and answered as that of a container `*`.
Source: k8s.io/metrics `pkg/apis/metrics/v1beta1/types.go`, k8s.io/api `apidiscovery/v2/types.go`.
"""

import asyncio
import json
import re
from collections.abc import Awaitable, Iterable
from typing import Any, TypeVar

import msgspec
from msgspec import Struct
from msgspec.structs import replace
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from auth.principal import Principal
from fleet.aio.turns import Pace
from fleet.federation import Federation
from fleet.model.errors import ClusterError, FleetError, MetricsUnavailable, NotFound
from fleet.model.kinds import NODES, PODS, ObjectKind
from fleet.model.objects import Node, NodeKey, OnUnavailable, Pod, PodKey
from fleet.model.quantities import format_kibibytes, format_nanocores
from fleet.model.queries import Filter, NodeFilter, PodFilter
from fleet.model.request_info import RequestInfo
from fleet.model.selectors import parse_label_selector, parse_object_field_selector
from fleet.model.usage import Measure, Usage, find_problems
from fleet.ports import LIST_BYTES, Call, Connection, MetricStore
from rest_compat.errors import ErrorShape, build_status_answer
from rest_compat.headers import find_header
from rest_compat.parameters import read_parameter
from rest_compat.times import format_time

T = TypeVar("T")

GROUP, VERSION = "metrics.k8s.io", "v1beta1"
_API_VERSION = f"{GROUP}/{VERSION}"
_MEASURES = frozenset({Measure.CPU_CORES, Measure.MEMORY_BYTES})
_VERBS = ("get", "list")
_KINDS = (("nodes", "NodeMetrics", "Cluster"), ("pods", "PodMetrics", "Namespaced"))
_PATH = re.compile(rf"/apis/?|/apis/{re.escape(GROUP)}(/.*)?")

Json = dict[str, Any]

_VERSIONED = {"groupVersion": _API_VERSION, "version": VERSION}
_GROUP: Json = {"name": GROUP, "versions": [_VERSIONED], "preferredVersion": _VERSIONED}
_RESOURCES: Json = {
    "groupVersion": _API_VERSION,
    "resources": [
        {"name": name, "singularName": "", "namespaced": scope == "Namespaced", "kind": kind, "verbs": _VERBS}
        for name, kind, scope in _KINDS
    ],
}
_DISCOVERED: Json = {
    "metadata": {"name": GROUP, "creationTimestamp": None},
    "versions": [
        {
            "version": VERSION,
            "freshness": "Current",
            "resources": [
                {
                    "resource": name,
                    "responseKind": {"group": GROUP, "version": VERSION, "kind": kind},
                    "scope": scope,
                    "singularResource": "",
                    "verbs": _VERBS,
                }
                for name, kind, scope in _KINDS
            ],
        }
    ],
}


def may_be_answered(method: str, path: str) -> bool:
    """Whether a call is about what a member may lack: its usage, or which groups it serves."""
    return method == "GET" and _PATH.fullmatch(path) is not None


async def ask_store(answer: Awaitable[T], bound: float) -> T:
    """What the metric store answers within `bound` seconds. Raises MetricsUnavailable."""
    try:
        async with asyncio.timeout(bound):
            return await answer
    except TimeoutError as error:
        raise MetricsUnavailable(f"the metric store did not answer within {bound:g} s") from error


class Question(Struct, frozen=True):
    """An authorized call to a cluster; `bound` is that of each thing asked for it, in seconds."""

    principal: Principal
    connection: Connection
    info: RequestInfo
    call: Call
    bound: float


class ResourceMetrics(Response):
    """The answer where the member has no such API, else what is `passed_on`."""

    def __init__(
        self, question: Question, federation: Federation, store: MetricStore, shape: ErrorShape, passed_on: Response
    ) -> None:
        self.background = None
        self._question = question
        self._federation = federation
        self._store = store
        self._shape = shape
        self._passed_on = passed_on

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        answer: Response | None
        try:
            answer = None if await self._is_served() else await self._answer()
        except FleetError as error:
            answer = build_status_answer(scope, self._shape, error)
        await (answer or self._passed_on)(scope, receive, send)

    async def _is_served(self) -> bool:
        """Whether the member has it, or what it has can't be found out: its own word is passed on then."""
        asked = self._question
        try:
            served = await self._federation.catalogs.served(asked.connection, asked.bound)
        except ClusterError:
            return True
        return any(kind.group == GROUP for kind in served)

    async def _answer(self) -> Response | None:
        """None where there is nothing to answer, and the member says so."""
        info, path = self._question.info, self._question.call.path.rstrip("/")
        if not info.is_resource:
            match path.split("/")[2:]:
                case []:
                    return await self._list_groups()
                case [_]:
                    return _build(_GROUP | {"kind": "APIGroup", "apiVersion": "v1"})
                case [_, version] if version == VERSION:
                    return _build({"kind": "APIResourceList", "apiVersion": "v1", **_RESOURCES})
            return None
        if info.version != VERSION or info.verb not in _VERBS or info.subresource:
            return None
        if info.resource != "pods" and (info.resource != "nodes" or info.namespace):
            return None
        is_named = len(path.split("/")[4:]) % 2 == 0  # nodes/NAME, namespaces/NAMESPACE/pods/NAME
        kind, of = (PODS, "Pod") if info.resource == "pods" else (NODES, "Node")
        items = await self._load(kind, is_named=is_named)
        if not is_named:
            return _build({"kind": f"{of}MetricsList", "apiVersion": _API_VERSION, "metadata": {}, "items": items})
        if not items:
            raise NotFound(f"{info.resource}.{GROUP} {info.name!r} not found: no usage of it is known")
        return _build({"kind": f"{of}Metrics", "apiVersion": _API_VERSION, **items[0]})

    async def _list_groups(self) -> Response | None:
        """The member's groups with this one; None where it does not list them in JSON, and passes on as it is."""
        asked = self._question
        accept = find_header(asked.call.headers, b"accept") or "*/*"
        forms = [form for form in accept.split(",") if "json" in form or "*/*" in form]
        headers = [(b"accept", ",".join(forms).encode("latin-1"))]
        call = Call("GET", asked.call.path, asked.bound, asked.call.query, headers, most_bytes=LIST_BYTES)
        found = await asked.connection.request(call) if forms else None
        if found is None or found.status != 200:
            return None
        try:
            groups = json.loads(found.body)
            is_aggregated = groups["kind"] == "APIGroupDiscoveryList"
            listed = groups.get("items" if is_aggregated else "groups") or []
            others = [
                group for group in listed if group.get("name", (group.get("metadata") or {}).get("name")) != GROUP
            ]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return None
        more = {"items": [*others, _DISCOVERED]} if is_aggregated else {"groups": [*others, _GROUP]}
        return _build(groups | more, found.headers.get("content-type", "application/json"))

    async def _load(self, kind: ObjectKind[Any], *, is_named: bool) -> list[Json]:
        """Of each object in the caller's reach that is asked for and has usage. Raises FleetError."""
        asked, cluster, scope = self._question, self._question.connection.cluster, self._question.principal.scope
        namespace, name = asked.info.namespace, asked.info.name or ""
        found: Iterable[Pod | Node]
        if is_named:
            key = PodKey(cluster, namespace or "", name) if kind is PODS else NodeKey(cluster, name)
            found = filter(None, [await self._federation.get(kind, scope, key)])
        else:
            within = PodFilter(namespaces=frozenset({namespace}) if namespace else None)
            wanted = self._narrow(within if kind is PODS else NodeFilter())
            found = (await self._federation.select(kind, scope, wanted, OnUnavailable.STRICT)).matched
        by_key: dict[Any, Pod | Node] = {one.key: one for one in found}
        usages = await ask_store(self._store.latest(kind.metrics, frozenset(by_key), _MEASURES), asked.bound)
        problem = find_problems(usages).get(cluster)
        if by_key and not usages and problem is not None:
            raise MetricsUnavailable(problem)
        items: list[Json] = []
        pace = Pace(self._federation.turns)
        for key, one in by_key.items():
            if key in usages:
                items.append(_build_item(one, usages[key]))
                await pace.wait()
        return items

    def _narrow(self, wanted: Filter[Any]) -> Filter[Any]:
        asked = self._question
        labels, fields = (read_parameter(asked.call.query, name) for name in ("labelSelector", "fieldSelector"))
        return replace(
            wanted,
            clusters=frozenset({asked.connection.cluster}),
            labels=parse_label_selector(labels) if labels else None,
            fields=parse_object_field_selector(fields) if fields else None,
        )


def _build_item(one: Pod | Node, usage: Usage) -> Json:
    at = format_time(usage.time_ns)
    metadata = {"name": one.name, "creationTimestamp": at, "labels": dict(one.labels)}
    amounts = {} if usage.cpu_cores is None else {"cpu": format_nanocores(usage.cpu_cores)}
    amounts |= {} if usage.memory_bytes is None else {"memory": format_kibibytes(usage.memory_bytes)}
    # Over which time it was taken, only whoever measured it knows.
    measured: Json = {"timestamp": at, "window": "0s"}
    if isinstance(one, Pod):
        containers = [{"name": "*", "usage": amounts}]
        return {"metadata": metadata | {"namespace": one.namespace}, **measured, "containers": containers}
    return {"metadata": metadata, **measured, "usage": amounts}


def _build(body: Json, content_type: str = "application/json") -> Response:
    return Response(msgspec.json.encode(body), media_type=content_type)
