"""From stored points to usage and history: the arithmetic that every metric store shares. Pure.

A `Series` holds the points of one object as columns, oldest first; `Columns` those of many objects. Times are Unix
nanoseconds, steps are half-open, and rates are units per second. Percentiles are nearest-rank: the smallest value that
at least that share of the values does not exceed.
"""

from bisect import bisect_left
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from itertools import pairwise, repeat
from operator import sub
from typing import Any, Generic, TypeVar

from msgspec import Struct

from fleet.model.usage import NANOSECONDS, Aggregate, Column, History, Measure, TimeRange, Usage

K = TypeVar("K")

_LEAD_NS = 120 * NANOSECONDS
_DISTANCES = 9
"""Of so many of the newest points' distances the usual one is taken: looking at all would cost as much as a column."""

Values = Sequence[float | None]


class Series(Struct, frozen=True, gc=False):
    """The points of one object: times ascend strictly, and each measure has one value (or None) for each time."""

    times_ns: Sequence[int]
    values: Mapping[Measure, Values]


class Columns(Struct, Generic[K], frozen=True):
    """The points of many objects, one object after the other, one column a measure.

    The i-th ends before `ends[i]`. Each object is there once and has a point at least; its times ascend strictly.
    """

    keys: Sequence[K] = ()
    ends: Sequence[int] = ()
    times_ns: Sequence[int] = ()
    values: Mapping[Measure, Values] = {}

    def series(self) -> Iterator[tuple[K, Series]]:
        begin = 0
        for key, end in zip(self.keys, self.ends, strict=True):
            of_key = {measure: column[begin:end] for measure, column in self.values.items()}
            yield key, Series(self.times_ns[begin:end], of_key)
            begin = end


def counter_lead_ns(window: TimeRange, measures: Iterable[Measure]) -> int:
    """How far before the window a store must read so that the first step of a counter has a point to count from.

    One step, but two minutes at least; 0 where no counter is asked for.
    """
    return max(window.step_ns, _LEAD_NS) if any(measure.is_counter for measure in measures) else 0


