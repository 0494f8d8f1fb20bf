"""The federation as both faces read it."""

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from functools import partial
from operator import attrgetter
from typing import Any

from fleet.aio.recorder import current_recorder, note_cached
from fleet.aio.turns import Pace, Steps, Turns, finish
from fleet.kubernetes.discovery import Catalogs
from fleet.kubernetes.impersonation import ImpersonatedConnection, check_subject
from fleet.live.changes import ChangeFeed
from fleet.live.watched_kinds import WatchedKinds
from fleet.members.grants import Grants
from fleet.members.member import Member
from fleet.members.roster import Roster, find_labelled
from fleet.model.errors import ClusterTimeout, ClusterUnreachable, InvalidQuery
from fleet.model.event_queries import EventFilter, EventPage, check_event_page
from fleet.model.kinds import KINDS, WORKLOADS, ObjectKind, ResourceName
from fleet.model.objects import (
    NO_RESOURCES,
    Cluster,
    Namespace,
    NodeKey,
    ObjectKey,
    OnUnavailable,
    Pod,
    Resources,
    T,
)
from fleet.model.problems import Problems
from fleet.model.queries import Filter, Order, Page, PageRequest, Selection, usage_columns
from fleet.model.rights import Verb
from fleet.model.search import MAX_HITS, SearchKind, SearchResult, SearchText
from fleet.model.selectors import LabelSelector
from fleet.model.visibility import Scope
from fleet.model.workloads import Workload
from fleet.ports import Connection
from fleet.reads.availability import Availability
from fleet.reads.availability_cache import Participants
from fleet.reads.counts import CachedCounts
from fleet.reads.events import load_event_page
from fleet.reads.filtering import MemberFilter
from fleet.reads.liveness import require_live
from fleet.reads.paging import build_page, build_sorting, check_page
from fleet.reads.problems import ProblemFinder
from fleet.reads.resource_requests import RequestSums
from fleet.reads.result_cache import ResultCache, Select
from fleet.reads.search import search

_OWNERS_AT_ONCE = 50
"""Owners of pods whose workloads are summed up at a stretch."""


