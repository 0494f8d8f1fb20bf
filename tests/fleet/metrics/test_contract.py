"""What every metric store answers, whichever it is."""

import math
import time

import pytest
from msgspec import structs

from fleet.metrics.aggregate import build_history, build_usage
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import (
    ALL_MEASURES,
    NANOSECONDS,
    Aggregate,
    Column,
    History,
    Kind,
    Measure,
    Point,
    TimeRange,
    Usage,
)
from tests.fleet.metrics.stores import Filled, build_series

WEB = PodKey("cluster1", "default", "web-0")
NODE = NodeKey("cluster1", "kube1-worker1")
NOW = time.time_ns() // NANOSECONDS * NANOSECONDS
CPU = frozenset({Measure.CPU_CORES})
CPU_MEMORY = frozenset({Measure.CPU_CORES, Measure.MEMORY_BYTES})
RECEIVED = frozenset({Measure.NETWORK_RECEIVE_BYTES})
MEAN_CPU = (Measure.CPU_CORES, Aggregate.MEAN)
ALL_COLUMNS = frozenset((measure, aggregate) for measure in Measure for aggregate in Aggregate)

HOSTILE_NAMES = [
    "it's",
    'say "hi"',
    "'; DROP MEASUREMENT Pods; --",
    "$v0",
    "a\\' OR 1=1 --",
    "포드-0",
    "with space,comma=equals",
    ".*",
    "%",
    "[]{}()",
    "/re/",
]


def ago(seconds: float) -> int:
    return NOW - int(seconds * NANOSECONDS)


def full_point(seconds: float, step: int = 0) -> Point:
    return Point(
        time_ns=ago(seconds),
        cpu_cores=0.218250189 + step,
        memory_bytes=15044845568 + step,
        memory_usage_bytes=2 + step,
        memory_available_bytes=3 + step,
        fs_used_bytes=4 + step,
        fs_capacity_bytes=5 + step,
        fs_available_bytes=6 + step,
        network_receive_bytes=1000 * step,
        network_transmit_bytes=500 * step,
        node="n1",
    )


async def test_latest_is_the_newest_point_with_rates_from_the_one_before(filled: Filled) -> None:
    older, newer = full_point(20, 1), full_point(10, 2)
    await filled.write([(WEB, newer), (WEB, older)], [(NODE, older), (NODE, newer)])
    pods = await filled.store.latest(Kind.POD, frozenset({WEB}), ALL_MEASURES)
    nodes = await filled.store.latest(Kind.NODE, frozenset({NODE}), ALL_MEASURES)
    for kind, found in ((Kind.POD, pods[WEB]), (Kind.NODE, nodes[NODE])):
        points = [filled.kept(kind, point) for point in (older, newer)]
        assert rounded(found) == build_usage(build_series(points, ALL_MEASURES))
    assert pods[WEB].network_receive_bytes_per_second == 100


async def test_latest_answers_only_what_was_asked(filled: Filled) -> None:
    await filled.write([(WEB, full_point(5))])
    usage = await filled.store.latest(Kind.POD, frozenset({WEB}), CPU)
    assert list(usage) == [WEB]
    assert rounded(usage[WEB]) == Usage(time_ns=ago(5), cpu_cores=0.218250189)


async def test_latest_keeps_the_nulls_of_the_newest_point(filled: Filled) -> None:
    await filled.write([(WEB, full_point(20)), (WEB, Point(time_ns=ago(10), memory_bytes=7))])
    assert await filled.store.latest(Kind.POD, frozenset({WEB}), CPU) == {WEB: Usage(time_ns=ago(10))}
    assert await filled.store.latest(Kind.POD, frozenset({WEB}), CPU_MEMORY) == {
        WEB: Usage(time_ns=ago(10), memory_bytes=7)
    }


async def test_latest_finds_an_old_point_within_the_lookback_and_none_beyond(filled: Filled) -> None:
    quiet, gone = PodKey("cluster1", "default", "quiet"), PodKey("cluster1", "default", "gone")
    await filled.write([(WEB, full_point(5)), (quiet, full_point(1200)), (gone, full_point(3 * 3600))])
    usage = await filled.store.latest(Kind.POD, frozenset({WEB, quiet, gone}), CPU)
    assert {key: value.time_ns for key, value in usage.items()} == {WEB: ago(5), quiet: ago(1200)}


async def test_latest_of_nothing_and_of_unknown_objects_is_empty(filled: Filled) -> None:
    await filled.write([(WEB, full_point(5))])
    assert await filled.store.latest(Kind.POD, frozenset(), CPU) == {}
    assert await filled.store.latest(Kind.POD, frozenset({PodKey("cluster2", "default", "web-0")}), CPU) == {}
    assert await filled.store.latest(Kind.NODE, frozenset({NODE}), CPU) == {}


