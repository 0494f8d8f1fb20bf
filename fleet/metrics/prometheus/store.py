"""Usage and history from whatever speaks Prometheus' HTTP API, sample by sample.

Newest usage looks `rate_window` back at first, and `lookback` for the few objects that were not measured twice in it.
Histories are made of the samples by the arithmetic that all stores share.
"""

import asyncio
import time
from collections.abc import Collection, Hashable, Iterable, Mapping
from typing import Any, cast

from msgspec.structs import replace

from fleet.metrics.aggregate import Series, build_histories, build_usage, counter_lead_ns
from fleet.metrics.prometheus.answer import Found, Rows
from fleet.metrics.prometheus.asking import Asking
from fleet.metrics.prometheus.describe import describe, describe_coverage
from fleet.metrics.prometheus.intervals import Intervals
from fleet.metrics.prometheus.nodes import NodeNames
from fleet.metrics.prometheus.objects import Key, Wording
from fleet.metrics.prometheus.parts import build_points
from fleet.metrics.prometheus.sightings import SightingReader
from fleet.metrics.prometheus.summed import SummedReader
from fleet.model.objects import K, NodeKey, PodKey
from fleet.model.placements import GAP_NS, Placement, group_at, group_by_pod
from fleet.model.usage import (
    ALL_MEASURES,
    NANOSECONDS,
    Column,
    History,
    Kind,
    Measure,
    Measured,
    Point,
    TimeRange,
    Usage,
    V,
)

_ANCHORS = frozenset({Measure.CPU_CORES, Measure.MEMORY_BYTES})
"""Asked for always, so that the newest point is the same one whatever was asked for."""

_INTERVALS = 4

_NOTHING_SECONDS = 60.0
_MOST_NOTED = 50_000

_WIDER = 32
"""By how much the next span is longer where one had too few points of an object."""


