"""Newest usage from memory is what a metric file with the same points answers; all else is the other store's."""

import asyncio
from pathlib import Path

import pytest

from fleet.collector.newest import NewestUsage
from fleet.collector.split import split
from fleet.metrics.embedded.store import EmbeddedOptions, open_embedded_store
from fleet.model.cluster_status import StatusStore
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import ALL_MEASURES, NANOSECONDS, Aggregate, Kind, Measure, Measured, Point, TimeRange, Usage
from tests.fleet.collector.summaries import FULL_POD

NOW = 1_800_000_000 * NANOSECONDS
WEB, DB, N1 = PodKey("c1", "shop", "web"), PodKey("c2", "shop", "db"), NodeKey("c1", "n1")
CPU_AND_RATE = frozenset({Measure.CPU_CORES, Measure.NETWORK_RECEIVE_BYTES})


def at(seconds: float, **amounts: float) -> Point:
    return Point(NOW + round(seconds * NANOSECONDS), node="n1", **amounts)  # type: ignore[arg-type]  # bytes are int


CASES = {
    "nothing": [],
    "one point": [at(-20, **FULL_POD)],
    "a rate": [at(-20, network_receive_bytes=100), at(-5, network_receive_bytes=400, cpu_cores=0.5)],
    "a counter that was reset": [at(-20, network_receive_bytes=100), at(-5, network_receive_bytes=4)],
    "a counter that is missing": [at(-20, network_receive_bytes=100), at(-5, cpu_cores=1.0)],
    "a rate of what is there": [
        at(-20, network_receive_bytes=1),
        at(-10, cpu_cores=1.0),
        at(-5, network_receive_bytes=9),
    ],
    "the same point again": [at(-20, network_receive_bytes=1)] + [at(-5, network_receive_bytes=31)] * 2,
    "as old as may be": [at(-3600, cpu_cores=1.0)],
    "too old": [at(-3601, cpu_cores=1.0)],
    "a rate since long ago": [at(-3700, network_receive_bytes=1), at(-5, network_receive_bytes=9)],
}


@pytest.mark.parametrize("points", CASES.values(), ids=CASES)
@pytest.mark.parametrize("measures", [ALL_MEASURES, CPU_AND_RATE], ids=["all", "two"])
async def test_it_answers_as_the_metric_file(tmp_path: Path, points: list[Point], measures: frozenset[Measure]) -> None:
    newest = NewestUsage(3600.0, clock=lambda: NOW)
    async with open_embedded_store(EmbeddedOptions(tmp_path / "usage.db", clock=lambda: NOW)) as store:
        for point in points:
            for each in (newest, store):
                await each.write([(WEB, point)], [(N1, point)])
        for kind, keys in ((Kind.POD, frozenset({WEB, DB})), (Kind.NODE, frozenset({N1}))):
            assert newest.latest(kind, keys, measures) == await store.latest(kind, keys, measures)  # type: ignore[type-var]  # of one kind


async def test_points_that_come_late_change_nothing() -> None:
    newest = NewestUsage(3600.0, clock=lambda: NOW)
    for point in (at(-5, cpu_cores=2.0), at(-20, cpu_cores=1.0)):
        await newest.write([(WEB, point)], [])
    found = newest.latest(Kind.POD, frozenset({WEB}), CPU_AND_RATE)
    assert found == {WEB: Usage(NOW - 5 * NANOSECONDS, cpu_cores=2.0)}


async def test_a_cluster_whose_usage_is_not_collected_is_a_problem() -> None:
    newest = NewestUsage(3600.0, clock=lambda: NOW)
    newest.sources = {"c1": "its kubelets", "c2": "nothing: it refuses"}
    await newest.write([(WEB, at(-5, cpu_cores=2.0))], [])
    found = newest.latest(Kind.POD, frozenset({WEB, DB}), CPU_AND_RATE)
    assert (set(found), found.problems) == ({WEB}, {"c2": "no usage is collected: it refuses"})


async def test_what_counts_no_more_is_forgotten() -> None:
    now = NOW
    newest = NewestUsage(60.0, clock=lambda: now)
    await newest.write([(WEB, at(0, cpu_cores=2.0))], [])
    now += 61 * NANOSECONDS
    newest.forget()
    assert newest.size == 0


async def test_history_points_and_placements_are_of_the_other_store(tmp_path: Path) -> None:
    newest = NewestUsage(3600.0, clock=lambda: NOW)
    async with open_embedded_store(EmbeddedOptions(tmp_path / "usage.db", clock=lambda: NOW)) as store:
        await store.write([(WEB, at(-30, cpu_cores=1.0))], [])
        await newest.write([(WEB, at(-5, cpu_cores=2.0))], [])
        both = split(newest, store)
        assert not isinstance(both, StatusStore)
        usage = await both.latest(Kind.POD, frozenset({WEB}), CPU_AND_RATE)
        assert isinstance(usage, Measured)
        assert usage == {WEB: Usage(NOW - 5 * NANOSECONDS, cpu_cores=2.0)}
        window = TimeRange(NOW - 60 * NANOSECONDS, NOW, 60 * NANOSECONDS)
        mean = (Measure.CPU_CORES, Aggregate.MEAN)
        asked = Kind.POD, frozenset({WEB}), window, frozenset({mean})
        history, points, on_nodes, placements = await asyncio.gather(
            both.history(*asked),
            both.points(Kind.POD, WEB, start_ns=None, end_ns=None, limit=1),
            both.pods_on_nodes(frozenset({N1}), NOW),
            both.placements(frozenset({WEB}), start_ns=0, end_ns=NOW),
        )
        assert history[WEB].columns[mean] == [1.0]
        assert points == [at(-30, cpu_cores=1.0)]
        assert [placement.node for placement in placements[WEB]] == ["n1"]
        assert list(on_nodes) == [N1]
        assert (await both.check()).endswith("newest usage is what is collected")
