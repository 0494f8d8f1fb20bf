"""What random documents over the product's own schema ask for, and objects that have a value in every field."""

from collections.abc import Iterable
from functools import partial
from typing import Any

from msgspec.structs import replace

from auth.principal import Principal
from fleet.model.kube_objects import ResourceKey
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import NANOSECONDS, Usage
from fleet.model.visibility import Role, Scope
from fleet.model.workloads import WorkloadKey
from graph.ids import encode_node_id, encode_pod_id, encode_resource_id, encode_workload_id
from tests.fakes.kubernetes import Object, build_plain, build_pod, build_workload, serve_kinds, status_body
from tests.fakes.waiting import until
from tests.graph.compiled.documents import Tastes
from tests.graph.conftest import ADMIN, NOW, OPTIONS, SHOPPER, Graph, build_node

ALWAYS_FRESH = replace(OPTIONS, fresh_seconds=3600.0, member_timeout=5.0)
"""No list waits for a member: which of two errors side by side comes first would depend on the clock."""

USERS = (
    *(ADMIN,) * 6,
    SHOPPER,
    SHOPPER,
    Principal("olga", Scope(Role.EDIT, namespaces=("ops",)), groups=("platform",), expires_at=NOW + 3600.0),
    Principal("carl", Scope(Role.VIEW, clusters=("c2",))),
    Principal("nora", Scope(Role.VIEW, clusters=("none",))),
)

CREATED = "2026-09-21T10:00:00Z"
TIMES = ("2026-09-21T13:13:00Z", "2026-09-21T14:10:00.5+00:00", "2026-09-21T14:13:00Z")
IDS = (
    encode_pod_id(PodKey("c1", "shop", "p0")),
    encode_pod_id(PodKey("c2", "ops", "p1")),
    encode_pod_id(PodKey("c1", "shop", "none")),
    encode_node_id(NodeKey("c1", "n1")),
    encode_node_id(NodeKey("none", "n1")),
    encode_workload_id(WorkloadKey("c1", "shop", "d0", "Deployment.apps")),
    encode_resource_id(ResourceKey("c1", "apps/v1", "ReplicaSet", "shop", "a0")),
    encode_resource_id(ResourceKey("c2", "v1", "Pod", "ops", "p1")),
    "nonsense",
)
PAGES = """{
  pods(first: 1) { pageInfo { endCursor } }
  nodes(first: 1) { pageInfo { endCursor } }
  events(first: 3) { pageInfo { endCursor } }
  workloads(first: 1) { pageInfo { endCursor } }
  resources(apiVersion: "v1", kind: "Pod", first: 1) { pageInfo { endCursor } } }"""
ENTITIES: tuple[Any, ...] = (
    *({"__typename": "Pod", "id": id_} for id_ in (*IDS[:2] * 4, *IDS)),
    *({"__typename": "Node", "id": id_} for id_ in (*IDS[3:4] * 6, *IDS)),
    *({"__typename": "Cluster", "name": name} for name in (*("c1", "c2") * 3, "none")),
    {"__typename": "Nonsense"},
)

_RANGES = (
    *(("last",), ("last", "step"), (), ("start",), ("start", "end")) * 3,
    ("start", "end", "step"),
    ("last", "start"),
)
_ORDERS = (
    *(("field",), ("field", "direction"), ("usage",), ("usage", "direction")) * 3,
    ("usage", "percentOf"),
    ("field", "usage"),
)
_PAGES = (
    (),
    (),
    ("first",),
    ("first", "filter"),
    ("filter",),
    ("orderBy",),
    ("first", "orderBy"),
    ("filter", "orderBy"),
    ("first", "after"),
)
_LISTS = (*_PAGES, ("first", "after"), ("after",), ("first", "filter", "orderBy", "after"), ("onUnavailable",))
_GROUPS = (
    *((), ("first",), ("orderBy",), ("first", "orderBy"), ("first", "after")),
    *(("orderBy", "after"), ("labels",), ("labels", "first")),
)
_GROUP_ORDERS = (("field",), ("usage",), ("usage", "direction"), ("usage", "percentOf"))
_FILTERS = (
    (),
    ("name",),
    ("clusters",),
    ("clusterSelector",),
    ("labelSelector",),
    ("fieldSelector",),
    ("usage",),
    ("name", "usage"),
)

