"""The arithmetic from points to usage and history, held against a plain computation."""

import itertools
import math
import time
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fleet.metrics.aggregate import build_history, build_usage, counter_lead_ns, find_resolution_ns, nearest_rank
from fleet.model.usage import ALL_MEASURES, NANOSECONDS, Aggregate, Measure, Point, TimeRange, Usage
from tests.fleet.metrics.stores import build_series

COLUMNS = [
    (measure, aggregate)
    for measure in (Measure.CPU_CORES, Measure.MEMORY_BYTES, Measure.NETWORK_RECEIVE_BYTES)
    for aggregate in Aggregate
]

points_lists = st.lists(
    st.builds(
        Point,
        time_ns=st.integers(0, 200).map(lambda seconds: seconds * NANOSECONDS),
        cpu_cores=st.none() | st.floats(0, 64),
        memory_bytes=st.none() | st.integers(0, 2**40),
        network_receive_bytes=st.none() | st.integers(0, 10_000),
    ),
    max_size=60,
    unique_by=lambda point: point.time_ns,
)
windows = st.builds(
    lambda first, length, step: TimeRange(
        first * step * NANOSECONDS, (first * step + length) * NANOSECONDS, step * NANOSECONDS
    ),
    st.integers(0, 10),
    st.integers(1, 150),
    st.integers(1, 30),
)


def plainly(points: list[Point], window: TimeRange, measure: Measure, aggregate: Aggregate) -> list[float | None]:
    """A column by its definition, step by step."""
    ordered = sorted(points, key=lambda point: point.time_ns)
    measured = [(p.time_ns, getattr(p, measure.value)) for p in ordered if getattr(p, measure.value) is not None]
    column: list[float | None] = []
    for step in range(window.steps):
        begin = window.start_ns + step * window.step_ns
        end = min(begin + window.step_ns, window.end_ns)
        if measure.is_counter:
            pairs = [
                ((value - before if value >= before else value), (at - earlier) / NANOSECONDS)
                for (earlier, before), (at, value) in itertools.pairwise(measured)
                if begin <= at < end
            ]
            if pairs and aggregate is Aggregate.MEAN:
                column.append(math.fsum(grown for grown, _ in pairs) / math.fsum(seconds for _, seconds in pairs))
                continue
            values = [grown / seconds for grown, seconds in pairs]
        else:
            values = [value for at, value in measured if begin <= at < end]
        column.append(reduced(values, aggregate) if values else None)
    return column


def reduced(values: list[float], aggregate: Aggregate) -> float:
    if aggregate is Aggregate.MEAN:
        return math.fsum(values) / len(values)
    if aggregate is Aggregate.LAST:
        return values[-1]
    share = {Aggregate.MIN: 0.0, Aggregate.P50: 0.5, Aggregate.P95: 0.95, Aggregate.P99: 0.99, Aggregate.MAX: 1.0}
    return next(v for v in sorted(values) if sum(other <= v for other in values) >= share[aggregate] * len(values))


@given(points_lists, windows)
@settings(max_examples=150, deadline=None)
def test_every_column_equals_its_definition(points: list[Point], window: TimeRange) -> None:
    history = build_history(build_series(points, ALL_MEASURES), window, COLUMNS)
    if history is None:
        assert not any(window.start_ns <= point.time_ns < window.end_ns for point in points)
        return
    for column in COLUMNS:
        expected = plainly(points, window, *column)
        pairs = zip(history.columns[column], expected, strict=True)
        assert all(a == b or (a is not None and b is not None and math.isclose(a, b)) for a, b in pairs), column


@given(points_lists)
def test_usage_is_the_newest_point(points: list[Point]) -> None:
    usage = build_usage(build_series(points, ALL_MEASURES))
    if not points:
        assert usage is None
        return
    newest = max(points, key=lambda point: point.time_ns)
    assert usage is not None
    assert (usage.time_ns, usage.cpu_cores, usage.memory_bytes) == (
        newest.time_ns,
        newest.cpu_cores,
        newest.memory_bytes,
    )


@pytest.mark.parametrize(
    ("counts", "rate"),
    [([100, 300], 20.0), ([300, 100], None), ([100], None), ([100, None], None), ([None, 100], None), ([5, 5], 0.0)],
)
def test_the_rate_now_lies_between_the_two_newest_points(counts: list[int | None], rate: float | None) -> None:
    points = [Point(time_ns=i * 10 * NANOSECONDS, network_receive_bytes=count) for i, count in enumerate(counts)]
    usage = build_usage(build_series(points, {Measure.NETWORK_RECEIVE_BYTES}))
    assert usage == Usage(time_ns=points[-1].time_ns, network_receive_bytes_per_second=rate)


def test_percentiles_are_nearest_rank() -> None:
    values = [15.0, 20.0, 35.0, 40.0, 50.0]
    assert [nearest_rank(values, percent) for percent in (5, 30, 40, 50, 100)] == [15, 20, 20, 35, 50]


def test_counters_read_from_before_the_window() -> None:
    window = TimeRange(0, 600 * NANOSECONDS, 300 * NANOSECONDS)
    assert counter_lead_ns(window, {Measure.NETWORK_RECEIVE_BYTES}) == 300 * NANOSECONDS
    assert counter_lead_ns(window, {Measure.CPU_CORES}) == 0


def test_a_page_of_pods_is_aggregated_quickly() -> None:
    points = [Point(time_ns=i * 5 * NANOSECONDS, cpu_cores=i % 7 / 3, memory_bytes=i) for i in range(720)]
    series = build_series(points, {Measure.CPU_CORES, Measure.MEMORY_BYTES})
    window = TimeRange(0, 3600 * NANOSECONDS, 60 * NANOSECONDS)
    columns = [(Measure.CPU_CORES, Aggregate.P95), (Measure.MEMORY_BYTES, Aggregate.MEAN)]

    def plain() -> None:
        steps: dict[int, list[Point]] = {}
        for each in points:
            steps.setdefault(each.time_ns // window.step_ns, []).append(each)
        for inside in steps.values():
            sorted(each.cpu_cores or 0 for each in inside)
            sum(each.memory_bytes or 0 for each in inside)

    took, plainly = timed(lambda: build_history(series, window, columns)), timed(plain)
    assert took < 3 * plainly, f"720 points took {took:.4f} s, {plainly:.4f} s plainly"


def timed(work: Callable[[], object]) -> float:
    """The shortest of twenty runs, in seconds of this process."""
    runs = []
    for _ in range(20):
        begin = time.process_time()
        work()
        runs.append(time.process_time() - begin)
    return min(runs)


@pytest.mark.parametrize(
    ("times", "resolution"),
    [
        ([], 60),
        ([7.0], 60),
        ([0.0, 15.2, 29.9, 45.1], 15),
        ([0.0, 15.0, 30.0, 330.0, 345.0], 15),
        ([*range(0, 600, 60), *range(600, 750, 15)], 15),
        ([0.0, 300.0], 300),
        ([0.0, 0.25, 0.5], 0.25),
    ],
)
def test_the_resolution_is_the_usual_distance_of_the_newest_points(times: list[float], resolution: float) -> None:
    times_ns = [int(time * NANOSECONDS) for time in times]
    assert find_resolution_ns(times_ns, 60 * NANOSECONDS) == resolution * NANOSECONDS
