"""How figures are written: the event loop goes on meanwhile, and no name of a cluster breaks them."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from fleet.aio.counts import Durations
from server.figures.exposition import OPENMETRICS, TEXT, build_exposition, pick_type
from server.figures.figure import Figure, read_families
from server.figures.own import collect_own
from server.settings.groups import Settings
from tests.fakes.kubernetes import FakeCluster, FakeSource
from tests.server.figures.reading import read_samples, write
from tests.server.test_health import opening


async def test_the_event_loop_turns_between_families(tmp_path: Path) -> None:
    async with opening(FakeSource(FakeCluster("c1")), tmp_path)(Settings()) as state:
        building = asyncio.create_task(build_exposition(state, TEXT))
        turns = 0
        while not building.done():
            await asyncio.sleep(0)
            turns += 1
        assert turns > len(list(collect_own(state)))
        assert 'openmcp_cluster_objects{cluster="c1",kind="pods"}' in await building


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("", TEXT),
        ("*/*", TEXT),
        ("text/plain;version=0.0.4;q=0.5,*/*;q=0.1", TEXT),
        ("application/openmetrics-text;version=1.0.0;q=0.75,text/plain;version=0.0.4;q=0.5", OPENMETRICS),
    ],
)
def test_the_format_is_the_one_that_is_asked_for(accept: str, expected: str) -> None:
    assert pick_type(accept) == expected


def test_a_cluster_s_name_can_not_break_the_exposition() -> None:
    figure: Figure[str] = Figure("ready", "gauge", "Says.", lambda name: [((name,), 1)], ("cluster",))
    assert r'ready{cluster="a\"} 1\nb"} 1.0' in write([figure], 'a"} 1\nb').splitlines()


def test_durations_are_a_histogram() -> None:
    durations = Durations()
    for seconds in (0.001, 0.005, 0.3, 60.0):
        durations.note(seconds)
    figure: Figure[Durations] = Figure("took_seconds", "histogram", "Says.", lambda found: [((), found)])
    told = read_samples(write([figure], durations))
    assert [told[f'took_seconds_bucket{{le="{bound}"}}'] for bound in ("0.005", "0.1", "0.5", "10.0", "+Inf")] == [
        2,
        2,
        3,
        3,
        4,
    ]
    assert told["took_seconds_count"] == 4
    assert told["took_seconds_sum"] == pytest.approx(60.306)


@pytest.mark.parametrize("value", [Durations(), (1, 2.0), {"a": "b"}])
def test_a_value_of_another_kind_is_refused(value: Any) -> None:
    with pytest.raises(TypeError, match="depth is a gauge, which"):
        list(read_families([Figure("depth", "gauge", "Says.", lambda _: [((), value)])], None))