async def test_a_pod_that_moved_is_one_pod_and_its_newest_point_counts(filled: Filled) -> None:
    before = Point(time_ns=ago(20), cpu_cores=1.0, memory_bytes=1, node="n9")
    after = Point(time_ns=ago(10), cpu_cores=2.0, memory_bytes=2, node="n1")
    await filled.write([(WEB, before), (WEB, after)])
    usage = await filled.store.latest(Kind.POD, frozenset({WEB}), CPU)
    points = await filled.store.points(Kind.POD, WEB, start_ns=ago(60), end_ns=None, limit=10)
    assert usage == {WEB: Usage(time_ns=ago(10), cpu_cores=2.0)}
    assert points == [before, after]


async def test_a_reset_counter_has_no_rate_now(filled: Filled) -> None:
    await filled.write(
        [
            (WEB, Point(time_ns=ago(20), cpu_cores=1.0, network_receive_bytes=900)),
            (WEB, Point(time_ns=ago(10), cpu_cores=1.0, network_receive_bytes=30)),
        ]
    )
    assert await filled.store.latest(Kind.POD, frozenset({WEB}), RECEIVED) == {WEB: Usage(time_ns=ago(10))}


@pytest.mark.parametrize("seconds", [(10, 20, 30), (10, 2000), (2000, 2010, 3000)], ids=["now", "once", "long ago"])
async def test_a_rate_is_between_the_two_newest_points_however_old(filled: Filled, seconds: tuple[int, ...]) -> None:
    counted = [(ago(second), (10_000 - second) ** 2) for second in seconds]
    points = [Point(time_ns=time_ns, cpu_cores=1.0, network_receive_bytes=value) for time_ns, value in counted]
    await filled.write((WEB, point) for point in points)
    usage = await filled.store.latest(Kind.POD, frozenset({WEB}), RECEIVED)
    rate = float(20_000 - seconds[0] - seconds[1])
    assert usage == {WEB: Usage(time_ns=points[0].time_ns, network_receive_bytes_per_second=rate)}


@pytest.mark.parametrize("name", HOSTILE_NAMES)
async def test_hostile_names_are_names(filled: Filled, name: str) -> None:
    pod, node = PodKey(name, name, name), NodeKey(name, name)
    await filled.write([(WEB, full_point(5)), (pod, full_point(6))], [(NODE, full_point(5)), (node, full_point(6))])
    window = TimeRange(ago(60), NOW, 60 * NANOSECONDS)
    columns: frozenset[Column] = frozenset({(Measure.CPU_CORES, Aggregate.MAX)})
    assert list(await filled.store.latest(Kind.POD, frozenset({pod}), CPU)) == [pod]
    assert list(await filled.store.latest(Kind.NODE, frozenset({node}), CPU)) == [node]
    assert list(await filled.store.history(Kind.POD, frozenset({pod}), window, columns)) == [pod]
    assert len(await filled.store.points(Kind.NODE, node, start_ns=None, end_ns=None, limit=5)) == 1
    assert list(await filled.store.latest(Kind.POD, frozenset({WEB}), CPU)) == [WEB]


@pytest.mark.parametrize("namespaces", [1, 10, 60])
async def test_a_thousand_pods_among_others_are_each_their_own(filled: Filled, namespaces: int) -> None:
    keys = [PodKey(f"cluster{i % 2}", f"ns{i % namespaces}", f"web-{i}") for i in range(1100)]
    await filled.write([(key, Point(time_ns=ago(5), cpu_cores=float(i), node="n1")) for i, key in enumerate(keys)])
    for wanted in (keys[:40], keys[:1000]):
        usage = await filled.store.latest(Kind.POD, frozenset(wanted), CPU)
        assert {key: value.cpu_cores for key, value in usage.items()} == {key: float(i) for i, key in enumerate(wanted)}


async def test_history_equals_plain_arithmetic(filled: Filled) -> None:
    points = [full_point(600 - 7 * i, i % 13) for i in range(40)] + [full_point(60 - i, i) for i in range(0, 50, 5)]
    points += [Point(time_ns=ago(300), memory_bytes=5)]
    await filled.write([(WEB, point) for point in points], [(NODE, point) for point in points])
    window = TimeRange(ago(510), ago(3), 60 * NANOSECONDS)
    pods = await filled.store.history(Kind.POD, frozenset({WEB}), window, ALL_COLUMNS)
    nodes = await filled.store.history(Kind.NODE, frozenset({NODE}), window, ALL_COLUMNS)
    for kind, found in ((Kind.POD, pods[WEB]), (Kind.NODE, nodes[NODE])):
        kept = [filled.kept(kind, point) for point in points]
        expected = build_history(build_series(kept, ALL_MEASURES), window, ALL_COLUMNS)
        assert expected is not None
        assert_close(found, expected)


async def test_history_is_half_open_and_gaps_are_null(filled: Filled) -> None:
    cells = {100: 1.0, 61: 2.0, 60: 4.0, 20: 8.0, 0: 16.0}
    await filled.write([(WEB, Point(time_ns=ago(s), cpu_cores=value)) for s, value in cells.items()])
    window = TimeRange(ago(100), NOW, 20 * NANOSECONDS)
    column = (Measure.CPU_CORES, Aggregate.LAST)
    history = await filled.store.history(Kind.POD, frozenset({WEB}), window, frozenset({column}))
    assert history[WEB].columns == {column: [1.0, 2.0, 4.0, None, 8.0]}


