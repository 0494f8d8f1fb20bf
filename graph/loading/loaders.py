"""One request's loaders: how many objects a query shows never decides how often anybody is asked."""

import dataclasses
from collections.abc import Mapping
from functools import partial
from typing import Any

from fleet.federation import Federation
from fleet.live.usage_cache import UsageCache
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import Column, History, Kind, Measure, Usage
from fleet.model.visibility import Scope
from fleet.ports import MetricStore
from graph.loading.batches import Ask, Batches, Dispatch
from graph.loading.clusters import Clusters
from graph.loading.placements import Placements, SpanRequest, ask_placements, ask_pods_at
from graph.loading.time_range import TimeRangeRequest, build_time_range

Measures = frozenset[Measure]
HistoryQuestion = tuple[TimeRangeRequest, frozenset[Column]]


@dataclasses.dataclass(frozen=True)
class Loaders:
    """A request's loaders; batches are keyed by the question that is asked of all their objects."""

    dispatch: Dispatch
    clusters: Clusters
    usage: Mapping[Kind, Batches[Measures, Any, Usage]]
    """By the kind of objects whose keys they take, as `history`."""
    history: Mapping[Kind, Batches[HistoryQuestion, Any, History]]
    placements: Batches[SpanRequest, PodKey, Placements]
    pods_at: Batches[float, NodeKey, Placements]
    held: UsageCache | None = None


def build_loaders(
    federation: Federation,
    scope: Scope,
    store: MetricStore,
    *,
    now: float,
    deadline: float,
    held: UsageCache | None = None,
) -> Loaders:
    """One request's loaders. `now` is in Unix seconds, `deadline` in the event loop's time.

    `held` is what all requests share of the store's answers; without it every question is asked.
    """
    dispatch = Dispatch(deadline)

    return Loaders(
        dispatch=dispatch,
        clusters=Clusters(federation, scope),
        usage={kind: Batches(dispatch, partial(_ask_latest, store, kind), cuts=True) for kind in Kind},
        history={kind: Batches(dispatch, partial(_ask_history, store, kind, now)) for kind in Kind},
        placements=Batches(dispatch, lambda request: ask_placements(store, request, now)),
        pods_at=Batches(dispatch, lambda at: ask_pods_at(store, at, now)),
        held=held,
    )


def _ask_latest(store: MetricStore, kind: Kind, measures: Measures) -> Ask[Any, Usage]:
    return lambda keys: store.latest(kind, keys, measures)


def _ask_history(store: MetricStore, kind: Kind, now: float, question: HistoryQuestion) -> Ask[Any, History]:
    time_range = build_time_range(question[0], now)
    return lambda keys: store.history(kind, keys, time_range, question[1])
