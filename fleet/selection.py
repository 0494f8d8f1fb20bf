"""Finds what a filter selects in one member's stores, by the narrowest index."""

from collections.abc import Callable, Collection, Iterable
from typing import TypeVar

from fleet.cache.store import Store
from fleet.models import Node, Pod
from fleet.queries import NodeFilter, PodFilter
from fleet.scope import Scope

T = TypeVar("T", Pod, Node)
Test = Callable[[T], bool]


def select_pods(store: Store[Pod], wanted: PodFilter, scope: Scope, cluster: str) -> Collection[Pod]:
    """The pods of a member that the filter selects and the scope reaches. May be a live view: read before an await."""
    namespaces = _reachable(store, wanted.namespaces, scope, cluster)
    nodes = wanted.nodes
    for field, value in wanted.fields.required_equal() if wanted.fields else ():
        if field == "metadata.namespace":
            namespaces = frozenset((value,)) & (namespaces if namespaces is not None else {value})
        elif field == "spec.nodeName" and value:
            nodes = frozenset((value,)) & (nodes if nodes is not None else {value})
    candidates = _narrowest(store, wanted, namespaces, nodes)
    tests = _build_tests(wanted)
    if namespaces is not None:
        tests.append(lambda pod: pod.namespace in namespaces)
    if nodes is not None:
        tests.append(lambda pod: pod.node_name in nodes)
    return _passing(candidates, tests)


def select_nodes(store: Store[Node], wanted: NodeFilter) -> Collection[Node]:
    """The nodes of a member that the filter selects. May be a live view: read before an await."""
    tests = _build_node_tests(wanted)
    if wanted.name is not None and wanted.name.eq is not None:
        node = store.get("", wanted.name.eq)
        return _passing(() if node is None else (node,), tests)
    return _passing(store.all(), tests)


def build_pod_test(wanted: PodFilter, scope: Scope) -> Test[Pod]:
    """Whether one pod is among those that `select_pods` finds, of whichever cluster it is."""
    tests = _build_tests(wanted)
    if (clusters := wanted.clusters) is not None:
        tests.append(lambda pod: pod.cluster in clusters)
    if (namespaces := wanted.namespaces) is not None:
        tests.append(lambda pod: pod.namespace in namespaces)
    if (nodes := wanted.nodes) is not None:
        tests.append(lambda pod: pod.node_name in nodes)
    tests.append(lambda pod: scope.sees_namespace(pod.cluster, pod.namespace))
    return lambda pod: all(test(pod) for test in tests)


def build_node_test(wanted: NodeFilter) -> Test[Node]:
    """Whether one node is among those that `select_nodes` finds."""
    tests = _build_node_tests(wanted)
    return lambda node: all(test(node) for test in tests)


def _reachable(store: Store[Pod], wanted: frozenset[str] | None, scope: Scope, cluster: str) -> frozenset[str] | None:
    """The namespaces to look into; None for all. Patterns are matched once a namespace, not once a pod."""
    if scope.sees_all_namespaces(cluster):
        return wanted
    known = store.values("namespace") if wanted is None else wanted
    return frozenset(namespace for namespace in known if scope.sees_namespace(cluster, namespace))


def _narrowest(
    store: Store[Pod], wanted: PodFilter, namespaces: frozenset[str] | None, nodes: frozenset[str] | None
) -> Collection[Pod]:
    if namespaces is not None and wanted.name is not None and wanted.name.eq is not None:
        named = (store.get(namespace, wanted.name.eq) for namespace in namespaces)
        return [pod for pod in named if pod is not None]
    choices = [
        [store.select(index, value) for value in values]
        for index, values in (("node", nodes), ("namespace", namespaces))
        if values is not None
    ]
    if not choices:
        return store.all()
    buckets = min(choices, key=lambda choice: sum(map(len, choice)))
    return buckets[0] if len(buckets) == 1 else [pod for bucket in buckets for pod in bucket]


def _build_tests(wanted: PodFilter) -> list[Test[Pod]]:
    tests: list[Test[Pod]] = []
    if (phases := wanted.phases) is not None:
        tests.append(lambda pod: pod.phase in phases)
    if (name := wanted.name) is not None:
        tests.append(lambda pod: name.matches(pod.name))
    if (owner := wanted.owner) is not None:
        tests.append(
            lambda pod: (
                pod.owner is not None
                and pod.owner.kind == owner.kind
                and (owner.name is None or pod.owner.name == owner.name)
            )
        )
    if (labels := wanted.labels) is not None:
        tests.append(lambda pod: labels.matches(pod.labels))
    if (fields := wanted.fields) is not None:
        tests.append(fields.matches)
    return tests


def _build_node_tests(wanted: NodeFilter) -> list[Test[Node]]:
    tests: list[Test[Node]] = []
    if (ready := wanted.ready) is not None:
        tests.append(lambda node: node.ready is ready)
    if (name := wanted.name) is not None:
        tests.append(lambda node: name.matches(node.name))
    if (labels := wanted.labels) is not None:
        tests.append(lambda node: labels.matches(node.labels))
    if (fields := wanted.fields) is not None:
        tests.append(fields.matches)
    return tests


def _passing(candidates: Collection[T], tests: Iterable[Test[T]]) -> Collection[T]:
    passing = candidates
    for test in tests:
        passing = [record for record in passing if test(record)]
    return passing
