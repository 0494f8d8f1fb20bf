"""Tells what changed in any member, as it changes: one feed for all that is live.

The feed says *that* an object changed and under which name, never what it was: whoever listens looks at the state there
is by then, so a burst of changes costs one look, and a resync after a lost watch is nothing special.

A member that can't be reached keeps its last known objects here: they are compared with its next list when it is back.
A member that left the federation has none.
"""

from collections.abc import Callable, Collection
from typing import Any, Literal

from msgspec.structs import replace

from fleet.cache.rows import Key
from fleet.cache.store import Store, Stores
from fleet.members.member import Member
from fleet.model.objects import Cluster, Node, Pod
from fleet.model.queries import NodeFilter, PodFilter
from fleet.model.scope import Scope
from fleet.reads.filtering import build_node_test, build_pod_test, select_nodes, select_pods

FeedKind = Literal["pods", "nodes", "clusters"]

FeedListener = Callable[[str, Key | None], None]
"""Called (quick, never raising) with a cluster and the name of an object; None where any of its objects may differ."""

Unlisten = Callable[[], None]


class Feed:
    """All members' changes. The registry of members calls `join`, `leave` and `touch`."""

    def __init__(self) -> None:
        self._members: dict[str, Member] = {}
        self._stores: dict[str, Stores] = {}
        self._ends: dict[str, list[Unlisten]] = {}
        self._listeners: dict[FeedKind, dict[object, FeedListener]] = {"pods": {}, "nodes": {}, "clusters": {}}

    def listen(self, kind: FeedKind, listener: FeedListener) -> Unlisten:
        """Calls the listener after each change of the kind, until the returned function is called."""
        listeners, mark = self._listeners[kind], object()
        listeners[mark] = listener

        def unlisten() -> None:
            listeners.pop(mark, None)

        return unlisten

    def clusters(self) -> Collection[str]:
        """Names of the clusters that have objects here."""
        return tuple(self._members)

    def stores(self, cluster: str) -> Stores | None:
        """What is kept of a cluster; None where it is not in the federation."""
        return self._stores.get(cluster)

    def member(self, cluster: str) -> Member | None:
        """The member of that name."""
        return self._members.get(cluster)

    def join(self, member: Member) -> None:
        """A member is there, perhaps in the place of one of the same name and with its objects."""
        name, stores = member.name, member.stores
        self._members[name] = member
        member.on_change = lambda: self.touch(name)
        if self._stores.get(name) is not stores:
            self._forget(name)
            self._stores[name] = stores
            self._ends[name] = [self._follow("pods", name, stores.pods), self._follow("nodes", name, stores.nodes)]
            self._tell("pods", name, None)
            self._tell("nodes", name, None)
        self.touch(name)

    def leave(self, name: str) -> None:
        """A member is gone for good, and its objects with it."""
        self._members.pop(name, None)
        self._forget(name)
        self._tell("pods", name, None)
        self._tell("nodes", name, None)
        self.touch(name)

    def touch(self, name: str) -> None:
        """Something about the member itself may have changed."""
        self._tell("clusters", name, ("", name))

    def _follow(self, kind: FeedKind, cluster: str, store: Store[Any]) -> Unlisten:
        listeners, key_of = self._listeners[kind], store.key_of

        def note(old: Any, new: Any) -> None:
            if listeners:
                key = key_of(old if new is None else new)
                for listener in tuple(listeners.values()):
                    listener(cluster, key)

        return store.listen(note)

    def _forget(self, name: str) -> None:
        self._stores.pop(name, None)
        for end in self._ends.pop(name, ()):
            end()

    def _tell(self, kind: FeedKind, cluster: str, key: Key | None) -> None:
        for listener in tuple(self._listeners[kind].values()):
            listener(cluster, key)


class PodView:
    """The pods that a filter selects and a scope reaches, now and as they change."""

    kind: FeedKind = "pods"

    def __init__(self, feed: Feed, question: PodFilter, scope: Scope) -> None:
        self._feed = feed
        self._question = question
        self._scope = scope
        self._test = build_pod_test(question, scope)

    def select(self, cluster: str) -> dict[Key, Pod]:
        """All of one cluster."""
        stores, named = self._feed.stores(cluster), self._question.clusters
        if stores is None or (named is not None and cluster not in named) or not self._scope.sees_cluster(cluster):
            return {}
        found = select_pods(stores.pods, self._question, self._scope, cluster)
        return {(pod.namespace, pod.name): pod for pod in found}

    def get(self, cluster: str, key: Key) -> Pod | None:
        """The pod of that name, if it is one of these."""
        stores = self._feed.stores(cluster)
        pod = stores.pods.get(*key) if stores is not None else None
        return pod if pod is not None and self._test(pod) else None


class NodeView:
    """The nodes that a filter selects and a scope reaches; a scope of some namespaces reaches none."""

    kind: FeedKind = "nodes"

    def __init__(self, feed: Feed, question: NodeFilter, scope: Scope) -> None:
        self._feed = feed
        self._question = question
        self._scope = scope
        self._test = build_node_test(question)

    def select(self, cluster: str) -> dict[Key, Node]:
        """All of one cluster."""
        stores = self._feed.stores(cluster)
        if stores is None or not self._reaches(cluster):
            return {}
        return {("", node.name): node for node in select_nodes(stores.nodes, self._question)}

    def get(self, cluster: str, key: Key) -> Node | None:
        """The node of that name, if it is one of these."""
        stores = self._feed.stores(cluster)
        node = stores.nodes.get(*key) if stores is not None and self._reaches(cluster) else None
        return node if node is not None and self._test(node) else None

    def _reaches(self, cluster: str) -> bool:
        named = self._question.clusters
        return (named is None or cluster in named) and self._scope.sees_all_namespaces(cluster)


class ClusterView:
    """The clusters that a scope reaches, without their age, which is another one at every look."""

    kind: FeedKind = "clusters"

    def __init__(self, feed: Feed, scope: Scope) -> None:
        self._feed = feed
        self._scope = scope

    def select(self, cluster: str) -> dict[Key, Cluster]:
        """The one of that name."""
        key = ("", cluster)
        found = self.get(cluster, key)
        return {} if found is None else {key: found}

    def get(self, cluster: str, key: Key) -> Cluster | None:
        """A snapshot of it."""
        member = self._feed.member(cluster)
        if member is None or not self._scope.sees_cluster(cluster):
            return None
        return replace(member.describe(), age_seconds=None)


View = PodView | NodeView | ClusterView