class PrometheusStore:
    """The `MetricStore` of a Prometheus, a VictoriaMetrics, a Thanos or a Mimir."""

    name = "prometheus"

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._options = asking.options
        self._wording = Wording(asking.options)
        self._nodes = NodeNames(asking, self._wording)
        self._sightings = SightingReader(asking, self._wording, self._nodes)
        self._summed = SummedReader(asking, self._wording, self._nodes)
        self._intervals = Intervals()
        self._nothing: dict[Hashable, float] = {}
        self._whole: set[str] = set()
        """The clusters whose pods have no series of containers, but some of pods as a whole."""

    async def latest(self, kind: Kind, keys: frozenset[K], measures: frozenset[Measure]) -> Mapping[K, Usage]:
        now = time.time_ns()
        wanted = measures | _ANCHORS
        window_ns = self._ns(self._options.rate_window)
        if self._is_much(keys, wanted, window_ns):
            usages, missing = await self._summed_latest(kind, keys, measures)
            thin = [key for key in keys if (usage := usages.get(key)) is None or self._may_have_cpu(usage, measures)]
        else:
            first, missing = await self._points(kind, keys, wanted, now - window_ns, now)
            twice = not self._options.recorded or any(measure.is_counter for measure in measures)
            thin = [key for key in keys if not _is_enough(first.get(key), twice=twice)]
            usages = {key: _as_usage(series, measures) for key, series in first.items()}
        old = frozenset(key for key in thin if self._nothing.get(key, 0.0) <= time.monotonic())
        if old:
            since = now - self._ns(self._options.lookback)
            again, more = await self._points(kind, old, wanted, since, now, whole=True)
            usages |= {key: _as_usage(series, measures) for key, series in again.items()}
            missing = missing or more
            self._note_nothing(old - again.keys() if not missing else ())
        return _measured(keys, usages, missing)

    async def _summed_latest(
        self, kind: Kind, keys: frozenset[K], measures: frozenset[Measure]
    ) -> tuple[dict[K, Usage], str]:
        known = self._wording.known(cast("frozenset[Key]", keys))
        if kind is Kind.NODE and not self._options.recorded:
            await self._nodes.load({key.cluster for key in known})
        usages, missing = await self._summed.latest(kind, known, measures)
        return cast("dict[K, Usage]", usages), missing

    def _may_have_cpu(self, usage: Usage, measures: frozenset[Measure]) -> bool:
        """Whether an object was measured once so far, and there may be something to count from further back."""
        return usage.cpu_cores is None and Measure.CPU_CORES in measures and not self._options.recorded

    def _note_nothing(self, keys: Iterable[Hashable]) -> None:
        """Of objects without a sample in all of the lookback, as pods that have ended: not to be looked for so soon."""
        now = time.monotonic()
        if len(self._nothing) > _MOST_NOTED:
            self._nothing = {key: until for key, until in self._nothing.items() if until > now}
        self._nothing |= dict.fromkeys(keys, now + _NOTHING_SECONDS)

    async def _learn_intervals(self, kind: Kind, keys: frozenset[Key], end_ns: int) -> None:
        if few := self._intervals.pick(keys):
            span_ns = self._ns(self._options.rate_window) * _INTERVALS
            found, _ = await self._points(
                kind, cast("frozenset[PodKey]", few), _ANCHORS, end_ns - span_ns, end_ns, whole=True
            )
            self._intervals.learn(found.items())

    def _is_much(self, keys: Collection[K], measures: Collection[Measure], span_ns: int) -> bool:
        """Whether there are more samples than are read one by one, where a pod has two containers."""
        interval_ns = self._intervals.shortest
        samples = (1 if self._options.recorded else 2) * len(keys) * len(measures) * span_ns // interval_ns
        return samples > self._options.most_samples

    async def history(
        self, kind: Kind, keys: frozenset[K], window: TimeRange, columns: frozenset[Column]
    ) -> Mapping[K, History]:
        measures = frozenset(measure for measure, _ in columns)
        if self._is_much(keys, measures, window.end_ns - window.start_ns):
            return await self._summed_history(kind, keys, window, columns)
        lead = max(counter_lead_ns(window, measures), self._ns(self._options.rate_window))
        found, missing = await self._points(kind, keys, measures, window.start_ns - lead, window.end_ns)
        rest = keys - found.keys()
        if rest and kind is Kind.POD and not self._options.recorded:
            again, more = await self._points(kind, rest, measures, window.start_ns - lead, window.end_ns, whole=True)
            found, missing = {**found, **again}, missing or more
        histories = await self._asking.work(lambda: build_histories(found.items(), window, columns))
        return _measured(keys, histories, missing)

    async def _summed_history(
        self, kind: Kind, keys: frozenset[K], window: TimeRange, columns: frozenset[Column]
    ) -> Mapping[K, History]:
        known = self._wording.known(cast("frozenset[Key]", keys))
        if kind is Kind.NODE and not self._options.recorded:
            await self._nodes.load({key.cluster for key in known})
        await self._learn_intervals(kind, known, window.end_ns)
        alike = self._intervals.group(known)
        each = await asyncio.gather(
            *(self._summed.history(kind, frozenset(some), window, columns, step) for step, some in alike.items())
        )
        histories = {key: history for found, _ in each for key, history in found.items()}
        missing = next((missing for _, missing in each if missing), "")
        return _measured(keys, cast("dict[K, History]", histories), missing)

    async def _points(
        self,
        kind: Kind,
        keys: frozenset[K],
        measures: frozenset[Measure],
        start_ns: int,
        end_ns: int,
        *,
        whole: bool = False,
    ) -> tuple[dict[K, Series], str]:
        """The points of each object that has any in [start, end), and what its server says is missing."""
        found, by_key = await self._rows(kind, cast("frozenset[Key]", keys), measures, start_ns, end_ns, whole=whole)
        ways = self._wording.ways(kind)

        def build() -> dict[K, Series]:
            made: dict[K, Series] = {}
            for key, rows in by_key.items():
                series = build_points(rows, ways, measures)
                if series is not None:
                    made[cast("K", key)] = series
            return made

        return await self._asking.work(build), found.missing

    async def _rows(
        self, kind: Kind, keys: frozenset[Key], measures: frozenset[Measure], start_ns: int, end_ns: int, *, whole: bool
    ) -> tuple[Found, dict[Key, list[Rows]]]:
        keys = self._wording.known(keys)
        clusters = {key.cluster for key in keys}
        if kind is Kind.NODE:
            nodes = cast("frozenset[NodeKey]", keys)
            if not self._options.recorded:
                await self._nodes.load(clusters)
            selectors = list(self._wording.select_nodes(nodes, measures, self._nodes.hosts_of))
        else:
            pods = cast("frozenset[PodKey]", keys)
            whole = whole or not self._whole.isdisjoint(clusters)
            selectors = list(self._wording.select_pods(pods, measures, whole=whole))
        found = await self._asking.samples(selectors, start_ns, end_ns)
        names = self._wording.clusters_by_value(clusters)
        by_key: dict[Key, list[Rows]] = {}
        for row in found.rows:
            key = self._nodes.key_of(kind, names, row.labels)
            if key in keys:
                by_key.setdefault(key, []).append(row)
        if whole and kind is Kind.POD:
            self._whole |= {key.cluster for key, rows in by_key.items() if all(map(_is_of_pod, rows))}
        return found, by_key

    async def points(
        self, kind: Kind, key: PodKey | NodeKey, *, start_ns: int | None, end_ns: int | None, limit: int
    ) -> list[Point]:
        newest = start_ns is None and end_ns is None
        end = time.time_ns() + 60 * NANOSECONDS if end_ns is None else end_ns
        start = max(0, start_ns or 0)
        span = self._ns(self._options.rate_window)
        while end > start:
            since = max(start, end - span)
            found = await self._stored(kind, key, since, end)
            if len(found) >= (1 if newest else limit) or since == start:
                return found[-1:] if newest else found[-limit:]
            span *= _WIDER
        return []

    async def _stored(self, kind: Kind, key: Key, start_ns: int, end_ns: int) -> list[Point]:
        lead = self._ns(self._options.rate_window)
        _, by_key = await self._rows(kind, frozenset({key}), ALL_MEASURES, max(0, start_ns - lead), end_ns, whole=True)
        rows = by_key.get(key, [])
        series = build_points(rows, self._wording.ways(kind), sorted(ALL_MEASURES, key=lambda measure: measure.value))
        if series is None:
            return []
        if kind is Kind.POD and any(not row.labels.node for row in rows):
            await self._nodes.load({key.cluster})
        node_at = {at: self._nodes.node_of(key.cluster, row.labels) for row in rows for at in row.times_ns}
        points: list[Point] = []
        for index, at in enumerate(series.times_ns):
            if start_ns <= at < end_ns:
                measured: dict[str, Any] = {
                    measure.value: _as_stored(measure, values[index]) for measure, values in series.values.items()
                }
                node = key.name if kind is Kind.NODE else node_at.get(at)
                points.append(Point(time_ns=at, node=node or None, **measured))
        return points

    async def pods_on_nodes(self, keys: frozenset[NodeKey], at_ns: int) -> Mapping[NodeKey, list[Placement]]:
        known = cast("frozenset[NodeKey]", self._wording.known(keys))
        there = await self._sightings.on_nodes(known, at_ns - GAP_NS, at_ns + GAP_NS)
        pods = frozenset(pod for pod, _ in there)
        return group_at(keys, await self._sightings.of_pods(pods, at_ns - GAP_NS, at_ns + GAP_NS), at_ns)

    async def placements(
        self, keys: frozenset[PodKey], *, start_ns: int, end_ns: int
    ) -> Mapping[PodKey, list[Placement]]:
        known = cast("frozenset[PodKey]", self._wording.known(keys))
        return group_by_pod(keys, await self._sightings.of_pods(known, start_ns, end_ns))

    async def check(self) -> str:
        return await describe(self._asking, self._wording)

    async def describe_coverage(self, clusters: Collection[str]) -> str:
        return await describe_coverage(self._asking, self._wording, clusters)

    @staticmethod
    def _ns(seconds: float) -> int:
        return int(seconds * NANOSECONDS)


def _is_enough(found: Series | None, *, twice: bool) -> bool:
    """Whether an object was measured of late, and twice where something is counted from one time to the next."""
    return found is not None and len(found.times_ns) > twice


def _as_usage(series: Series, measures: Iterable[Measure]) -> Usage:
    usage = build_usage(Series(series.times_ns, {measure: series.values[measure] for measure in measures}))
    assert usage is not None  # noqa: S101 - narrows for mypy: there is a point
    rounded = {
        measure.value: _as_stored(measure, getattr(usage, measure.value))
        for measure in measures
        if not measure.is_counter
    }
    return replace(usage, **rounded)


def _is_of_pod(row: Rows) -> bool:
    return row.labels.name.startswith("pod_")


def _as_stored(measure: Measure, value: float | None) -> float | int | None:
    return value if value is None or measure is Measure.CPU_CORES else round(value)


def _measured(keys: Iterable[K], found: dict[K, V], missing: str) -> Mapping[K, V]:
    """What was found, with the clusters of objects that may be missing from it."""
    if not missing:
        return found
    silent = {key.cluster for key in cast("Iterable[Key]", keys) if key not in found}
    return Measured(found, dict.fromkeys(silent, missing))
