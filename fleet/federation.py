"""The federation as both faces read it."""

import asyncio
import contextlib
from collections.abc import Collection, Mapping
from typing import TypeVar

from fleet.aio.recorder import note_cached
from fleet.kubernetes.discovery import Catalogs
from fleet.live.changes import Feed
from fleet.members.member import Member
from fleet.members.roster import NODES_FORBIDDEN, Roster
from fleet.model.errors import ClusterUnreachable, Forbidden, InvalidQuery
from fleet.model.objects import (
    Cluster,
    Namespace,
    Node,
    NodeKey,
    OnUnavailable,
    Outcome,
    Pod,
    PodKey,
    Resources,
)
from fleet.model.queries import NodeFilter, Order, Page, PageRequest, PodFilter, Selection, usage_columns
from fleet.model.scope import Scope
from fleet.ports import Connection
from fleet.reads.availability import Asker
from fleet.reads.availability_cache import Asked
from fleet.reads.counts import CachedSizes
from fleet.reads.filtering import PodSelection, select_nodes
from fleet.reads.liveness import require
from fleet.reads.paging import build_node_sorting, build_page, build_pod_sorting, check_page
from fleet.reads.requested import Requested
from fleet.reads.result_cache import Found, Select

T = TypeVar("T", Pod, Node)


