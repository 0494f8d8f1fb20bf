"""How many objects a caller's clusters hold: counts from memory, of what is there already, asking nobody."""

from collections.abc import Callable, Collection, Iterable
from functools import cached_property
from typing import Protocol

from fleet.members.member import Member
from fleet.model.kinds import WORKLOADS
from fleet.model.selectors import LabelSelector
from fleet.model.visibility import Scope

UNKNOWN_PODS = 1_000
"""Pods a cluster is taken to have before they were listed for the first time."""

UNKNOWN_NODES = 20
"""Nodes, likewise."""

UNKNOWN_WORKLOADS = 200
"""Workloads, likewise."""


class ObjectCounts(Protocol):
    """What an estimate needs to know of a fleet. Names of clusters out of reach count nothing."""

    @property
    def clusters(self) -> Collection[str]: ...

    def names(self, cluster: str) -> Collection[str]:
        """All names of one of `clusters`."""

    def labelled(self, selector: LabelSelector) -> Collection[str]:
        """Those of `clusters` whose labels it selects."""

    def pods(self, cluster: str, namespaces: Collection[str] | None, nodes: Collection[str] | None) -> int:
        """Pods within reach that are in these namespaces and on these nodes, at most."""

    def nodes(self, cluster: str) -> int: ...

    def workloads(self, cluster: str, namespaces: Collection[str] | None) -> int:
        """Workloads within reach that are in these namespaces, at most."""

    def unwell(self, cluster: str) -> int:
        """Pods within reach that are not well, at most."""

    def namespaces(self, cluster: str) -> int:
        """Namespaces within reach that hold pods, at least one."""

    def events(self, cluster: str) -> int:
        """Events that are looked through: those that are kept, or may be where not all are within reach."""

    def fullest_node(self, cluster: str) -> int:
        """Pods of the node that has most."""


class CachedCounts:
    """The sizes of the members a scope reaches, each counted once; who they are is found out when it matters."""

    def __init__(self, list_members: Callable[[], Iterable[Member]], scope: Scope) -> None:
        self._scope = scope
        self._list_members = list_members
        self._namespaces: dict[str, frozenset[str] | None] = {}
        self._fullest: dict[str, int] = {}

    @cached_property
    def _members(self) -> dict[str, Member]:
        return {member.name: member for member in self._list_members() if self._scope.sees_cluster(member.name)}

    @property
    def clusters(self) -> Collection[str]:
        return self._members.keys()

    def names(self, cluster: str) -> Collection[str]:
        return (cluster, *self._members[cluster].spec.other_names)

    def labelled(self, selector: LabelSelector) -> Collection[str]:
        return [name for name, member in self._members.items() if selector.matches(member.spec.labels)]

    def pods(self, cluster: str, namespaces: Collection[str] | None, nodes: Collection[str] | None) -> int:
        member = self._members.get(cluster)
        if member is None:
            return 0
        if not member.has_listed("pods"):
            return UNKNOWN_PODS
        reached = self._reached(member)
        if reached is None and namespaces is None and nodes is None:
            return len(member.pods)
        everywhere = reached is None
        if namespaces is not None:
            reached = frozenset(namespaces) if reached is None else reached & frozenset(namespaces)
        counts = [len(member.pods)]
        if nodes is not None and everywhere:
            counts.append(sum(member.pods.count("node", name) for name in nodes))
        if reached is not None:
            counts.append(sum(member.pods.count("namespace", name) for name in reached))
            if nodes is not None:  # how many others a node has is nothing that an estimate may tell
                here = (pod.namespace for name in nodes for pod in member.pods.select("node", name))
                counts.append(sum(namespace in reached for namespace in here))
        return min(counts)

    def nodes(self, cluster: str) -> int:
        member = self._members.get(cluster)
        if member is None or not self._scope.sees_all_namespaces(cluster, "nodes"):
            return 0
        return len(member.nodes) if member.has_listed("nodes") else UNKNOWN_NODES

    def workloads(self, cluster: str, namespaces: Collection[str] | None) -> int:
        member = self._members.get(cluster)
        if member is None:
            return 0
        if not member.has_listed("workloads"):
            return UNKNOWN_WORKLOADS
        reached = self._reached(member)
        if namespaces is not None:
            reached = frozenset(namespaces) if reached is None else reached & frozenset(namespaces)
        store = member.stores.marked_workloads
        if self._scope.granted is not None:
            parts = (store.all(),) if reached is None else (store.select("namespace", name) for name in reached)
            known = sum(WORKLOADS.admits(self._scope, one, "list") for part in parts for one in part)
        else:
            known = len(store) if reached is None else sum(store.count("namespace", name) for name in reached)
        return known + store.marks  # each may come to one more

    def unwell(self, cluster: str) -> int:
        member = self._members.get(cluster)
        if member is None:
            return 0
        # How many others are not well is nothing that an estimate may tell.
        everywhere = self._scope.sees_all_namespaces(cluster, "pods")
        return member.pods.count("unwell", "unwell") if everywhere else self.pods(cluster, None, None)

    def namespaces(self, cluster: str) -> int:
        member = self._members.get(cluster)
        if member is None:
            return 1
        reached = self._reached(member)
        return max(1, len(member.pods.values("namespace") if reached is None else reached))

    def events(self, cluster: str) -> int:
        member = self._members.get(cluster)
        if member is None:
            return 0
        ring = member.stores.events
        return len(ring) if self._scope.sees_all_namespaces(cluster, "events") else ring.most

    def fullest_node(self, cluster: str) -> int:
        member = self._members.get(cluster)
        if member is None:
            return 0
        if not member.has_listed("pods"):
            return UNKNOWN_PODS
        if self._reached(member) is not None:  # how many others a node has is nothing that an estimate may tell
            # By patterns who does not reach all pods reaches no node.
            return 0 if self._scope.granted is None else self.pods(cluster, None, None)
        if cluster not in self._fullest:
            buckets = (member.pods.count("node", node) for node in member.pods.values("node"))
            self._fullest[cluster] = max(buckets, default=0)
        return self._fullest[cluster]

    def _reached(self, member: Member) -> frozenset[str] | None:
        """The namespaces within reach, None for all."""
        if member.name not in self._namespaces:
            scope, cluster = self._scope, member.name
            self._namespaces[cluster] = (
                None
                if scope.sees_all_namespaces(cluster, "pods")
                else frozenset(
                    name for name in member.pods.values("namespace") if scope.sees_namespace(cluster, name, "pods")
                )
            )
        return self._namespaces[member.name]
