"""From series of containers and devices to the points of their pod or node. Pure.

Series that were scraped together have samples at the same times, and are joined by these. cAdvisor tells a time of its
own for each container: the times of most samples are then the object's points, and series that share none of them
count there with what they had next to it.
"""

from bisect import bisect_left
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from math import inf

from msgspec import Struct

from fleet.metrics.aggregate import Series
from fleet.metrics.prometheus.answer import Rows
from fleet.metrics.prometheus.ways import Way, Ways
from fleet.model.usage import NANOSECONDS, Measure

NEAR_NS = 60 * NANOSECONDS
"""How far from a point a series that has no sample at it is looked for."""

Values = Sequence[float | None]


class Part(Struct, gc=False):
    """What one container or device is worth at times that ascend strictly; `seen_ns` are those of its samples.

    Where it is worth what it grew by since the sample before, the first of these is no time of it.
    """

    times_ns: Sequence[int]
    values: Sequence[float]
    seen_ns: Sequence[int]


def build_points(rows: Iterable[Rows], ways: Ways, measures: Iterable[Measure]) -> Series | None:
    """The points of one object of its series; None where no measure has a sample. Counters of bytes stay counters."""
    by_name: dict[str, list[Rows]] = {}
    for row in rows:
        by_name.setdefault(row.labels.name, []).append(row)
    found: dict[Measure, tuple[Way, list[Part], list[Part]]] = {}
    for measure in measures:
        for way in ways[measure]:
            parts = _parts_of(by_name.get(way.name, ()), way)
            less = _parts_of(by_name.get(way.less, ()), way)
            if parts and (less or not way.less):
                found[measure] = (way, parts, less)
                break
    axis = _Axis([part for _, parts, less in found.values() for part in (*parts, *less)])
    if not axis.times_ns:
        return None
    values: dict[Measure, Values] = {}
    nothing = [None] * len(axis.times_ns)
    for measure in measures:
        values[measure] = axis.total(*found[measure], measure) if measure in found else nothing
    return Series(axis.times_ns, values)


def _parts_of(rows: Sequence[Rows], way: Way) -> list[Part]:
    """A part for each container or device: of a container that started anew, the newer series goes before."""
    named: dict[str, list[Rows]] = {}
    for row in rows:
        labels = row.labels
        named.setdefault(labels.container or labels.interface or labels.device or labels.cpu, []).append(row)
    if "eth0" in named:  # the kubelet's own figure is that of the first device
        named = {"eth0": named["eth0"]}
    made: list[Part] = []
    for same in named.values():
        parts = [
            _rates(row, idle=way.idle) if way.rate else Part(row.times_ns, row.values, row.times_ns) for row in same
        ]
        parts = [part for part in parts if part.times_ns]
        if len(parts) > 1:
            merged: dict[int, float] = {}
            for part in sorted(parts, key=lambda part: part.times_ns[-1]):
                merged.update(zip(part.times_ns, part.values, strict=True))
            times = sorted(merged)
            seen = sorted({time for part in parts for time in part.seen_ns})
            made.append(Part(times, [merged[time] for time in times], seen))
        else:
            made += parts
    return made


def _rates(row: Rows, *, idle: bool) -> Part:
    """What a counter grew by a second up to each sample but the first; one that fell started again from zero."""
    times, values = row.times_ns, row.values
    rates = [
        (now - before if now >= before else now) * NANOSECONDS / (at - since)
        for (since, before), (at, now) in pairwise(zip(times, values, strict=True))
    ]
    return Part(times[1:], [1 - rate for rate in rates] if idle else rates, times)


class _Group(Struct, gc=False):
    """Series that were scraped together: the times of their samples, and those at which they are worth something."""

    seen: set[int]
    times: set[int]


class _Axis:
    """The times of an object's points, and what series are worth there."""

    def __init__(self, parts: Iterable[Part]) -> None:
        groups: list[_Group] = []
        for part in sorted(parts, key=lambda part: len(part.seen_ns), reverse=True):
            joined = next((group for group in groups if _go_together(group.seen, part.seen_ns)), None)
            if joined is None:
                groups.append(_Group(set(part.seen_ns), set(part.times_ns)))
            elif len(part.times_ns) != len(joined.times) or part.times_ns[-1] not in joined.times:
                joined.seen.update(part.seen_ns)
                joined.times.update(part.times_ns)
        self._most = max(groups, key=lambda group: len(group.seen), default=_Group(set(), set()))
        self.times_ns = sorted(self._most.times)

    def total(self, way: Way, parts: Sequence[Part], less: Sequence[Part], measure: Measure) -> Values:
        columns = [self._column(part, is_counter=measure.is_counter) for part in parts]
        total = _join(columns, max if way.largest else sum)
        if not way.less:
            return total
        lesser = _join([self._column(part, is_counter=False) for part in less], sum)
        # A container without a limit has one of 0: the pod has none then.
        unknown = [any(not value for value in row) for row in zip(*columns, strict=True)]
        return [
            None if a is None or b is None or skip else a - b for a, b, skip in zip(total, lesser, unknown, strict=True)
        ]

    def _column(self, part: Part, *, is_counter: bool) -> Values:
        if part.times_ns == self.times_ns:
            return part.values
        if _go_together(self._most.seen, part.seen_ns):
            found = dict(zip(part.times_ns, part.values, strict=True))
            return list(map(found.get, self.times_ns))
        near = _between if is_counter else _nearest
        return [near(part, time) for time in self.times_ns]


def _go_together(group: set[int], times: Sequence[int]) -> bool:
    """Whether half of the fewer are the others' as well, and no others lie beside each other.

    One or two may be by chance; what was scraped together and missed now and then is as far apart as its scrapes are.
    """
    shared = len(group.intersection(times))
    if shared in (len(group), len(times)):
        return True
    return 2 * shared >= min(len(group), len(times)) and 2 * _least_distance(group.union(times)) >= min(
        _least_distance(group), _least_distance(times)
    )


def _least_distance(times: Iterable[int]) -> float:
    return min((now - before for before, now in pairwise(sorted(times))), default=inf)


def _join(columns: Sequence[Values], join: Callable[[Iterable[float]], float]) -> Values:
    if len(columns) == 1:
        return columns[0]
    rows = ([value for value in row if value is not None] for row in zip(*columns, strict=True))
    return [join(present) if present else None for present in rows]


def _nearest(part: Part, time_ns: int) -> float | None:
    times = part.times_ns
    at = bisect_left(times, time_ns)
    near = [index for index in (at - 1, at) if 0 <= index < len(times)]
    index = min(near, key=lambda index: abs(times[index] - time_ns))
    return part.values[index] if abs(times[index] - time_ns) <= NEAR_NS else None


def _between(part: Part, time_ns: int) -> float | None:
    """A counter at a time by the line through the samples around it, or through the last two before or after it."""
    times, values = part.times_ns, part.values
    nearest = _nearest(part, time_ns)
    if nearest is None or len(times) < 2:
        return nearest
    after = min(max(bisect_left(times, time_ns), 1), len(times) - 1)
    grown = values[after] - values[after - 1]
    if grown < 0:
        return nearest
    return values[after] + grown * (time_ns - times[after]) / (times[after] - times[after - 1])