TASTES = Tastes(
    values={
        "cluster": (*("c1", "c2") * 4, "none"),
        "clusters": (*("c1", "c2") * 4, "none"),
        "namespace": ("shop", "shop", "ops", "none"),
        "namespaces": ("shop", "ops", "none"),
        "nodes": ("n1", "n2", "none"),
        "pod": ("p0", "p2", "none"),
        "Query.cluster.name": (*("c1", "c2") * 4, "none"),
        "Query.pod.name": ("p0", "p0", "p2", "p4", "none"),
        "Query.node.name": ("n1", "n2", "none"),
        "Query.resource.name": ("p0", "p0", "a0", "e0", "none"),
        "OwnerFilter.name": ("a0", "a1"),
        "OwnerFilter.kind": ("ReplicaSet", "Job"),
        "NameFilter.eq": ("p0", "n1", "c1"),
        "in": ("p0", "p1", "p3", "n2", "c1"),
        "contains": ("", "p", "1"),
        "startsWith": ("p", "n", "c", "x"),
        "labelSelector": ("app=a0", "app in (a0, a1)", "!app", "app!=a1", "zone=z1", "=="),
        "Query.resources.apiVersion": ("v1", "v1", "apps/v1"),
        "Query.resource.apiVersion": ("v1", "v1", "apps/v1"),
        "kind": ("Pod", "Pod", "ReplicaSet", "Secret", "Event", "Nonsense"),
        "kinds": ("ReplicaSet", "Deployment", "StatefulSet", "Nonsense"),
        "clusterSelector": (*("env=prod", "env in (prod, test)", "!env") * 3, "none", "=="),
        "Query.problems.clusterSelector": ("env=prod", "!env", "none"),
        "ClusterFilter.labelSelector": ("env=prod", "!env", "none", "=="),
        "fieldSelector": ("metadata.name=p0", "spec.nodeName=n1", "status.phase!=Running", "nonsense=1"),
        "first": (*range(8), 100, 10_000, 10_001, -1),
        "events.first": (0, 1, 20),
        # None that is wrong: problems are found in turns, so when they fail beside others depends on the clock.
        "Problem.examples.first": (0, 1, 3, 20),
        "last": ("5m", "1h", "90m", "24h"),
        "step": ("10m", "1m", "30s", "1s"),
        "labels": ("app", "app", "zone", "none", "no label"),
        "start": TIMES[:2],
        "end": TIMES[1:],
        "time": TIMES,
        "text": ("p", "p0", "n", "c1", "a0", "app=a1", "shop", "10.0.0", "i", "z1", "none", " "),
        "Query.search.first": (*range(4), 20, 100, 101),
        "statuses": ("Running", "Pending", "Ready", "Unknown", "none"),
        "images.contains": ("i", "j"),
        "registry": ("docker.io", "none"),
        "tag": ("latest", "none"),
        "qosClasses": ("Burstable", "BestEffort", "none"),
        "roles": ("worker", "none"),
        "kubeletVersions": ("v1.36", "v1"),
        "zones": ("z1", "none"),
        "conditions": ("Ready", "none"),
        "key": ("gpu", "none"),
        "value": ("yes", ""),
        "effect": ("NoSchedule", "none"),
        "DateTime": TIMES,
        "Duration": ("0s", "1h", "9999d"),
        "since": (CREATED, *TIMES),
        "types": ("Normal", "Warning"),
        "reasons": ("Started", "BackOff"),
        "ID": IDS,
        "_Any": ENTITIES,
        "Float": (0, 0.05, 0.06, 1, 1.5, 1e300),
    },
    together={
        "history": _RANGES,
        "placements": (("last",), (), ("start",), ("start", "end"), ("last", "start")),
        "Query.pods": _LISTS,
        "Query.nodes": _LISTS,
        "Query.problems": ((), ("first",), ("first", "clusterSelector"), ("after",)),
        "Query.events": (*_PAGES[:5], ("first", "after"), ("after",), ("onUnavailable",)),
        "EventFilter": (
            (),
            ("clusters", "clusterSelector"),
            ("namespaces",),
            ("types",),
            ("reasons",),
            ("regarding",),
            ("since",),
        ),
        "Query.search": ((), ("first",), ("kinds",), ("kinds", "first"), ("clusterSelector",), ("onUnavailable",)),
        "Query.workloads": _LISTS,
        "Query.resource": (("namespace",), ("namespace",), ("namespace",), ()),
        "Query.resources": ((), ("first",), ("filter",), ("first", "after"), ("onUnavailable", "first")),
        "pods": _PAGES,
        "nodes": _PAGES,
        "PodOrder": _ORDERS,
        "NodeOrder": _ORDERS,
        "groups": (*(("by", *others) for others in _GROUPS), ("labels",), ()),
        "PodGroupOrder": (*_GROUP_ORDERS, ("requests",), ("limits", "direction"), ("extended",)),
        "NodeGroupOrder": (*_GROUP_ORDERS, ("capacity",), ("allocatable", "direction"), ("requested",)),
        "WorkloadOrder": _ORDERS,
        "PodFilter": (
            *(*_FILTERS, ("namespaces",), ("phases",), ("nodes", "phases"), ("owner",)) * 2,
            *(("statuses", "ready"), ("restarts",), ("images",), ("createdAt", "age"), ("hasOwner", "missing")),
            *(("qosClasses",), ("not",), ("anyOf",)),
        ),
        "NodeFilter": (
            *(*_FILTERS, ("ready",)) * 2,
            *(("statuses", "roles"), ("taints", "zones"), ("kubeletVersions", "conditions"), ("createdAt", "age")),
            *(("not",), ("anyOf",)),
        ),
        "WorkloadFilter": (
            *(*_FILTERS[:5], ("usage",), ("namespaces",), ("kinds",), ("rollouts",)) * 2,
            *(("available",), ("images",), ("restarts",), ("createdAt", "age"), ("not",), ("anyOf",)),
        ),
        **dict.fromkeys(("IntBounds", "DateTimeBounds", "DurationBounds"), (("gte",), ("gt", "lte"), ("lt",), ())),
        "ResourceFilter": _FILTERS[:5],
        "NameFilter": (("eq",), ("in",), ("contains",), ("startsWith",), ("contains", "startsWith")),
        "OwnerFilter": (("kind",), ("kind", "name"), ("name",)),
        "UsageBound": (*(("gte",), ("lt",), ("gt", "lte"), ("gt",)) * 3, ("percentOf", "gte")),
    },
    weights={
        "_service": 0.1,
        **dict.fromkeys(("cluster", "owner", "node", "containers", "events", "state", "lastState"), 4),
        **dict.fromkeys(
            (
                "items",
                "edges",
                "groups",
                "pods",
                "nodes",
                "usage",
                "history",
                "pod",
                "resource",
                "object",
                "_entities",
                "search",
                "hits",
                "workloads",
                "workload",
            ),
            3,
        ),
    },
    varying=frozenset({"ClusterOutcome.ageSeconds", "ClusterOutcome.tookMs"}),
)


