"""What the embedded store answers of points that are blocks and spans by now."""

import math
from pathlib import Path

import pytest
from msgspec.structs import replace

from fleet.metrics.embedded.blocks.columns import PRECISION
from fleet.model.objects import NodeKey, PodKey
from fleet.model.placements import Placement
from fleet.model.usage import ALL_MEASURES, Aggregate, Kind, Measure, Point, TimeRange
from tests.fleet.metrics.embedded.aging import (
    BOUNDS,
    DAY,
    HOUR,
    MINUTE,
    NOON,
    SECOND,
    WEB,
    assert_near,
    build_points,
    expect,
    open_aging,
)

OTHER = PodKey("cluster1", "default", "other")
ALL_COLUMNS = frozenset((measure, aggregate) for measure in Measure for aggregate in Aggregate)


@pytest.mark.parametrize("step", [15 * SECOND, 45 * SECOND, MINUTE, 10 * MINUTE])
async def test_two_hours_are_answered_from_points_as_they_were(tmp_path: Path, step: int) -> None:
    points = build_points(NOON - 3 * HOUR, 3 * 240)
    async with open_aging(tmp_path / "usage") as aging:
        await aging.live(points)
        window = TimeRange((NOON - 2 * HOUR) // step * step + step, NOON, step)
        found = await aging.history(window, ALL_COLUMNS)
        assert_near(found, expect(points, window, ALL_COLUMNS))
        assert found.resolution_ns == 15 * SECOND
        assert await aging.points(NOON - 2 * HOUR) == points[240:]


@pytest.mark.parametrize(
    ("back", "step", "resolution"),
    [
        (20 * HOUR, MINUTE, MINUTE),
        (20 * HOUR, 5 * MINUTE, MINUTE),
        (20 * HOUR, 30 * MINUTE, 10 * MINUTE),
        (60 * HOUR, HOUR, 10 * MINUTE),
    ],
)
async def test_longer_windows_are_answered_from_spans(tmp_path: Path, back: int, step: int, resolution: int) -> None:
    points = build_points(NOON - 62 * HOUR, 62 * 240)
    async with open_aging(tmp_path / "usage") as aging:
        await aging.live(points)
        window = TimeRange((NOON - back) // step * step, NOON, step)
        found = await aging.history(window)
        assert_near(found, expect(points, window), PRECISION)
        assert found.resolution_ns == resolution


async def test_points_of_yesterday_are_the_last_of_each_span(tmp_path: Path) -> None:
    points = build_points(NOON - 30 * HOUR, 30 * 240)
    async with open_aging(tmp_path / "usage") as aging:
        await aging.live(points)
        minutes = await aging.points(NOON - 10 * HOUR, NOON - 9 * HOUR)
        tens = await aging.points(NOON - 29 * HOUR, NOON - 28 * HOUR)
        held = {point.time_ns: point for point in points}
        for found, count in ((minutes, 60), (tens, 6)):
            assert len(found) == count
            for point in found:
                assert_like(point, held[point.time_ns])
        everything = await aging.points(NOON - 29 * HOUR)
        assert [point.time_ns for point in everything] == sorted({point.time_ns for point in everything})
        assert everything[-480:] == points[-480:]
        assert await aging.points(0, limit=700) == everything[-700:]


def assert_like(found: Point, point: Point) -> None:
    """A point that was rolled up is that one, but for the precision of spans."""
    assert found.node == point.node
    for measure in Measure:
        value, was = getattr(found, measure.value), getattr(point, measure.value)
        assert math.isclose(value, was, rel_tol=PRECISION), measure


async def test_the_newest_point_is_found_in_every_tier(tmp_path: Path) -> None:
    last = build_points(NOON - 7 * 15 * SECOND, 8)
    async with open_aging(tmp_path / "usage") as aging:
        await aging.live(last)
        for later in (HOUR, 3 * HOUR, 30 * HOUR):
            await aging.live(build_points(NOON + later, 1), OTHER)
            await aging.settle(NOON + later + HOUR)
            (newest,) = await aging.store.points(Kind.POD, WEB, start_ns=None, end_ns=None, limit=5)
            assert newest.time_ns == NOON
            assert_like(newest, last[-1])


@pytest.mark.parametrize("ago", [25 * MINUTE, 50 * MINUTE])
@pytest.mark.parametrize("measures", [ALL_MEASURES, frozenset({Measure.CPU_CORES})], ids=["rates too", "cores"])
async def test_usage_of_what_is_silent_by_now_is_found_in_blocks(
    tmp_path: Path, ago: int, measures: frozenset[Measure]
) -> None:
    points = build_points(NOON - 40 * MINUTE, 160)
    async with open_aging(tmp_path / "usage") as aging:
        await aging.live(points)
        before = await aging.store.latest(Kind.POD, frozenset({WEB}), measures)
        await aging.live(build_points(NOON + ago, 1), OTHER)
        assert await aging.store.latest(Kind.POD, frozenset({WEB}), measures) == before
        await aging.settle(NOON + HOUR)
        assert await aging.store.latest(Kind.POD, frozenset({WEB}), measures) == {}


async def test_a_rate_counts_from_a_point_that_is_in_a_block(tmp_path: Path) -> None:
    async with open_aging(tmp_path / "usage") as aging:
        await aging.live([Point(NOON - 35 * MINUTE, network_receive_bytes=100)])
        await aging.live([Point(NOON, network_receive_bytes=310)])
        found = await aging.store.latest(Kind.POD, frozenset({WEB}), frozenset({Measure.NETWORK_RECEIVE_BYTES}))
        assert found[WEB].network_receive_bytes_per_second == 210 / (35 * 60)


async def test_placements_of_all_tiers_are_those_of_the_points(tmp_path: Path) -> None:
    begin = NOON - 62 * HOUR
    moves = [(0, "n1"), (20, "n2"), (58, "n1"), (59.5, "n3"), (61.7, "n2")]
    parts = [
        build_points(begin + int(hour * HOUR), round(((*moves, (62, "")))[at + 1][0] * 240 - hour * 240), node=node)
        for at, (hour, node) in enumerate(moves)
    ]
    points = [point for part in parts for point in part]
    expected = [Placement(WEB, part[0].node or "", part[0].time_ns, part[-1].time_ns) for part in parts]
    async with open_aging(tmp_path / "usage") as aging:
        await aging.live(points)
        assert len(await aging.points(begin)) < len(points) / 3
        assert await aging.store.placements(frozenset({WEB}), start_ns=0, end_ns=NOON) == {WEB: expected}
        for at, placement in enumerate(expected):
            middle = (placement.since_ns + placement.until_ns) // 2
            nodes = frozenset(NodeKey("cluster1", f"n{number}") for number in (1, 2, 3))
            found = await aging.store.pods_on_nodes(nodes, middle)
            assert {key.name: [run.pod for run in runs] for key, runs in found.items() if runs} == {moves[at][1]: [WEB]}


async def test_late_points_are_as_those_that_came_in_time(tmp_path: Path) -> None:
    points = build_points(NOON - 3 * HOUR, 3 * 240)
    window = TimeRange(NOON - 2 * HOUR, NOON, MINUTE)
    longer = TimeRange(NOON - 3 * HOUR, NOON, 10 * MINUTE)
    late = points[300:340] + points[470:490:3]
    async with open_aging(tmp_path / "usage") as aging:
        await aging.live([point for point in points if point not in late])
        await aging.store.write([(WEB, replace(point, cpu_cores=9.0)) for point in late])
        await aging.store.write([(WEB, point) for point in late])
        for settled in (False, True):
            if settled:
                await aging.settle()
            assert await aging.points(NOON - 2 * HOUR) == points[240:]
            assert_near(await aging.history(window, ALL_COLUMNS), expect(points, window, ALL_COLUMNS))
        assert_near(await aging.history(longer), expect(points, longer), PRECISION)


async def test_points_of_the_same_time_replace_those_in_blocks(tmp_path: Path) -> None:
    points = build_points(NOON - 2 * HOUR, 2 * 240)
    anew = [replace(point, cpu_cores=7.0 + at) for at, point in enumerate(points[100:140])]
    async with open_aging(tmp_path / "usage") as aging:
        await aging.live(points)
        await aging.store.write([(WEB, point) for point in anew])
        await aging.settle()
        assert await aging.points(NOON - 2 * HOUR) == points[:100] + anew + points[140:]


async def test_points_older_than_the_tier_of_points_join_the_spans_that_are_there(tmp_path: Path) -> None:
    points = build_points(NOON - 30 * HOUR, 30 * 240)
    late = points[600:1200:2]
    cpu = frozenset((Measure.CPU_CORES, aggregate) for aggregate in BOUNDS)
    window = TimeRange(NOON - 29 * HOUR, NOON - 20 * HOUR, HOUR)
    async with open_aging(tmp_path / "usage") as aging:
        await aging.live([point for point in points if point not in late])
        await aging.store.write([(WEB, point) for point in late])
        for settled in (False, True):
            if settled:
                await aging.settle()
            assert_near(await aging.history(window, cpu), expect(points, window, cpu), PRECISION)


async def test_days_that_are_written_at_once_are_as_days_that_passed(tmp_path: Path) -> None:
    points = build_points(NOON - 50 * HOUR, 50 * 240)
    async with open_aging(tmp_path / "usage") as aging:
        await aging.store.write([(WEB, point) for point in points])
        await aging.settle()
        for back, step in ((2 * HOUR, MINUTE), (20 * HOUR, 5 * MINUTE), (48 * HOUR, HOUR)):
            window = TimeRange((NOON - back) // step * step, NOON, step)
            assert_near(await aging.history(window), expect(points, window), PRECISION)
        assert len(await aging.points(0)) < len(points) / 3


async def test_a_series_goes_with_its_last_block(tmp_path: Path) -> None:
    async with open_aging(tmp_path / "usage") as aging:
        await aging.live(build_points(NOON - HOUR, 240))
        for day in (5, 11):
            await aging.live(build_points(NOON + day * DAY, 240), OTHER)
            assert (await aging.store.check()).endswith("2 series" if day == 5 else "1 series")
        await aging.live(build_points(NOON + 11 * DAY + 2 * HOUR, 4))
        assert len(await aging.points(0)) == 4


@pytest.mark.parametrize("jump", [-3 * DAY, 3 * HOUR, 3 * DAY, 400 * DAY], ids=["back", "hours", "days", "far ahead"])
async def test_a_clock_that_jumps_costs_no_more_than_the_detail_of_points(tmp_path: Path, jump: int) -> None:
    points = build_points(NOON - 4 * HOUR, 4 * 240)
    window = TimeRange(NOON - 3 * HOUR, NOON + HOUR, 10 * MINUTE)
    async with open_aging(tmp_path / "usage") as aging:
        await aging.live(points)
        await aging.settle(NOON + jump)
        further = build_points(NOON, 240)
        await aging.live(further)
        await aging.settle(NOON + HOUR)
        assert_near(await aging.history(window), expect(points + further, window), PRECISION)


async def test_counters_of_a_window_do_not_count_from_before_rows_that_are_not_read(tmp_path: Path) -> None:
    points = [point for point in build_points(NOON, 220) if not 40 * MINUTE <= point.time_ns - NOON < 50 * MINUTE]
    async with open_aging(tmp_path / "usage.db", NOON) as aging:
        await aging.live(points)
        window = TimeRange(NOON + 49 * MINUTE, NOON + 55 * MINUTE, MINUTE)
        read = [point for point in points if point.time_ns >= window.start_ns - 2 * MINUTE]
        assert_near(await aging.history(window), expect(read, window))


async def test_a_point_without_counters_at_a_border_loses_no_growth(tmp_path: Path) -> None:
    """What grew from the point before it to the one behind it is of the step that has the latter."""
    received = Measure.NETWORK_RECEIVE_BYTES
    points = [
        replace(
            point,
            network_receive_bytes=None if number in (119, 239) else 777 * number + 10**7 * (number // 120),
            network_transmit_bytes=None if number in (119, 239) else 5 * number,
        )
        for number, point in enumerate(build_points(NOON, 4 * 360))
    ]
    columns = frozenset({(received, Aggregate.MAX), (received, Aggregate.MEAN)})
    async with open_aging(tmp_path / "usage.db", NOON) as aging:
        await aging.live(points)
        window = TimeRange(NOON, NOON + 2 * HOUR, 10 * MINUTE)
        found = await aging.history(window, columns)
        assert found.resolution_ns == 10 * MINUTE
        assert_near(found, expect(points, window, columns), 2 * PRECISION)
