"""The garbage collector leaves alone what the first lists brought."""

import asyncio
import gc
from collections.abc import Iterator
from functools import partial

import pytest

from fleet.aio.tasks import open_task
from fleet.registry import FleetOptions, open_federation
from server.gc_tuning import freeze_synced, gc_tuning
from tests.fakes.kubernetes import FakeCluster, FakeSource, build_pod
from tests.fakes.waiting import until


@pytest.fixture(autouse=True)
def thawed() -> Iterator[None]:
    """Without what the tests' own session has set aside."""
    gc.unfreeze()
    yield
    gc.freeze()


def is_looked_at(one: object) -> bool:
    return any(known is one for known in gc.get_objects())


async def test_what_is_in_memory_is_set_aside_once_it_is_there_and_taken_back_at_the_end() -> None:
    cluster = FakeCluster("c1")
    cluster.put(build_pod("x", "p"))
    thresholds = gc.get_threshold()
    cluster.answering.clear()
    with gc_tuning():
        assert gc.get_threshold() > thresholds
        marker: list[object] = []
        async with (
            open_federation(FakeSource(cluster), FleetOptions()) as federation,
            open_task("freeze", partial(freeze_synced, federation)),
        ):
            await asyncio.sleep(0)
            assert is_looked_at(marker)
            cluster.answering.set()
            await until(lambda: not is_looked_at(marker))
    assert gc.get_freeze_count() == 0
    assert gc.get_threshold() == thresholds
