"""Tells what changed in any member, as it changes: one feed for all that is live.

The feed says *that* an object changed and under which name, never what it was: whoever listens looks at the state there
is by then, so a burst of changes costs one look, and a resync after a lost watch is nothing special.

A member that can't be reached keeps its last known objects here: they are compared with its next list when it is back.
A member that left the federation has none.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from typing import Any, Generic, Literal, TypeVar

from msgspec.structs import replace

from fleet.aio.turns import Steps
from fleet.cache.rows import StoreKey
from fleet.cache.store import Store
from fleet.cache.stores import Stores
from fleet.members.member import Member
from fleet.members.roster import find_labelled
from fleet.model.event_queries import EventFilter, Test
from fleet.model.kinds import KINDS, ObjectKind, ResourceName
from fleet.model.kube_objects import Event
from fleet.model.objects import Cluster, Node, Pairs, Pod, T
from fleet.model.queries import ClusterFilter, Filter
from fleet.model.visibility import Scope
from fleet.reads.filtering import MemberFilter

Topic = ResourceName | Literal["clusters", "labels"]
"""What can be listened to: the members themselves, their labels alone, or one kind of their objects."""

Q = TypeVar("Q", bound=ClusterFilter)

FeedListener = Callable[[str, StoreKey | None], None]
"""Called (quick, never raising) with a cluster and the name of an object; None where any of its objects may differ."""

Unlisten = Callable[[], None]

AGE_SECONDS = 10.0
"""How late it may be told that an object came to pass a filter, or ceased to, by growing older."""


class ChangeFeed:
    """All members' changes. The registry of members calls `join`, `leave` and `touch`."""

    def __init__(self, *, age_seconds: float = AGE_SECONDS) -> None:
        self.age_seconds = age_seconds
        self._members: dict[str, Member] = {}
        self._stores: dict[str, Stores] = {}
        self._ends: dict[str, list[Unlisten]] = {}
        self._labels: dict[str, Pairs] = {}
        topics: list[Topic] = ["clusters", "labels", "events", *(kind.name for kind in KINDS)]
        self._listeners: dict[Topic, dict[object, FeedListener]] = {topic: {} for topic in topics}

    def listen(self, topic: Topic, listener: FeedListener) -> Unlisten:
        """Calls the listener after each change of the topic, until the returned function is called."""
        listeners, mark = self._listeners[topic], object()
        listeners[mark] = listener

        def unlisten() -> None:
            listeners.pop(mark, None)

        return unlisten

    def listen_labels(
        self, question: ClusterFilter, renew: Callable[[], bool], listener: FeedListener, unlisten: Unlisten
    ) -> Unlisten:
        """Calls a listener of the question also where labels of a cluster make a difference to it; ends `unlisten` too.

        `renew` resolves the question anew, and says whether it is another one by that.
        """
        if not question.goes_by_labels:
            return unlisten
        end = self.listen("labels", lambda cluster, key: listener(cluster, key) if renew() else None)
        renew()  # they may have changed since it was resolved

        def unlisten_both() -> None:
            unlisten()
            end()

        return unlisten_both

    def clusters(self) -> Collection[str]:
        return tuple(self._members)

    def stores(self, cluster: str) -> Stores | None:
        """What is kept of a cluster; None where it is not in the federation."""
        return self._stores.get(cluster)

    def member(self, cluster: str) -> Member | None:
        return self._members.get(cluster)

    def resolve(self, question: Q, scope: Scope, own_name: Callable[[str], str] = str) -> Q:
        """The question with the clusters that labels select now."""
        return question.resolve(own_name, partial(find_labelled, self._members.values(), scope))

    def join(self, member: Member) -> None:
        """A member is there, perhaps in the place of one of the same name."""
        name, stores = member.name, member.stores
        self._members[name] = member
        member.on_change = lambda: self.touch(name)
        self._forget(name)
        self._stores[name] = stores
        self._ends[name] = [self._follow(kind.name, name, stores.named(kind.name)) for kind in KINDS]
        self._ends[name].append(stores.events.listen(partial(self._notify, "events", name)))
        self._notify_all(name)
        self.touch(name)

    def leave(self, name: str) -> None:
        """A member is gone for good, and its objects with it."""
        self._members.pop(name, None)
        self._forget(name)
        self._notify_all(name)
        self.touch(name)

    def touch(self, name: str) -> None:
        """Something about the member itself may have changed."""
        self._notify("clusters", name, ("", name))
        member = self._members.get(name)
        labels = () if member is None else member.spec.labels
        if labels != self._labels.get(name, ()):
            self._labels[name] = labels
            self._notify("labels", name, None)
        if member is None:
            self._labels.pop(name, None)

    def _follow(self, topic: Topic, cluster: str, store: Store[Any]) -> Unlisten:
        listeners, key_of = self._listeners[topic], store.key_of

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

    def _notify_all(self, cluster: str) -> None:
        for kind in KINDS:
            self._notify(kind.name, cluster, None)

    def _notify(self, topic: Topic, cluster: str, key: StoreKey | None) -> None:
        for listener in tuple(self._listeners[topic].values()):
            listener(cluster, key)


