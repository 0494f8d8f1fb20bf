"""What spans of time keep of a series' points, a row a span: the form in which points, 1 and 10 minutes are alike.

A gauge's total is the sum of its values and its weight their number; a counter's is what it grew by at its points, each
seen from the one before it, and the seconds between these. So of both the mean is total by weight, and bounds and last
value are of values or of rates, as `fleet.metrics.aggregate` defines them.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import Struct
from msgspec.structs import astuple
from numpy.typing import NDArray

from fleet.metrics.aggregate import Series
from fleet.metrics.embedded.blocks.columns import Floats, Ints
from fleet.metrics.embedded.blocks.present import Mask, Present, find_present, find_runs, join_runs
from fleet.model.usage import NANOSECONDS, Measure

NO_RUNS = np.empty((3, 0), np.int64)


class Stats(Struct, frozen=True):
    """Of one measure, a row a span. Where the weight is 0, total is 0 and the others are NaN.

    `count` is of values. A counter has the last of them as `value`; the first point of all has one, and no rate.
    """

    count: Ints
    total: Floats
    weight: Floats
    low: Floats
    high: Floats
    last: Floats
    value: Ints | None = None

    def each(self, change: Callable[[NDArray[Any]], NDArray[Any]]) -> "Stats":
        """The same of each column that is there."""
        changed: list[Any] = [None if column is None else change(column) for column in astuple(self)]
        return Stats(*changed)


class Spans(Struct, frozen=True):
    """Spans of `span_ns` with a point at least, oldest first. Of 0 ns: the points themselves.

    `starts_ns` are multiples of the span since the epoch, `last_ns` the time of the newest point in each, `count` how
    many points there are, `runs` where a pod was (`present.find_runs`).
    """

    span_ns: int
    starts_ns: Ints
    last_ns: Ints
    count: Ints
    stats: Mapping[Measure, Stats]
    runs: Ints = NO_RUNS


def from_series(series: Series, places: Sequence[int | None] = (), *, start_ns: int | None = None) -> Spans:
    """Points as spans of their own. Of those before `start_ns`, which counters count from, there are no rows."""
    times_ns = np.array(series.times_ns, np.int64)
    spans = from_points(times_ns, find_present(series.values))
    begin = 0 if start_ns is None else int(np.searchsorted(times_ns, start_ns))
    runs = find_runs(times_ns[begin:], places[begin:]) if any(places) else NO_RUNS
    return select(spans, slice(begin, None), runs)


def from_points(times_ns: Ints, columns: Mapping[Measure, Present], runs: Ints = NO_RUNS) -> Spans:
    made = {
        measure: _count_up(times_ns, column) if measure.is_counter else _gauge(column)
        for measure, column in columns.items()
    }
    return Spans(0, times_ns, times_ns, np.ones(len(times_ns), np.int64), made, runs)


def _gauge(column: Present) -> Stats:
    values = column.values.astype(np.float64)
    if column.mask is None:
        count = np.ones(len(values), np.int64)
        return Stats(count, values, count.astype(np.float64), values, values, values)
    known, there = _spread(values, column.mask), column.mask.astype(np.int64)
    return Stats(there, np.where(column.mask, known, 0.0), there.astype(np.float64), known, known, known)


def _count_up(times_ns: Ints, column: Present) -> Stats:
    mask = np.ones(len(times_ns), np.bool_) if column.mask is None else column.mask
    grown = np.diff(column.values)
    grown = np.where(column.values[1:] < column.values[:-1], column.values[1:], grown).astype(np.float64)
    seconds = np.diff(times_ns[mask]) / NANOSECONDS
    rated = mask.copy()
    rated[np.argmax(mask)] = False
    rates, value = _spread(grown / seconds, rated), np.zeros(len(times_ns), np.int64)
    value[mask] = column.values
    return Stats(
        mask.astype(np.int64), _spread(grown, rated, 0.0), _spread(seconds, rated, 0.0), rates, rates, rates, value
    )


def _spread(values: Floats, mask: Mask, absent: float = np.nan) -> Floats:
    spread = np.full(len(mask), absent)
    spread[mask] = values
    return spread


def select(spans: Spans, rows: slice | Ints, runs: Ints) -> Spans:
    """Some rows, and the runs that go with them."""
    stats = {measure: of.each(lambda column: column[rows]) for measure, of in spans.stats.items()}
    return Spans(spans.span_ns, spans.starts_ns[rows], spans.last_ns[rows], spans.count[rows], stats, runs)


def roll_up(spans: Spans, span_ns: int) -> Spans:
    """As fewer, longer spans, or of the same length with none there twice."""
    numbers = spans.starts_ns // span_ns
    begins = begins_of(numbers)
    if not len(begins):
        return Spans(span_ns, spans.starts_ns, spans.last_ns, spans.count, {})
    groups = np.repeat(np.arange(len(begins)), np.diff(begins, append=len(numbers)))
    return Spans(
        span_ns,
        numbers[begins] * span_ns,
        np.maximum.reduceat(spans.last_ns, begins),
        np.add.reduceat(spans.count, begins),
        {measure: _combine(stats, groups, len(begins)) for measure, stats in spans.stats.items()},
        join_runs([spans.runs]),
    )


def begins_of(groups: Ints) -> Ints:
    """Where a new one begins, of groups that follow each other."""
    return np.flatnonzero(np.diff(groups, prepend=groups[:1] - 1)) if len(groups) else np.empty(0, np.int64)


def _combine(stats: Stats, groups: Ints, size: int) -> Stats:
    count = np.bincount(groups, stats.count, size).astype(np.int64)
    rows = np.flatnonzero(stats.weight > 0)
    begins = begins_of(groups[rows])
    at = groups[rows][begins]
    total, weight, (low, high, last) = np.zeros(size), np.zeros(size), np.full((3, size), np.nan)
    if len(at):
        total[at] = np.add.reduceat(stats.total[rows], begins)
        weight[at] = np.add.reduceat(stats.weight[rows], begins)
        low[at] = np.minimum.reduceat(stats.low[rows], begins)
        high[at] = np.maximum.reduceat(stats.high[rows], begins)
        last[at] = stats.last[rows][np.append(begins[1:], len(rows)) - 1]
    value = None
    if stats.value is not None:
        value = np.zeros(size, np.int64)
        known = np.flatnonzero(stats.count > 0)
        value[groups[known]] = stats.value[known]  # of several for one group the last stays
    return Stats(count, total, weight, low, high, last, value)


def join(parts: Sequence[Spans]) -> Spans:
    """Parts of one series with spans of one length, in whatever order, as one. Spans that two have are combined."""
    if len(parts) == 1:
        return parts[0]
    measures = [measure for measure in Measure if any(measure in part.stats for part in parts)]
    starts_ns, last_ns = (np.concatenate([getattr(part, name) for part in parts]) for name in ("starts_ns", "last_ns"))
    joined = Spans(
        parts[0].span_ns,
        starts_ns,
        last_ns,
        np.concatenate([part.count for part in parts]),
        {measure: _join_stats(measure, parts) for measure in measures},
        join_runs([part.runs for part in parts]),
    )
    if (np.diff(starts_ns) <= 0).any():
        joined = select(joined, np.lexsort((last_ns, starts_ns)), joined.runs)
        return roll_up(joined, joined.span_ns)
    return joined


def _join_stats(measure: Measure, parts: Sequence[Spans]) -> Stats:
    each = [astuple(part.stats.get(measure) or _no_stats(measure, len(part.starts_ns))) for part in parts]
    joined: list[Any] = [None if columns[0] is None else np.concatenate(columns) for columns in zip(*each, strict=True)]
    return Stats(*joined)


def _no_stats(measure: Measure, rows: int) -> Stats:
    none, unknown = np.zeros(rows), np.full(rows, np.nan)
    value = np.zeros(rows, np.int64) if measure.is_counter else None
    return Stats(np.zeros(rows, np.int64), none, none, unknown, unknown, unknown, value)