def build_full_pod(namespace: str, name: str, node: str | None, app: str) -> Object:
    """A pod that is controlled, limited and restarted."""
    pod = build_pod(namespace, name, node=node, app=app)
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": app, "uid": f"uid-{app}", "controller": True}
    pod["metadata"] |= {"annotations": {"note": name}, "ownerReferences": [owner]}
    limits = {"cpu": "1", "memory": "2Mi", "ephemeral-storage": "1Gi", "nvidia.com/gpu": "1"}
    pod["spec"]["containers"][0]["resources"]["limits"] = limits
    pod["spec"]["initContainers"] = [{"name": "before", "image": "j"}]
    ended = {
        "terminated": {"exitCode": 1, "reason": "Error", "message": "m", "startedAt": CREATED, "finishedAt": CREATED}
    }
    running = {"running": {"startedAt": CREATED}}
    status = {"name": "c", "ready": True, "restartCount": len(name), "state": running, "lastState": ended, "image": "i"}
    pod["status"] |= {"podIP": "10.0.0.1", "hostIP": "10.1.0.1", "qosClass": "Burstable", "containerStatuses": [status]}
    pod["status"]["conditions"] = [_condition("Ready")]
    pod["spec"]["resourceClaims"] = [{"name": "gpu", "resourceClaimTemplateName": "large"}]
    pod["status"]["resourceClaimStatuses"] = [{"name": "gpu", "resourceClaimName": f"{name}-gpu"}]
    return pod


def build_full_node(name: str) -> Object:
    node = build_node(name)
    zone = {"topology.kubernetes.io/zone": "z1", "topology.kubernetes.io/region": "r1", "zone": "z1"}
    node["metadata"] |= {"labels": zone | {"node-role.kubernetes.io/worker": ""}, "annotations": {"note": name}}
    node["spec"] = {"taints": [{"key": "gpu", "value": "yes", "effect": "NoSchedule"}]}
    info = {"kubeletVersion": "v1.36.3", "osImage": "Linux", "architecture": "amd64"}
    node["status"] |= {"nodeInfo": info, "conditions": [_condition("Ready")]}
    node["status"]["addresses"] = [{"type": "InternalIP", "address": "10.1.0.1"}]
    return node


