"""One request's loaders: how many objects a query shows never decides how often anybody is asked."""

import asyncio
import dataclasses

from fleet.errors import ClusterNotFound
from fleet.federation import Federation
from fleet.held_usage import HeldUsage
from fleet.models import Cluster, ClusterHealth, ClusterRole, Node, NodeKey, OnUnavailable, PlatformInfo, PodKey
from fleet.ports import MetricStore
from fleet.queries import NodeFilter, Selection
from fleet.scope import Scope
from fleet.usage import Column, History, Measure, Usage
from graph.placements import Placements, SpanRequest, ask_placements, ask_pods_at
from graph.soon import Soon
from graph.waves import Ask, Questions, Waves
from graph.windows import WindowRequest, build_window

Measures = frozenset[Measure]
HistoryQuestion = tuple[WindowRequest, frozenset[Column]]
_AskPodHistory = Ask[PodKey, History]
_AskNodeHistory = Ask[NodeKey, History]


class Clusters:
    """Snapshots of clusters, and their nodes, each read once a request."""

    def __init__(self, federation: Federation, scope: Scope) -> None:
        self._federation = federation
        self._scope = scope
        self._snapshots: dict[str, Cluster] = {}
        self._nodes: dict[str, Selection[Node]] = {}
        self._reading: dict[str, asyncio.Lock] = {}

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

    def nodes(self, name: str) -> Soon[Selection[Node]]:
        """All nodes of the cluster, at once where they are in memory. Raises Forbidden."""
        known = self._nodes.get(name)
        if known is None:
            question = NodeFilter(clusters=frozenset((name,)))
            known = self._federation.select_nodes_now(self._scope, question, OnUnavailable.PARTIAL)
            if known is None:
                return self._read_nodes(name, question)
            self._nodes[name] = known
        return known

    async def _read_nodes(self, name: str, question: NodeFilter) -> Selection[Node]:
        async with self._reading.setdefault(name, asyncio.Lock()):
            if name not in self._nodes:
                self._nodes[name] = await self._federation.select_nodes(self._scope, question, OnUnavailable.PARTIAL)
            return self._nodes[name]


@dataclasses.dataclass(frozen=True)
class Loaders:
    """A request's loaders."""

    waves: Waves
    clusters: Clusters
    pod_usage: Questions[Measures, PodKey, Usage]
    node_usage: Questions[Measures, NodeKey, Usage]
    pod_history: Questions[HistoryQuestion, PodKey, History]
    node_history: Questions[HistoryQuestion, NodeKey, History]
    placements: Questions[SpanRequest, PodKey, Placements]
    pods_at: Questions[float, NodeKey, Placements]
    held: HeldUsage | None = None


def build_loaders(
    federation: Federation,
    scope: Scope,
    store: MetricStore,
    *,
    now: float,
    deadline: float,
    held: HeldUsage | None = None,
) -> Loaders:
    """One request's loaders. `now` is in Unix seconds, `deadline` in the event loop's time.

    `held` is what all requests share of the store's answers; without it every question is asked.
    """
    waves = Waves(deadline)

    def ask_pod_history(question: HistoryQuestion) -> _AskPodHistory:
        window = build_window(question[0], now)
        return lambda keys: store.pod_history(keys, window, question[1])

    def ask_node_history(question: HistoryQuestion) -> _AskNodeHistory:
        window = build_window(question[0], now)
        return lambda keys: store.node_history(keys, window, question[1])

    return Loaders(
        waves=waves,
        clusters=Clusters(federation, scope),
        pod_usage=Questions(waves, lambda measures: lambda keys: store.latest_pods(keys, measures), cuts=True),
        node_usage=Questions(waves, lambda measures: lambda keys: store.latest_nodes(keys, measures), cuts=True),
        pod_history=Questions(waves, ask_pod_history),
        node_history=Questions(waves, ask_node_history),
        placements=Questions(waves, lambda request: ask_placements(store, request, now)),
        pods_at=Questions(waves, lambda at: ask_pods_at(store, at, now)),
        held=held,
    )


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
