"""One request's view of clusters: each is looked at once, so that an answer does not contradict itself."""

import asyncio
from typing import Any

from fleet.federation import Federation
from fleet.model.errors import ClusterNotFound
from fleet.model.kinds import NODES
from fleet.model.objects import Cluster, ClusterHealth, ClusterRole, Node, OnUnavailable, PlatformInfo
from fleet.model.queries import NodeFilter, Page, PageRequest
from fleet.model.visibility import Scope


class Clusters:
    """Snapshots of clusters, and their nodes, each read once a request."""

    def __init__(self, federation: Federation, scope: Scope) -> None:
        self._federation = federation
        self._scope = scope
        self._snapshots: dict[str, Cluster] = {}
        self.views: dict[str, Any] = {}
        """The graph's own views of them, kept as long as the snapshots are."""
        self._nodes: dict[str, asyncio.Task[Page[Node]]] = {}
        self._known_nodes: dict[str, Page[Node]] = {}

    def snapshot(self, name: str) -> Cluster:
        """The cluster of an object that is in the answer; it may have left the federation in this very moment."""
        found = self._snapshots.get(name)
        if found is None:
            try:
                found = self._federation.get_cluster(self._scope, name)
            except ClusterNotFound:
                found = _departed(name)
            self._snapshots[name] = found
        return found

    def read_nodes(self, name: str) -> Page[Node] | None:
        """All nodes of the cluster, in `matched`; None where it has to be waited for. Raises Forbidden."""
        known = self._known_nodes.get(name)
        if known is None and name not in self._nodes:
            found = self._federation.select_now(NODES, self._scope, _nodes_of(name), OnUnavailable.PARTIAL)
            if found is not None:
                known = self._known_nodes[name] = Page(
                    (), (), found.matched, bool(found.matched), False, found.outcomes
                )
        return known

    async def nodes(self, name: str) -> Page[Node]:
        """All nodes of the cluster, in `matched`. Raises Forbidden, ClusterNotFound."""
        if (known := self.read_nodes(name)) is not None:
            return known
        task = self._nodes.get(name)
        if task is None:
            task = self._nodes[name] = asyncio.create_task(
                self._federation.list_page(
                    NODES, self._scope, _nodes_of(name), (), PageRequest(first=0), OnUnavailable.PARTIAL
                )
            )
        return await asyncio.shield(task)


def _nodes_of(cluster: str) -> NodeFilter:
    return NodeFilter(clusters=frozenset((cluster,)))


def _departed(name: str) -> Cluster:
    return Cluster(
        name=name,
        role=ClusterRole.MEMBER,
        health=ClusterHealth.UNKNOWN,
        message="it left the federation while the answer was made",
        version=None,
        info=PlatformInfo(),
        age_seconds=None,
    )
