"""Finds what a filter selects in one member's stores, by the narrowest index."""

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import TypeVar

from fleet.cache.store import Store
from fleet.model.objects import Node, Pod
from fleet.model.ordered import DeferredSequence
from fleet.model.queries import NodeFilter, PodFilter
from fleet.model.scope import Scope

T = TypeVar("T", Pod, Node)
Test = Callable[[T], bool]
_IN_MEMBER = attrgetter("namespace", "name")


class PodSelection:
    """A filter and a scope, read once and held against any number of members."""

    def __init__(self, wanted: PodFilter, scope: Scope) -> None:
        self._wanted = wanted
        self._scope = scope
        self._namespaces = wanted.namespaces
        self._nodes = wanted.nodes
        self._tests = _build_tests(wanted)
        for field, value in wanted.fields.required_equal() if wanted.fields else ():
            if field == "metadata.namespace":
                self._namespaces = _within(self._namespaces, value)
            elif field == "spec.nodeName" and value:
                self._nodes = _within(self._nodes, value)

    def find(self, store: Store[Pod], cluster: str) -> Sequence[Pod]:
        """The pods of a member that the filter selects and the scope reaches, by namespace and name."""
        namespaces = _reachable(store, self._namespaces, self._scope, cluster)
        nodes, labels = self._nodes, self._wanted.labels
        candidates, covered = _narrowest(store, self._wanted, namespaces, nodes)
        tests = self._tests
        if namespaces is not None and covered != "namespace":
            tests = [*tests, lambda pod: pod.namespace in namespaces]
        if nodes is not None and covered != "node":
            tests = [*tests, lambda pod: pod.node_name in nodes]
        if covered == "labels":
            found = _passing(candidates, tests)
            return DeferredSequence(len(found), lambda: sorted(found, key=_IN_MEMBER))
        if labels is not None:
            tests = [*tests, lambda pod: labels.matches(pod.labels)]
        return _passing(candidates, tests)


def select_pods(store: Store[Pod], wanted: PodFilter, scope: Scope, cluster: str) -> Sequence[Pod]:
    """What a `PodSelection` finds in one member."""
    return PodSelection(wanted, scope).find(store, cluster)


def select_nodes(store: Store[Node], wanted: NodeFilter) -> Sequence[Node]:
    """The nodes of a member that the filter selects, by name."""
    tests = _build_node_tests(wanted)
    if wanted.name is not None and wanted.name.eq is not None:
        node = store.get("", wanted.name.eq)
        return _passing(() if node is None else (node,), tests)
    return _passing(store.all(), tests)


def build_pod_test(wanted: PodFilter, scope: Scope) -> Test[Pod]:
    """Whether one pod is among those that `select_pods` finds, of whichever cluster it is."""
    tests = _build_tests(wanted)
    if (labels := wanted.labels) is not None:
        tests.append(lambda pod: labels.matches(pod.labels))
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


def _within(names: frozenset[str] | None, name: str) -> frozenset[str]:
    return frozenset((name,)) if names is None or name in names else frozenset()


def _reachable(store: Store[Pod], wanted: frozenset[str] | None, scope: Scope, cluster: str) -> frozenset[str] | None:
    """The namespaces to look into; None for all. Patterns are matched once a namespace, not once a pod."""
    if scope.sees_all_namespaces(cluster):
        return wanted
    known = store.values("namespace") if wanted is None else wanted
    return frozenset(namespace for namespace in known if scope.sees_namespace(cluster, namespace))


def _narrowest(
    store: Store[Pod], wanted: PodFilter, namespaces: frozenset[str] | None, nodes: frozenset[str] | None
) -> tuple[Sequence[Pod], str]:
    """Pods among which all are that the filter can select, and which part of it is answered by that already.

    They are in order, but for those that were found by their labels.
    """
    if namespaces is None and nodes is None:
        found = None if wanted.labels is None else store.find_labelled(wanted.labels, fewer_than=len(store))
        return (store.all(), "") if found is None else (found, "labels")
    if namespaces is not None and wanted.name is not None and wanted.name.eq is not None:
        named = (store.get(namespace, wanted.name.eq) for namespace in sorted(namespaces))
        return [pod for pod in named if pod is not None], "namespace"
    choices = [
        (sum(store.count(index, value) for value in values), index, values)
        for index, values in (("node", nodes), ("namespace", namespaces))
        if values is not None
    ]
    size, index, values = min(choices, key=lambda choice: choice[0])
    if wanted.labels is not None and (labelled := store.find_labelled(wanted.labels, fewer_than=size)) is not None:
        return labelled, "labels"
    return _merge([store.select(index, value) for value in sorted(values)], apart=index == "namespace"), index


def _merge(buckets: list[list[Pod]], *, apart: bool) -> Sequence[Pod]:
    """Buckets in one row, in order; those that are `apart` do not reach into each other."""
    if len(buckets) == 1:
        return buckets[0]
    merged = [pod for bucket in buckets for pod in bucket]
    if not apart:
        merged.sort(key=_IN_MEMBER)
    return merged


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


def _passing(candidates: Sequence[T], tests: Iterable[Test[T]]) -> Sequence[T]:
    passing = candidates
    for test in tests:
        passing = [record for record in passing if test(record)]
    return passing
