"""One request's loaders: how many objects a query shows never decides how often anybody is asked."""

import dataclasses

from fleet.federation import Federation
from fleet.live.usage_cache import HeldUsage
from fleet.model.objects import NodeKey, PodKey
from fleet.model.scope import Scope
from fleet.model.usage import Column, History, Measure, Usage
from fleet.ports import MetricStore
from graph.loading.batches import Ask, Batches, Dispatch
from graph.loading.clusters import Clusters
from graph.loading.placements import Placements, SpanRequest, ask_placements, ask_pods_at
from graph.loading.time_range import TimeRangeRequest, build_time_range

Measures = frozenset[Measure]
HistoryQuestion = tuple[TimeRangeRequest, frozenset[Column]]
_AskPodHistory = Ask[PodKey, History]
_AskNodeHistory = Ask[NodeKey, History]


@dataclasses.dataclass(frozen=True)
class Loaders:
    """A request's loaders."""

    dispatch: Dispatch
    clusters: Clusters
    pod_usage: Batches[Measures, PodKey, Usage]
    node_usage: Batches[Measures, NodeKey, Usage]
    pod_history: Batches[HistoryQuestion, PodKey, History]
    node_history: Batches[HistoryQuestion, NodeKey, History]
    placements: Batches[SpanRequest, PodKey, Placements]
    pods_at: Batches[float, NodeKey, Placements]
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
    dispatch = Dispatch(deadline)

    def ask_pod_history(question: HistoryQuestion) -> _AskPodHistory:
        time_range = build_time_range(question[0], now)
        return lambda keys: store.pod_history(keys, time_range, question[1])

    def ask_node_history(question: HistoryQuestion) -> _AskNodeHistory:
        time_range = build_time_range(question[0], now)
        return lambda keys: store.node_history(keys, time_range, question[1])

    return Loaders(
        dispatch=dispatch,
        clusters=Clusters(federation, scope),
        pod_usage=Batches(dispatch, lambda measures: lambda keys: store.latest_pods(keys, measures), cuts=True),
        node_usage=Batches(dispatch, lambda measures: lambda keys: store.latest_nodes(keys, measures), cuts=True),
        pod_history=Batches(dispatch, ask_pod_history),
        node_history=Batches(dispatch, ask_node_history),
        placements=Batches(dispatch, lambda request: ask_placements(store, request, now)),
        pods_at=Batches(dispatch, lambda at: ask_pods_at(store, at, now)),
        held=held,
    )