class Federation:
    """All clusters, their cached objects and their APIs. Every read takes the caller's scope.

    A cluster that the scope does not reach is as if it were not there. What is out of reach in another looks empty and
    is marked FORBIDDEN in lists, and raises Forbidden when it is named.
    Lists wait for members that have not proved themselves lately, all at once and at most for the member timeout.

    `members` is a live view of who belongs to it, `known` is set once its source has spoken for the first time, `feed`
    notifies of what changes in them, `turns` are shared by all that takes long. With `grants_max_age` (seconds) members
    decide what callers see, by what they said at most so long ago.
    """

    def __init__(
        self,
        members: Mapping[str, Member],
        known: asyncio.Event,
        *,
        member_timeout: float,
        feed: ChangeFeed | None = None,
        turns: Turns | None = None,
        grants_max_age: float | None = None,
    ) -> None:
        self.member_timeout = member_timeout
        self.feed = feed or ChangeFeed()
        self.turns = turns or Turns()
        self.catalogs = Catalogs()
        self.kinds = WatchedKinds(self.feed, self.catalogs, member_timeout, self.turns)
        self._roster = Roster(members)
        max_age = grants_max_age
        self.grants = None if max_age is None else Grants(self._roster, max_age=max_age, timeout=member_timeout)
        self._known = known
        self._synced = False
        self._availability = Availability(self._roster, known, member_timeout)
        # Each is of its key's own type, which a dict can't say.
        self._results: dict[ObjectKind[Any], ResultCache[Any]] = {kind: ResultCache(kind) for kind in KINDS}
        self._requested = RequestSums(self._roster)

    @property
    def is_known(self) -> bool:
        """Whether the source has said which clusters exist."""
        return self._known.is_set()

    @property
    def is_synced(self) -> bool:
        """Whether all members have been in memory, or known to be ill, at a time: it is so for good, whoever joins."""
        if not self._synced and self._known.is_set():
            self._synced = all(member.is_settled for member in self._roster.present())
        return self._synced

    @property
    def members(self) -> list[Member]:
        """Everybody who belongs to it, whoever asks: for figures, never for an answer."""
        return self._roster.present()

    async def wait_synced(self, timeout: float) -> None:
        """Waits until every member is in memory or known to be ill, at most `timeout` seconds. Raises nothing."""
        await self.wait_until(lambda: self.is_synced, timeout)

    async def wait_until(self, condition: Callable[[], bool], timeout: float) -> None:
        """Waits until something holds of the members, at most `timeout` seconds. Raises nothing."""
        changed = asyncio.Event()
        unlisten = self.feed.listen("clusters", lambda *_: changed.set())
        try:
            async with asyncio.timeout(timeout):
                await self._known.wait()
                while not condition():
                    changed.clear()
                    await changed.wait()
        except TimeoutError:
            pass
        finally:
            unlisten()

    async def grant(self, scope: Scope, cluster: str | None = None) -> Scope:
        """The scope with what members let its caller see, all of them or the named one. Raises Forbidden."""
        if self.grants is None:
            return scope
        with suppress(ClusterTimeout):  # whatever is read by it tells that no cluster is known yet
            await self.wait_known()
        return await self.grants.load(scope, None if cluster is None else self.own_name(scope, cluster))

    def grant_now(self, scope: Scope) -> Scope:
        """The same at once, by what is known. Raises Forbidden."""
        return scope if self.grants is None else self.grants.find(scope)

    def list_clusters(self, scope: Scope, labelled: Collection[str] | None = None) -> list[Cluster]:
        """Snapshots of the clusters in reach (those of a selection), host first, then by name. Asks nobody."""
        found = self._roster.reached(scope)
        return [member.describe() for member in found if labelled is None or member.name in labelled]

    async def list_labels(self) -> Mapping[str, Mapping[str, str]]:
        """Labels of all clusters by name, whoever asks. Raises ClusterTimeout while they are not known."""
        await self.wait_known()
        return {member.name: dict(member.spec.labels) for member in self._roster.present()}

    def count_objects(self, scope: Scope) -> CachedCounts:
        """How much the clusters in reach hold, from memory. Asks nobody."""
        return CachedCounts(self._roster.all, scope)

    def get_cluster(self, scope: Scope, name: str) -> Cluster:
        """One cluster's snapshot, by any of its names. Raises ClusterNotFound."""
        return self._roster.get(scope, name).describe()

    def reaches(self, scope: Scope, name: str) -> bool:
        """Whether there is a cluster of this name in reach."""
        own = self._roster.own_name(scope, name)
        return scope.sees_cluster(own) and self._roster.find(own) is not None

    def resolve_name(self, scope: Scope, name: str) -> str:
        """What a cluster in reach is called here, by any of its names. Raises ClusterNotFound.

        Whoever authorizes by a name that a caller gave authorizes by this one.
        """
        return self._roster.get(scope, name).name

    def own_name(self, scope: Scope, name: str) -> str:
        """What a cluster in reach is called here that its source also calls so; the same for all that is none."""
        return self._roster.own_name(scope, name)

    async def select(
        self,
        kind: ObjectKind[T],
        scope: Scope,
        filter: Filter[T],  # noqa: A002 - the word of the question
        on_unavailable: OnUnavailable,
    ) -> Selection[T]:
        """All objects that the filter selects, from memory; its bounds of usage are left to `fleet.model.ranking`.

        Raises ClusterNotFound for a name of no cluster in reach (in every mode), Forbidden where nothing of the named
        clusters is, and with STRICT the ClusterError of the first member that is missing. STRICT also makes one named
        cluster of which nothing is Forbidden. What is cluster-wide is out of reach where not all namespaces are in.
        """
        await self.wait_known()
        filter = self._roster.resolve(scope, filter)  # noqa: A001
        participants = await self._availability.participants(
            scope, kind.name, filter.clusters, on_unavailable, labelled=filter.labelled
        )
        return await Pace(self.turns).walk(self._find(kind, participants, scope, filter))

    def select_now(
        self,
        kind: ObjectKind[T],
        scope: Scope,
        filter: Filter[T],  # noqa: A002 - the word of the question
        on_unavailable: OnUnavailable,
    ) -> Selection[T] | None:
        """As `select`; None where some member has to be waited for first, or finding takes turns with others."""
        if filter.is_long:
            return None
        filter = self._roster.resolve(scope, filter)  # noqa: A001
        participants = self._availability.participants_now(
            scope, kind.name, filter.clusters, on_unavailable, labelled=filter.labelled
        )
        if participants is None or (kind is WORKLOADS and not _are_settled(participants.members)):
            return None
        return finish(self._find(kind, participants, scope, filter))

    async def list_page(
        self,
        kind: ObjectKind[T],
        scope: Scope,
        filter: Filter[T],  # noqa: A002 - the word of the question
        orders: tuple[Order, ...],
        page: PageRequest,
        on_unavailable: OnUnavailable,
    ) -> Page[T]:
        """A page, from memory alone. Raises as `select`, and InvalidQuery, also for anything of usage."""
        sorting = build_sorting(kind, orders)
        after = check_page(page, sorting)
        if usage_columns(filter, orders):
            raise InvalidQuery(
                "usage is not in memory: what is ordered or bounded by it has to be asked of a metric store"
            )
        return build_page(await self.select(kind, scope, filter, on_unavailable), sorting, page, after)

    async def search(
        self,
        scope: Scope,
        text: str,
        kinds: frozenset[SearchKind],
        first: int,
        on_unavailable: OnUnavailable,
        cluster_labels: LabelSelector | None = None,
    ) -> SearchResult:
        """The first objects in reach that have a text, from memory. Raises InvalidQuery; as `select` with STRICT."""
        if not 0 <= first <= MAX_HITS:
            raise InvalidQuery(f"`first` is 0 at least and {MAX_HITS} at most, not {first}")
        wanted = SearchText(text)
        asked = Participants([], (), None)
        if cluster_labels is not None:
            await self.wait_known()
        labelled = self._roster.labelled(scope, cluster_labels)
        if kinds - {SearchKind.CLUSTER}:
            resource: ResourceName = "nodes" if kinds <= {SearchKind.CLUSTER, SearchKind.NODE} else "pods"
            others: tuple[ResourceName, ...] = () if resource == "nodes" else ("nodes", "namespaces")
            asked = await self._availability.participants(scope, resource, None, on_unavailable, others, labelled)
        clusters = sorted(self.list_clusters(scope, labelled), key=attrgetter("name"))
        stores = {member.name: member.stores for member in asked.members}
        hits, has_more = await search(wanted, kinds, first, scope, clusters, stores, self.turns)
        for cluster, count in Counter(hit.cluster for hit in hits).items():
            note_cached(cluster, count)
        return SearchResult(hits, has_more, asked.outcomes)

    async def get(self, kind: ObjectKind[T], scope: Scope, key: ObjectKey) -> T | None:
        """One object, None where its cluster has none of that name. Raises ClusterNotFound, Forbidden, ClusterError."""
        await self.wait_known()
        member = self._roster.check_reach(kind, scope, key)
        await require_live(member, kind.name)
        if kind is WORKLOADS:
            await Pace(self.turns).walk(member.stores.marked_workloads.settling())
        found = member.stores.of(kind).get(key.namespace, key.entry)
        note_cached(member.name, 0 if found is None else 1)
        return found

    def get_cached(self, kind: ObjectKind[T], scope: Scope, key: ObjectKey) -> T | None:
        """One object that another one names, from memory, without waiting; None where it is gone or out of reach."""
        member = self._roster.find(key.cluster)
        if member is None or not kind.is_within(scope, key, "get"):
            return None
        found = member.stores.of(kind).get(key.namespace, key.entry)
        if current_recorder() is not None:  # asked for each item of a page
            note_cached(key.cluster, 0 if found is None else 1)
        return found

    def workload_of(self, scope: Scope, pod: Pod) -> Workload | None:
        """What runs a pod that is in reach, the topmost that is known; None where it is gone, or out of reach."""
        member = self._roster.find(pod.cluster)
        found = None if member is None else member.stores.marked_workloads.find_of(pod)
        return found if found is not None and WORKLOADS.is_within(scope, found, "get") else None

    def owners_in(self, workload: Workload) -> frozenset[str]:
        """The UIDs of the controllers that a workload's pods are of: ReplicaSets, Jobs, itself."""
        member = self._roster.find(workload.cluster)
        return frozenset() if member is None else member.stores.marked_workloads.owners_in(workload)

    def pods_in(self, workload: Workload) -> list[Pod]:
        """The pods of a workload that is in reach, in order."""
        member = self._roster.find(workload.cluster)
        return [] if member is None else member.stores.marked_workloads.pods_in(workload)

    def pods_of(self, clusters: Collection[str]) -> list[tuple[Pod, ...]]:
        """All cached pods of some clusters, whoever may see them: for what is held for all, never for an answer."""
        found = (self._roster.find(cluster) for cluster in clusters)
        return [member.pods.all() for member in found if member is not None]

    def check_reach(self, kind: ObjectKind[T], scope: Scope, key: ObjectKey) -> None:
        """That an object of this name, if there ever was one, is within reach. Raises ClusterNotFound, Forbidden."""
        self._roster.check_reach(kind, scope, key)

    async def check_live(self, kind: ObjectKind[T], scope: Scope, wanted: Filter[T]) -> Filter[T]:
        """The question with clusters' own names, if it can be followed. Asks no member: what is not there yet may come.

        Raises ClusterNotFound for a named cluster that does not exist, Forbidden where all that is named is out of
        reach, InvalidQuery for a bound on usage.
        """
        if wanted.usage:
            raise InvalidQuery("a bound on usage can't be followed: usage moves while nothing of an object changes")
        await self.wait_known()
        wanted = self._roster.resolve(scope, wanted)
        self._roster.check_clusters(kind.name, scope, wanted.clusters, "watch")
        self._roster.check_named(kind.name, scope, wanted, "watch")
        return wanted

    async def list_events(
        self, scope: Scope, wanted: EventFilter, page: PageRequest, on_unavailable: OnUnavailable
    ) -> EventPage:
        """A page of all clusters' newest events, from memory. Raises as `select`, and InvalidQuery."""
        after = check_event_page(page)
        wanted = await self.check_events(scope, wanted)
        participants = await self._availability.participants(
            scope, "events", wanted.clusters, on_unavailable, labelled=wanted.labelled
        )
        return await load_event_page(participants, scope, wanted, page, after, self.turns)

    async def find_problems(self, scope: Scope, cluster_labels: LabelSelector | None = None) -> Problems:
        """What is wrong now, in groups, from memory; who does not answer is a problem itself. Raises ClusterTimeout."""
        await self.wait_known()
        labelled = self._roster.labelled(scope, cluster_labels)
        participants = await self._availability.participants(
            scope, "pods", None, OnUnavailable.STALE, ("nodes",), labelled
        )
        finder = ProblemFinder(scope, self.turns)
        for cluster in self.list_clusters(scope, labelled):
            finder.add_cluster(cluster)
        for member in participants.members:
            await finder.add_member(member)
        return Problems(finder.finish(), participants.outcomes)

    async def check_events(self, scope: Scope, wanted: EventFilter, verb: Verb = "list") -> EventFilter:
        """The question with clusters' own names, if it can be asked or followed.

        Raises ClusterNotFound, Forbidden where all that is named is out of reach, InvalidQuery where none are kept.
        """
        await self.wait_known()
        members = self._roster.present()
        if members and not any(member.stores.events.most for member in members):
            raise InvalidQuery("events of all clusters are not kept here: OPENMCP_EVENTS_KEPT is 0")
        wanted = wanted.resolve(partial(self._roster.own_name, scope), partial(find_labelled, members, scope))
        self._roster.check_clusters("events", scope, wanted.clusters, verb)
        self._roster.check_namespaces("events", scope, wanted, verb)
        return wanted

    def requested_on(self, scope: Scope, key: NodeKey) -> Resources:
        """The sum of the requests of a node's pods that are not finished; nothing where not all pods are in reach."""
        return self._requested.on(key) if scope.sees_all_namespaces(key.cluster, "pods") else NO_RESOURCES

    def requested_in(self, scope: Scope, cluster: str) -> Resources | None:
        """That of all pods of a cluster that are on a node and not finished; None where not all are in reach."""
        return self._requested.of(cluster) if scope.sees_all_namespaces(cluster, "pods") else None

    async def list_namespaces(self, scope: Scope, cluster: str) -> tuple[Namespace, ...] | None:
        """The namespaces of a cluster that the scope reaches, by name; None while it can't be asked.

        Raises ClusterNotFound, Forbidden.
        """
        return _find_namespaces(
            await self._availability.participants(scope, "namespaces", frozenset((cluster,)), OnUnavailable.PARTIAL),
            scope,
        )

    def list_namespaces_now(self, scope: Scope, cluster: str) -> tuple[Namespace, ...] | None:
        """As `list_namespaces`; None also where the cluster has to be waited for first."""
        participants = self._availability.participants_now(
            scope, "namespaces", frozenset((cluster,)), OnUnavailable.PARTIAL
        )
        return None if participants is None else _find_namespaces(participants, scope)

    def get_connection(self, scope: Scope, cluster: str) -> Connection:
        """The pool to a cluster's API server, for pass-through; as the caller where members decide.

        Raises ClusterNotFound, Forbidden, ClusterUnreachable (ill, or cut off by its breaker, with the reason).
        """
        connection = self._roster.get(scope, cluster).check_reachable()
        if scope.granted is None:
            return connection
        return ImpersonatedConnection(connection, check_subject(scope.granted.subject))

    def visible_namespaces(self, scope: Scope, cluster: str, resource: str) -> list[str]:
        """Names of the namespaces of a cluster in memory in which the scope reaches a kind, sorted.

        Raises ClusterNotFound, Forbidden, ClusterUnreachable where they were never listed.
        """
        member = self._roster.get(scope, cluster)
        if not member.has_listed("namespaces"):
            raise ClusterUnreachable(cluster, f"the namespaces of {cluster} are not known yet")
        known = (entry.name for entry in member.namespaces)
        names = sorted(name for name in known if scope.sees_namespace(cluster, name, resource))
        note_cached(cluster, len(names))
        return names

    async def wait_known(self) -> None:
        """Waits until the source has said which clusters exist. Raises ClusterTimeout."""
        await self._availability.wait_known()

    def _find(
        self, kind: ObjectKind[T], participants: Participants, scope: Scope, question: Filter[T]
    ) -> Steps[Selection[T]]:
        self._roster.check_named(kind.name, scope, question)
        if kind is WORKLOADS:
            for member in participants.members:
                yield from member.stores.marked_workloads.settling()
        results: ResultCache[T] = self._results[kind]

        def build() -> Select[T]:
            wanted = MemberFilter(kind, question, scope)
            return lambda member: wanted.scan(member.stores.of(kind), member.name)

        # Who sees what is cluster-wide sees all of it.
        cached_as = None if question.ages else question if kind.cluster_wide else (scope, question)
        matched = yield from results.find(cached_as, participants, build)
        return Selection(matched, participants.outcomes)


def _are_settled(members: Iterable[Member]) -> bool:
    """Whether workloads may be brought into step with their pods at once."""
    return sum(member.stores.marked_workloads.marks for member in members) <= _OWNERS_AT_ONCE


def _find_namespaces(participants: Participants, scope: Scope) -> tuple[Namespace, ...] | None:
    for member in participants.members:
        found = tuple(
            entry for entry in member.namespaces if scope.sees_namespace(member.name, entry.name, "namespaces")
        )
        note_cached(member.name, len(found))
        return found
    return None