async def test_history_leaves_out_objects_without_a_point_in_the_window(filled: Filled) -> None:
    other = PodKey("cluster1", "default", "other")
    await filled.write([(WEB, full_point(30)), (other, full_point(200))])
    window = TimeRange(ago(60), NOW, 30 * NANOSECONDS)
    columns = frozenset({(Measure.CPU_CORES, Aggregate.MEAN), (Measure.NETWORK_RECEIVE_BYTES, Aggregate.MEAN)})
    history = await filled.store.history(Kind.POD, frozenset({WEB, other}), window, columns)
    assert list(history) == [WEB]
    assert await filled.store.history(Kind.POD, frozenset(), window, columns) == {}


@pytest.mark.parametrize(("last", "step"), [(600, 60), (6 * 3600, 600)])
async def test_history_says_how_far_apart_its_points_are(filled: Filled, last: int, step: int) -> None:
    often, once = NodeKey("cluster1", "often"), NodeKey("cluster1", "once")
    of_often = [(often, Point(time_ns=ago(seconds), cpu_cores=1.0)) for seconds in range(15, last, 15)]
    await filled.write(nodes=[*of_often, (once, full_point(30))])
    window = TimeRange(ago(last), NOW, step * NANOSECONDS)
    history = await filled.store.history(Kind.NODE, frozenset({often, once}), window, frozenset({MEAN_CPU}))
    assert {key.name: found.resolution_ns // NANOSECONDS for key, found in history.items()} == {
        "often": 15,
        "once": step,
    }


async def test_a_rate_counts_from_before_the_window_and_from_zero_after_a_reset(filled: Filled) -> None:
    counted = {70: 100, 50: 300, 30: 50, 10: 250}
    await filled.write(
        [(WEB, Point(time_ns=ago(s), cpu_cores=1.0, network_receive_bytes=value)) for s, value in counted.items()]
    )
    column = (Measure.NETWORK_RECEIVE_BYTES, Aggregate.MEAN)
    window = TimeRange(ago(60), NOW, 20 * NANOSECONDS)
    history = await filled.store.history(Kind.POD, frozenset({WEB}), window, frozenset({column}))
    assert history[WEB].columns == {column: [200 / 20, 50 / 20, 200 / 20]}


@pytest.mark.parametrize(
    ("start", "end", "limit", "expected"),
    [
        (None, None, 10, [10]),
        (40, 20, 10, [40, 30]),
        (30, None, 10, [30, 20, 10]),
        (None, 20, 10, [7200, 40, 30]),
        (None, 20, 2, [40, 30]),
        (8000, None, 2, [20, 10]),
        (5, None, 10, []),
        (None, 3e9, 10, []),
        (3e9, None, 2, [20, 10]),
        (3.1e9, 3e9, 10, []),
        (20, 40, 10, []),
    ],
)
async def test_points_are_half_open_oldest_first_and_bounded_to_the_newest(
    filled: Filled, start: float | None, end: float | None, limit: int, expected: list[float]
) -> None:
    await filled.write(nodes=[(NODE, full_point(seconds)) for seconds in (7200, 40, 30, 20, 10)])
    points = await filled.store.points(
        Kind.NODE,
        NODE,
        start_ns=None if start is None else ago(start),
        end_ns=None if end is None else ago(end),
        limit=limit,
    )
    assert [point.time_ns for point in points] == [ago(seconds) for seconds in expected]
    assert all(point.node == NODE.name for point in points)


async def test_the_newest_point_is_answered_however_old(filled: Filled) -> None:
    old = Point(time_ns=1594711388917378367, cpu_cores=0.5, memory_bytes=1, node="n1")
    await filled.write([(WEB, old)])
    assert await filled.store.points(Kind.POD, WEB, start_ns=None, end_ns=None, limit=10) == [
        filled.kept(Kind.POD, old)
    ]


async def test_check_says_what_the_store_is(filled: Filled) -> None:
    said = await filled.store.check()
    assert said.startswith(("InfluxDB 1.", "InfluxDB 2.", "SQLite 3.", "Prometheus 2.", "VictoriaMetrics"))


def rounded(usage: Usage) -> Usage:
    """With CPU to the nanocore."""
    return usage if usage.cpu_cores is None else structs.replace(usage, cpu_cores=round(usage.cpu_cores, 9))


def assert_close(history: History, expected: History) -> None:
    assert history.time_range == expected.time_range
    assert history.columns.keys() == expected.columns.keys()
    for column, values in expected.columns.items():
        pairs = zip(history.columns[column], values, strict=True)
        # CPU to the nanocore: a store may have the seconds it was used, and no share of them.
        near = 1e-9 if column[0] is Measure.CPU_CORES else 0.0
        assert all(
            a == b or (a is not None and b is not None and math.isclose(a, b, abs_tol=near)) for a, b in pairs
        ), column