async def furnish(graph: Graph) -> Tastes:
    """Gives the clusters objects that have all they can have, kinds to be asked for, and pods a past.

    The tastes know cursors of pages that are there.
    """
    graph.source.label("c1", env="prod", region="eu")
    await until(lambda: graph.federation.get_cluster(ADMIN.scope, "c1").labels)
    for name, cluster in graph.source.clusters.items():
        serve_kinds(cluster)
        cluster.statuses["/api/v1/namespaces/ops/events"] = (503, status_body(503, "events are away"))
        for node in ("n1", "n2"):
            cluster.put(build_full_node(node))
            cluster.put(_event("Node", "default", node, f"of-{node}"))
            graph.store.known[NodeKey(name, node)] = build_full_usage(1.5)
        for namespace, pod in tuple(cluster.objects["Pod"]):
            number = int(pod[1:])
            cluster.put(build_full_pod(namespace, pod, ("n1", "n2", None)[number % 3], f"a{number % 2}"))
            cluster.put(_event("Pod", namespace, pod, f"e{number}"))
            graph.store.known[PodKey(name, namespace, pod)] = build_full_usage(0.05 + number / 100)
            graph.store.sightings[PodKey(name, namespace, pod), "n1"] = [
                (int(NOW) - past) * NANOSECONDS for past in (7200, 3000, 120, 20)
            ]
        cluster.objects["Pod"]["shop", "p0"]["metadata"].pop("ownerReferences")
        for app in ("a0", "a1"):
            made = build_plain("ReplicaSet", app) | {"apiVersion": "apps/v1"}
            made["metadata"] |= {"namespace": "shop", "labels": {"app": app}, "annotations": {"note": app}}
            made["status"] = {"conditions": [_condition("Available")]}
            cluster.objects["ReplicaSet"]["shop", app] = made
        for namespace, kind in (("shop", "Deployment"), ("shop", "StatefulSet"), ("ops", "Deployment")):
            spec, status = {"replicas": 3}, {"observedGeneration": 1, "replicas": 3, "readyReplicas": 2}
            cluster.put(build_workload(kind, namespace, "d0", spec, status | {"conditions": [_condition("Available")]}))
        cluster.objects["Secret"]["shop", "s"] = build_plain("Secret", "s") | {"data": {"key": "aGlkZGVu"}}
        for namespace in ("shop", "ops"):
            space = build_plain("Namespace", namespace)
            cluster.put(space | {"metadata": space["metadata"] | {"labels": {"team": "a"}}})
        await wait_known(graph, name)
    found = await graph.ask(PAGES)
    cursors = {name: page["pageInfo"]["endCursor"] for name, page in found.items()}
    right = {f"Query.{name}.after": (cursor,) * 6 + (*cursors.values(), "nonsense") for name, cursor in cursors.items()}
    return TASTES._replace(values={**TASTES.values, **right, "after": (*cursors.values(), "nonsense")})


async def wait_known(graph: Graph, cluster: str) -> None:
    """Until the federation has the cluster's newest objects."""
    member = graph.federation._roster.get(ADMIN.scope, cluster)
    kinds = (
        ("Pod", member.pods),
        ("Node", member.nodes),
        ("Deployment", member.workloads),
        ("StatefulSet", member.workloads),
    )
    for kind, store in kinds:
        wanted = {_place(item["metadata"]) for item in graph[cluster].objects[kind].values()}
        await until(partial(_holds, store, kind, wanted), what=f"{kind} of {cluster}")
    events = graph[cluster].objects["Event"]
    await until(lambda: all(map(member.stores.events.get, events)), what=f"events of {cluster}")


def _holds(store: Iterable[Any], kind: str, wanted: set[tuple[str, str, str]]) -> bool:
    of_kind = (one for one in store if getattr(one, "kind", kind) == kind)
    return {(getattr(one, "namespace", ""), one.name, one.resource_version) for one in of_kind} == wanted


def _place(metadata: dict[str, str]) -> tuple[str, str, str]:
    return metadata.get("namespace", ""), metadata["name"], metadata["resourceVersion"]


def _condition(kind: str) -> Object:
    return {"type": kind, "status": "True", "reason": "Fine", "message": "all is well", "lastTransitionTime": CREATED}


def _event(kind: str, namespace: str, name: str, called: str) -> Object:
    about = {"kind": kind, "namespace": namespace, "name": name}
    times = {"firstTimestamp": CREATED, "lastTimestamp": CREATED, "count": 3, "source": {"component": "kubelet"}}
    event = build_plain("Event", called)
    event["metadata"]["namespace"] = namespace
    return event | {"involvedObject": about, "reason": "Started", "type": "Normal", "message": "m"} | times


def build_full_usage(cpu_cores: float) -> Usage:
    """Each number another one."""
    numbers: dict[str, Any] = {name: 1000 + place for place, name in enumerate(sorted(Usage.__struct_fields__))}
    return Usage(**(numbers | {"time_ns": int(NOW) * NANOSECONDS, "cpu_cores": cpu_cores}))