class Federation:
    """All clusters, their cached objects and their APIs. Every read takes the caller's scope.

    What the scope does not reach looks empty and is marked FORBIDDEN in lists, and raises Forbidden when it is named.
    Lists wait for members that have not proved themselves lately, all at once and at most for the member timeout.

    `members` is a live view of who belongs to it, `known` is set once its source has spoken for the first time, `feed`
    tells what changes in them.
    """

    def __init__(
        self, members: Mapping[str, Member], known: asyncio.Event, *, member_timeout: float, feed: Feed | None = None
    ) -> None:
        self.member_timeout = member_timeout
        self.feed = feed or Feed()
        self.catalogs = Catalogs()
        self._roster = Roster(members)
        self._known = known
        self._asker = Asker(self._roster, known, member_timeout)
        self._found_pods: Found[Pod] = Found("pods")
        self._found_nodes: Found[Node] = Found("nodes")
        self._requested = Requested(self._roster)

    @property
    def is_known(self) -> bool:
        """Whether the source has said which clusters exist."""
        return self._known.is_set()

    async def wait_synced(self, timeout: float) -> None:
        """Waits until every member is in memory or known to be ill, at most `timeout` seconds. Raises nothing."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(timeout):
                await self._known.wait()
                await asyncio.gather(*(member.wait_settled() for member in self._roster.all()))

    def list_clusters(self, scope: Scope) -> list[Cluster]:
        """Snapshots of the clusters in reach, host first, then by name. Asks nobody."""
        return [member.describe() for member in self._roster.all() if scope.sees_cluster(member.name)]

    def count_objects(self, scope: Scope) -> CachedSizes:
        """How much the clusters in reach hold, from memory. Asks nobody."""
        return CachedSizes(self._roster.all, scope)

    def get_cluster(self, scope: Scope, name: str) -> Cluster:
        """One cluster's snapshot. Raises ClusterNotFound, Forbidden."""
        return self._roster.get(scope, name).describe()

    async def select_pods(
        self,
        scope: Scope,
        filter: PodFilter,  # noqa: A002 - the word of the question
        on_unavailable: OnUnavailable,
    ) -> Selection[Pod]:
        """All pods that the filter selects, from memory; its bounds of usage are left to `fleet.model.ranking`.

        Raises ClusterNotFound for a named cluster that does not exist (in every mode), Forbidden where every named
        cluster is out of reach, and with STRICT the ClusterError of the first member that is missing. STRICT also makes
        one named cluster out of reach Forbidden.
        """
        asked = await self._asker.ask(scope, "pods", filter.clusters, on_unavailable)
        return self._find_pods(asked, scope, filter)

    def read_pods(
        self,
        scope: Scope,
        filter: PodFilter,  # noqa: A002 - the word of the question
        on_unavailable: OnUnavailable,
    ) -> Selection[Pod] | None:
        """As `select_pods`; None where some member has to be waited for first."""
        asked = self._asker.ask_now(scope, "pods", filter.clusters, on_unavailable)
        return None if asked is None else self._find_pods(asked, scope, filter)

    async def select_nodes(
        self,
        scope: Scope,
        filter: NodeFilter,  # noqa: A002 - the word of the question
        on_unavailable: OnUnavailable,
    ) -> Selection[Node]:
        """All nodes that the filter selects; as `select_pods`. Out of reach where not all namespaces are in it."""
        return self._find_nodes(await self._asker.ask(scope, "nodes", filter.clusters, on_unavailable), filter)

    def read_nodes(
        self,
        scope: Scope,
        filter: NodeFilter,  # noqa: A002 - the word of the question
        on_unavailable: OnUnavailable,
    ) -> Selection[Node] | None:
        """As `select_nodes`; None where some member has to be waited for first."""
        asked = self._asker.ask_now(scope, "nodes", filter.clusters, on_unavailable)
        return None if asked is None else self._find_nodes(asked, filter)

    async def list_pods(
        self,
        scope: Scope,
        filter: PodFilter,  # noqa: A002 - the word of the question
        orders: tuple[Order, ...],
        page: PageRequest,
        on_unavailable: OnUnavailable,
    ) -> Page[Pod]:
        """A page of pods, from memory alone. Raises as `select_pods`, and InvalidQuery, also for anything of usage."""
        sorting = build_pod_sorting(orders)
        check_page(page, sorting)
        _check_in_memory(filter, orders)
        return build_page(await self.select_pods(scope, filter, on_unavailable), sorting, page)

    async def list_nodes(
        self,
        scope: Scope,
        filter: NodeFilter,  # noqa: A002 - the word of the question
        orders: tuple[Order, ...],
        page: PageRequest,
        on_unavailable: OnUnavailable,
    ) -> Page[Node]:
        """A page of nodes; as `list_pods`."""
        sorting = build_node_sorting(orders)
        check_page(page, sorting)
        _check_in_memory(filter, orders)
        return build_page(await self.select_nodes(scope, filter, on_unavailable), sorting, page)

    async def get_pod(self, scope: Scope, key: PodKey) -> Pod | None:
        """One pod, None where the cluster has none of that name. Raises ClusterNotFound, Forbidden, ClusterError."""
        await self.wait_known()
        member = self._roster.get(scope, key.cluster)
        if not scope.sees_namespace(key.cluster, key.namespace):
            raise Forbidden(f"the namespace {key.namespace[:100]!r} of {key.cluster} is out of your reach")
        await require(member, "pods")
        return _noted(key.cluster, member.pods.get(key.namespace, key.name))

    async def get_node(self, scope: Scope, key: NodeKey) -> Node | None:
        """One node, None where the cluster has none of that name. Raises ClusterNotFound, Forbidden, ClusterError."""
        await self.wait_known()
        member = self._roster.get(scope, key.cluster)
        if not scope.sees_all_namespaces(key.cluster):
            raise Forbidden(NODES_FORBIDDEN)
        await require(member, "nodes")
        return _noted(key.cluster, member.nodes.get("", key.name))

    def cached_node(self, scope: Scope, key: NodeKey) -> Node | None:
        """The node of a pod that was just answered, from memory, without waiting; None where it is out of reach."""
        member = self._roster.find(key.cluster)
        if member is None or not scope.sees_all_namespaces(key.cluster):
            return None
        return _noted(key.cluster, member.nodes.get("", key.name))

    def cached_pod(self, scope: Scope, key: PodKey) -> Pod | None:
        """The pod of a placement, from memory, without waiting; None where it is gone or out of reach."""
        member = self._roster.find(key.cluster)
        if member is None or not scope.sees_namespace(key.cluster, key.namespace):
            return None
        return _noted(key.cluster, member.pods.get(key.namespace, key.name))

    def pods_of(self, clusters: Collection[str]) -> list[tuple[Pod, ...]]:
        """All cached pods of some clusters, whoever may see them: for what is held for all, never for an answer."""
        found = (self._roster.find(cluster) for cluster in clusters)
        return [member.pods.all() for member in found if member is not None]

    def check_reach(self, scope: Scope, key: PodKey) -> None:
        """That a pod of this name, if there ever was one, is within reach. Raises ClusterNotFound, Forbidden."""
        self._roster.get(scope, key.cluster)
        if not scope.sees_namespace(key.cluster, key.namespace):
            raise Forbidden(f"the namespace {key.namespace[:100]!r} of {key.cluster} is out of your reach")

    async def check_live(self, scope: Scope, wanted: PodFilter | NodeFilter | None) -> None:
        """That what is to be followed can be: asks no member, since what is not there yet may come.

        Raises ClusterNotFound for a named cluster that does not exist, Forbidden where all that is named is out of
        reach, InvalidQuery for a bound on usage.
        """
        if getattr(wanted, "usage", ()):  # not every filter has one
            raise InvalidQuery("a bound on usage can't be followed: usage moves while nothing of an object changes")
        await self.wait_known()
        self._roster.check_live(scope, wanted)

    def requested_on(self, key: NodeKey) -> Resources:
        """The sum of the requests of a node's pods that are not finished."""
        return self._requested.on(key)

    def requested_in(self, cluster: str) -> Resources:
        """The sum of the requests of all pods of a cluster that are on a node and not finished."""
        return self._requested.of(cluster)

    async def list_namespaces(self, scope: Scope, cluster: str) -> tuple[Namespace, ...] | None:
        """The namespaces of a cluster that the scope reaches, by name; None while it can't be asked.

        Raises ClusterNotFound, Forbidden.
        """
        return _find_namespaces(
            await self._asker.ask(scope, "namespaces", frozenset((cluster,)), OnUnavailable.PARTIAL), scope
        )

    def read_namespaces(self, scope: Scope, cluster: str) -> tuple[Namespace, ...] | None:
        """As `list_namespaces`; None also where the cluster has to be waited for first."""
        asked = self._asker.ask_now(scope, "namespaces", frozenset((cluster,)), OnUnavailable.PARTIAL)
        return None if asked is None else _find_namespaces(asked, scope)

    async def cluster_outcomes(self, scope: Scope, names: frozenset[str] | None) -> list[Outcome]:
        """Asks the named (or all) clusters for a sign of life and says how each is.

        Raises ClusterNotFound, and Forbidden where every named cluster is out of reach.
        """
        return list((await self._asker.ask(scope, None, names, OnUnavailable.PARTIAL)).outcomes)

    def get_connection(self, scope: Scope, cluster: str) -> Connection:
        """The pool to a cluster's API server, for pass-through.

        Raises ClusterNotFound, Forbidden, ClusterUnreachable (ill, or cut off by its breaker, with the reason).
        """
        return self._roster.get(scope, cluster).check_reachable()

    def visible_namespaces(self, scope: Scope, cluster: str) -> list[str]:
        """Names of the namespaces of a cluster in memory that the scope reaches, sorted.

        Raises ClusterNotFound, Forbidden, ClusterUnreachable where they were never listed.
        """
        member = self._roster.get(scope, cluster)
        if not member.has_listed("namespaces"):
            raise ClusterUnreachable(cluster, f"the namespaces of {cluster} are not known yet")
        names = sorted(entry.name for entry in member.namespaces if scope.sees_namespace(cluster, entry.name))
        note_cached(cluster, len(names))
        return names

    def hidden_clusters(self, scope: Scope) -> dict[str, str]:
        """The clusters out of the scope's reach, each with the words that mark it in a list."""
        return self._roster.hidden(scope)

    async def wait_known(self) -> None:
        """Waits until the source has said which clusters exist. Raises ClusterTimeout."""
        await self._asker.wait_known()

    def _find_pods(self, asked: Asked, scope: Scope, question: PodFilter) -> Selection[Pod]:
        self._roster.check_namespaces(scope, question)

        def build() -> Select[Pod]:
            selection = PodSelection(question, scope)
            return lambda member: selection.find(member.pods, member.name)

        return Selection(self._found_pods.find((scope, question), asked, build), asked.outcomes)

    def _find_nodes(self, asked: Asked, question: NodeFilter) -> Selection[Node]:
        def build() -> Select[Node]:
            return lambda member: select_nodes(member.nodes, question)

        return Selection(self._found_nodes.find(question, asked, build), asked.outcomes)


def _find_namespaces(asked: Asked, scope: Scope) -> tuple[Namespace, ...] | None:
    for member in asked.members:
        found = tuple(entry for entry in member.namespaces if scope.sees_namespace(member.name, entry.name))
        note_cached(member.name, len(found))
        return found
    return None


def _noted(cluster: str, found: T | None) -> T | None:
    """The object, written down as read from a cluster's memory."""
    note_cached(cluster, 0 if found is None else 1)
    return found


def _check_in_memory(question: PodFilter | NodeFilter, orders: tuple[Order, ...]) -> None:
    if usage_columns(question, orders):
        raise InvalidQuery("usage is not in memory: what is ordered or bounded by it has to be asked of a metric store")
