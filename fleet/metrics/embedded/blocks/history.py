"""History made of spans and points, of a whole page at once, and the points that spans still tell of.

A step takes the spans that begin in it. Means, bounds and last values are then as from the points themselves, as
exactly as blocks keep them. Percentiles are nearest-rank over the means of spans: for points, over their values.
"""

from collections.abc import Collection, Iterable, Sequence
from typing import Any, Generic, TypeVar

import numpy as np
from msgspec.structs import replace

from fleet.metrics.aggregate import find_resolution_ns
from fleet.metrics.embedded.blocks.columns import Floats, Ints
from fleet.metrics.embedded.blocks.present import Mask, Present
from fleet.metrics.embedded.blocks.spans import Spans, Stats, begins_of
from fleet.model.usage import NANOSECONDS, Aggregate, Column, History, Measure, Point, TimeRange

K = TypeVar("K")

_PERCENTS = {Aggregate.P50: 50, Aggregate.P95: 95, Aggregate.P99: 99}
SHAPE_OF = {Aggregate.MIN: "low", Aggregate.MAX: "high", Aggregate.LAST: "last"}
"""The column of `Stats` that an aggregate is of; all others are of totals and weights."""
_NEWEST = 10


def build_histories(
    parts: Iterable[tuple[K, Sequence[Spans]]], window: TimeRange, columns: Collection[Column]
) -> dict[K, History]:
    """As `aggregate.build_histories`. An object's parts are ascending and do not overlap.

    Counters of points count from what the part before says last. Where spans are longer than a step, the steps in which
    none begins have no value; `resolution_ns` tells.
    """
    measures = {measure for measure, _ in columns}
    page: _Page[K] = _Page(window)
    for key, spans in parts:
        page.add(key, _link_all(spans, [measure for measure in measures if measure.is_counter]))
    made: dict[Column, list[float | None]] = {}
    for measure in measures if page.keys else ():
        for aggregate, values in page.reduce(measure, {wanted for of, wanted in columns if of is measure}):
            made[measure, aggregate] = values
    steps = window.steps
    return {
        key: History(
            window, {column: made[column][at * steps : (at + 1) * steps] for column in columns}, page.resolutions[at]
        )
        for at, key in enumerate(page.keys)
    }


class _Page(Generic[K]):
    """The rows in the window of many objects, each with its slot: its step, after those of the objects before it."""

    def __init__(self, window: TimeRange) -> None:
        self.keys: list[K] = []
        self.resolutions: list[int] = []
        self._window = window
        self._rows: list[tuple[Spans, slice]] = []
        self._slots: list[Ints] = []

    def add(self, key: K, spans: Sequence[Spans]) -> None:
        window, found = self._window, []
        for part in spans:
            begin, end = np.searchsorted(part.starts_ns, (window.start_ns, window.end_ns)).tolist()
            if begin < end:
                found.append((part, slice(begin, end)))
        if not found:
            return
        for part, rows in found:
            steps = (part.starts_ns[rows] - window.start_ns) // window.step_ns
            self._slots.append(steps + len(self.keys) * window.steps)
        self._rows += found
        self.keys.append(key)
        newest, rows = found[-1]
        longest = max(part.span_ns for part, _ in found)
        times_ns = newest.starts_ns[rows][-_NEWEST:].tolist()
        self.resolutions.append(longest or find_resolution_ns(times_ns, window.step_ns))

    def reduce(
        self, measure: Measure, aggregates: Collection[Aggregate]
    ) -> Iterable[tuple[Aggregate, list[float | None]]]:
        weight = self._gather(measure, "weight")
        known = weight > 0
        slots = np.concatenate(self._slots)[known]
        begins = begins_of(slots)
        for aggregate in aggregates:
            spread = np.full(len(self.keys) * self._window.steps, None, np.object_)
            if len(begins):
                spread[slots[begins]] = self._values(measure, aggregate, weight[known], known, slots, begins).tolist()
            yield aggregate, spread.tolist()

    def _values(
        self, measure: Measure, aggregate: Aggregate, weight: Floats, known: Mask, slots: Ints, begins: Ints
    ) -> Floats:
        column = self._gather(measure, SHAPE_OF.get(aggregate, "total"))[known]
        values: Floats
        match aggregate:
            case Aggregate.MIN:
                values = np.minimum.reduceat(column, begins)
            case Aggregate.MAX:
                values = np.maximum.reduceat(column, begins)
            case Aggregate.LAST:
                values = column[np.append(begins[1:], len(slots)) - 1]
            case Aggregate.MEAN:
                values = np.add.reduceat(column, begins) / np.add.reduceat(weight, begins)
            case _:
                means = column / weight
                ranks = -(-_PERCENTS[aggregate] * np.diff(begins, append=len(slots)) // 100)
                values = means[np.lexsort((means, slots))][begins + ranks - 1]
        return values

    def _gather(self, measure: Measure, name: str) -> Floats:
        return np.concatenate(
            [
                np.zeros(rows.stop - rows.start)
                if (stats := part.stats.get(measure)) is None
                else getattr(stats, name)[rows]
                for part, rows in self._rows
            ]
        )


def _link_all(spans: Sequence[Spans], counters: Iterable[Measure]) -> list[Spans]:
    linked = list(spans)
    for measure in counters:
        before: tuple[int, int] | None = None
        for at, part in enumerate(linked):
            stats = part.stats.get(measure)
            known = () if stats is None else np.flatnonzero(stats.count > 0).tolist()
            if stats is None or stats.value is None or not known:
                continue
            is_open = not part.span_ns and not stats.weight[known[0]]  # its first point counts from nothing yet
            if is_open and before is not None and before[0] < part.starts_ns[known[0]]:
                seconds = (int(part.starts_ns[known[0]]) - before[0]) / NANOSECONDS
                joined = _link(stats, known[0], int(stats.value[known[0]]), before[1], seconds)
                linked[at] = replace(part, stats={**part.stats, measure: joined})
            before = int(part.last_ns[known[-1]]), int(stats.value[known[-1]])
    return linked


def _link(stats: Stats, at: int, now: int, before: int, seconds: float) -> Stats:
    """The rate of a counter's first point, from what was before it."""
    grown = float(now - before if now >= before else now)
    made = {"total": grown, "weight": seconds, **dict.fromkeys(("low", "high", "last"), grown / seconds)}
    columns = {name: getattr(stats, name).copy() for name in made}
    for name, value in made.items():
        columns[name][at] = value
    return replace(stats, **columns)


def as_points(spans: Spans) -> list[Point]:
    """One a span, at the time of its newest point: last values, of counters as they were counted. Without nodes."""
    times_ns = spans.last_ns.tolist()
    columns: dict[str, list[Any]] = {}
    for measure, stats in spans.stats.items():
        values = stats.last if stats.value is None else stats.value
        if measure is not Measure.CPU_CORES and stats.value is None:
            values = np.rint(np.nan_to_num(values)).astype(np.int64)
        columns[measure.value] = Present(values[stats.count > 0], stats.count > 0).as_list()
    names = list(columns)
    return [
        Point(time_ns=time_ns, **dict(zip(names, values, strict=True)))
        for time_ns, *values in zip(times_ns, *columns.values(), strict=True)
    ]