def find_resolution_ns(times_ns: Sequence[int], step_ns: int) -> int:
    """The usual distance of the newest points, in whole seconds from one on; a step's length where there is none."""
    newest = times_ns[-_DISTANCES - 1 :]
    if len(newest) < 2:
        return step_ns
    usual: int = sorted(map(sub, newest[1:], newest))[(len(newest) - 1) // 2]
    return usual if usual < NANOSECONDS else round(usual / NANOSECONDS) * NANOSECONDS


def build_usage(series: Series) -> Usage | None:
    """The newest point, nulls kept, rates between the two newest; None where there is no point."""
    if not series.times_ns:
        return None
    newest: dict[str, Any] = {}
    for measure, values in series.values.items():
        if measure.is_counter:
            newest[measure.usage_field] = _newest_rate(series.times_ns, values)
        else:
            newest[measure.value] = values[-1]
    return Usage(time_ns=series.times_ns[-1], **newest)


def build_usages(columns: Columns[K]) -> dict[K, Usage]:
    """As `build_usage`, for each object."""
    if any(measure.is_counter for measure in columns.values):
        found = ((key, build_usage(series)) for key, series in columns.series())
        return {key: usage for key, usage in found if usage is not None}
    newest = [end - 1 for end in columns.ends]
    # In the order in which `Usage` has its fields, so that rows of them are made without Python between.
    made: list[Iterable[Any]] = [map(columns.times_ns.__getitem__, newest)]
    for measure in Measure:
        column = columns.values.get(measure)
        made.append(repeat(None) if column is None else map(column.__getitem__, newest))
    return dict(zip(columns.keys, map(Usage, *made), strict=True))


def _newest_rate(times_ns: Sequence[int], values: Values) -> float | None:
    if len(values) < 2:
        return None
    before, now = values[-2], values[-1]
    if before is None or now is None or now < before:
        return None
    return (now - before) * NANOSECONDS / (times_ns[-1] - times_ns[-2])


def build_history(series: Series, window: TimeRange, columns: Iterable[Column]) -> History | None:
    """The columns over the window; None where no point lies in it.

    Points outside the window may be there: those before it let a counter's first step count from them. A counter's MEAN
    is what it grew by at the step's points, each seen from the point before it, over the time between them; its other
    aggregates are over the rates at the points. A counter that fell is taken to have started again from zero.
    """
    return _build_history(series, _Steps(window), columns)


def build_histories(
    points: Iterable[tuple[K, Series]], window: TimeRange, columns: Collection[Column]
) -> dict[K, History]:
    """As `build_history`, for each object that has a point in the window."""
    steps = _Steps(window)
    found = ((key, _build_history(series, steps, columns)) for key, series in points)
    return {key: history for key, history in found if history is not None}


class _Steps:
    """The steps of a window, and where they cut an object's points. Objects are mostly measured at the same times."""

    def __init__(self, window: TimeRange) -> None:
        self.window = window
        self.edges = [*window.times_ns(), window.end_ns]
        self._times_ns: Sequence[int] = ()
        self._bounds = [0] * len(self.edges)

    def cut(self, times_ns: Sequence[int]) -> list[int]:
        """Step i has the points from `bounds[i]` to `bounds[i + 1]`."""
        if times_ns != self._times_ns:
            self._times_ns = times_ns
            self._bounds = [bisect_left(times_ns, edge) for edge in self.edges]
        return self._bounds


def _build_history(series: Series, steps: _Steps, columns: Iterable[Column]) -> History | None:
    bounds = steps.cut(series.times_ns)
    if bounds[0] == bounds[-1]:
        return None
    increases: dict[Measure, _Increases] = {}
    answer: dict[Column, list[float | None]] = {}
    for measure, aggregate in columns:
        if measure.is_counter:
            if measure not in increases:
                increases[measure] = _increases_of(series.times_ns, series.values[measure], steps.edges)
            answer[measure, aggregate] = _counter_column(increases[measure], aggregate)
        else:
            answer[measure, aggregate] = _gauge_column(series.values[measure], bounds, aggregate)
    in_window = series.times_ns[max(bounds[0], bounds[-1] - _DISTANCES - 1) : bounds[-1]]
    return History(steps.window, answer, find_resolution_ns(in_window, steps.window.step_ns))


def _gauge_column(values: Values, bounds: list[int], aggregate: Aggregate) -> list[float | None]:
    reduce = REDUCTIONS[aggregate]
    column: list[float | None] = []
    for begin, end in pairwise(bounds):
        if end - begin == 1:  # one value is its own mean, bound and percentile
            value = values[begin]
            column.append(None if value is None else float(value))
            continue
        present = [value for value in values[begin:end] if value is not None] if begin < end else None
        column.append(reduce(present) if present else None)
    return column


class _Increases(Struct, frozen=True, gc=False):
    """What a counter grew by at each point after its first, over how many seconds; `bounds` cut the steps."""

    grown: list[float]
    seconds: list[float]
    bounds: list[int]


def _increases_of(times_ns: Sequence[int], values: Values, edges: list[int]) -> _Increases:
    times: list[int] = []
    grown: list[float] = []
    seconds: list[float] = []
    before_time, before = 0, None
    for time_ns, value in zip(times_ns, values, strict=True):
        if value is None:
            continue
        if before is not None:
            times.append(time_ns)
            grown.append(value - before if value >= before else value)
            seconds.append((time_ns - before_time) / NANOSECONDS)
        before_time, before = time_ns, value
    return _Increases(grown, seconds, [bisect_left(times, edge) for edge in edges])


def _counter_column(increases: _Increases, aggregate: Aggregate) -> list[float | None]:
    grown, seconds = increases.grown, increases.seconds
    column: list[float | None] = []
    for begin, end in pairwise(increases.bounds):
        if begin == end:
            column.append(None)
        elif aggregate is Aggregate.MEAN:
            column.append(sum(grown[begin:end]) / sum(seconds[begin:end]))
        else:
            rates = [grown[index] / seconds[index] for index in range(begin, end)]
            column.append(REDUCTIONS[aggregate](rates))
    return column


def nearest_rank(values: Sequence[float], percent: int) -> float:
    """The nearest-rank percentile of at least one value, `percent` in 1..100."""
    rank = -(-percent * len(values) // 100)
    return float(sorted(values)[rank - 1])


REDUCTIONS: Mapping[Aggregate, Callable[[Sequence[float]], float]] = {
    Aggregate.MEAN: lambda values: sum(values) / len(values),
    Aggregate.MIN: lambda values: float(min(values)),
    Aggregate.MAX: lambda values: float(max(values)),
    Aggregate.LAST: lambda values: float(values[-1]),
    Aggregate.P50: lambda values: nearest_rank(values, 50),
    Aggregate.P95: lambda values: nearest_rank(values, 95),
    Aggregate.P99: lambda values: nearest_rank(values, 99),
}
"""How at least one value, oldest first, becomes one."""