class ObjectView(Generic[T]):
    """The objects of a kind that a filter selects and a scope reaches, now and as they change.

    `recheck_seconds`: how often all of them have to be looked at anew, None for never. `held_bytes`: what is held for
    these alone.
    """

    held_bytes = 0

    def __init__(self, feed: ChangeFeed, kind: ObjectKind[T], question: Filter[T], scope: Scope) -> None:
        self.topic: Topic = kind.name
        self._feed = feed
        self._kind: ObjectKind[T] = kind
        self._question: Filter[T] = question
        self._scope = scope
        self.recheck_seconds = feed.age_seconds if question.ages else None
        self._filter: MemberFilter[T] = MemberFilter(kind, question, scope, "watch")

    def clusters(self) -> Collection[str]:
        return self._feed.clusters()

    def listen(self, topic: Topic, listener: FeedListener) -> Unlisten:
        """As the feed's, and where labels come to select another cluster."""
        end = self._feed.listen(topic, listener)
        return self._feed.listen_labels(self._question, self._renew, listener, end)

    def _renew(self) -> bool:
        before, self._question = self._question, self._feed.resolve(self._question, self._scope)
        self._filter = MemberFilter(self._kind, self._question, self._scope, "watch")
        return self._question != before

    def scan(self, cluster: str) -> Steps[Sequence[StoreKey]]:
        """The names of those of a cluster."""
        stores, asked = self._feed.stores(cluster), self._question.asked
        if stores is None or (asked is not None and cluster not in asked) or not self._sees(cluster):
            return ()
        found = yield from self._filter.scan(stores.of(self._kind), cluster)
        return [(entry.namespace, entry.name) for entry in found]

    def get(self, cluster: str, key: StoreKey) -> T | None:
        """The object of that name, if it is one of these."""
        stores = self._feed.stores(cluster)
        entry = None if stores is None else stores.of(self._kind).get(*key)
        return entry if entry is not None and self._filter.matches(entry) else None

    def _sees(self, cluster: str) -> bool:
        if self._kind.cluster_wide:
            return self._scope.sees_all_namespaces(cluster, self._kind.name, "watch")
        return self._scope.sees_cluster(cluster)


class ClusterView:
    """The clusters that a scope reaches, without their age, which is another one at every look."""

    topic: Topic = "clusters"
    recheck_seconds: float | None = None
    held_bytes = 0

    def __init__(self, feed: ChangeFeed, scope: Scope) -> None:
        self._feed = feed
        self._scope = scope

    def select(self, cluster: str) -> dict[StoreKey, Cluster]:
        key = ("", cluster)
        found = self.get(cluster, key)
        return {} if found is None else {key: found}

    def get(self, cluster: str, key: StoreKey) -> Cluster | None:
        member = self._feed.member(cluster)
        if member is None or not self._scope.sees_cluster(cluster):
            return None
        return replace(member.describe(), age_seconds=None)


class EventView:
    """The events of the rings that a filter selects and a scope reaches."""

    def __init__(self, feed: ChangeFeed, wanted: EventFilter, scope: Scope) -> None:
        self._feed = feed
        self._wanted = wanted
        self._scope = scope
        self._tests: dict[str, Test | None] = {}

    def listen(self, listener: FeedListener) -> Unlisten:
        """Calls the listener after each event, and where labels come to select another cluster."""
        return self._feed.listen_labels(self._wanted, self._renew, listener, self._feed.listen("events", listener))

    def _renew(self) -> bool:
        before, self._wanted = self._wanted, self._feed.resolve(self._wanted, self._scope)
        self._tests.clear()
        return self._wanted != before

    def select(self, cluster: str) -> Iterator[Event]:
        """Those of a cluster that happened since the time of the filter, newest first; none where it has no time."""
        stores, since = self._feed.stores(cluster), self._wanted.since
        if stores is None or since is None:
            return iter(())
        test, newest = self._test_of(cluster), stores.events.newest(since=since)
        return newest if test is None else filter(test, newest)

    def get(self, cluster: str, key: StoreKey) -> Event | None:
        """The event of that name, if it is one of these."""
        stores = self._feed.stores(cluster)
        event, test = None if stores is None else stores.events.get(key), self._test_of(cluster)
        if event is None or (event.last_seen or 0.0) < (self._wanted.since or 0.0):
            return None
        return event if test is None or test(event) else None

    def _test_of(self, cluster: str) -> Test | None:
        if cluster not in self._tests:
            self._tests[cluster] = self._wanted.build_test(self._scope, cluster, "watch")
        return self._tests[cluster]


View = ObjectView[Pod] | ObjectView[Node] | ClusterView
