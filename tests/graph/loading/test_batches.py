"""When the questions of one operation go out: once none of its branches can add to them."""

import asyncio
from collections.abc import Mapping

import pytest

from graph.limits.limits import Limits
from graph.loading.batches import Batch, Dispatch
from graph.loading.context import Context
from graph.loading.loaders import build_loaders
from graph.loading.timeslice import TimeSlices
from graph.schema import schema
from tests.fakes.waiting import PATIENCE
from tests.graph.conftest import ADMIN, NOW, OpenGraph

DEEP = """{ nodes { items { usage { cpuCores } history { cpuCores }
  cluster { first: usage { cpuCores } second: history { cpuCores }
    nodes(first: 1) { items { name usage { cpuCores }
      pods { items { usage { cpuCores } node { usage { cpuPercent }
        cluster { usage { memoryBytes } pods(first: 2) { items { usage { memoryBytes } history { cpuCores }
          placements { since } } } } } } } } } } } } }"""
ONCE = ["latest_nodes", "latest_pods", "node_history", "placements", "pod_history"]


@pytest.mark.parametrize("compiled", [True, False])
@pytest.mark.parametrize("seconds", [0.0, 1e9], ids=["in many slices", "at a stretch"])
async def test_a_branch_that_is_deep_down_is_in_the_same_question(
    open_graph: OpenGraph, seconds: float, compiled: bool
) -> None:
    async with open_graph("c1", "c2", pods=9) as graph:
        loaders = build_loaders(graph.federation, ADMIN.scope, graph.store, now=NOW, deadline=1e12)
        limits, slices = Limits(nested=4), TimeSlices(seconds)
        context = Context(ADMIN, graph.federation, loaders, limits=limits, compiled=compiled, time_slices=slices)
        result = await schema.execute(DEEP, context_value=context)
        assert result.errors is None
        assert sorted(call.name for call in graph.store.calls) == ONCE


async def ask(keys: frozenset[str]) -> Mapping[str, int]:
    return {key: len(keys) for key in keys}


async def double(batch: Batch[str, int], key: str) -> int | None:
    found = await batch.load((key,))
    return found[0] * 2


async def test_a_branch_that_has_not_begun_is_waited_for() -> None:
    dispatch = Dispatch(asyncio.get_running_loop().time() + 9)
    batch: Batch[str, int] = Batch(dispatch, ask)
    late = dispatch.defer(double, batch, "b")
    first = asyncio.ensure_future(batch.load(("a",)))
    for _ in range(20):
        await asyncio.sleep(0)
    assert not first.done()
    assert (await late, await first) == (4, [2])


async def test_a_branch_that_is_dropped_or_forgotten_is_not_waited_for() -> None:
    dispatch = Dispatch(asyncio.get_running_loop().time() + 2 * PATIENCE)
    batch: Batch[str, int] = Batch(dispatch, ask)
    dispatch.defer(double, batch, "b")
    assert not dispatch.deferred
    forgotten = dispatch.defer(double, batch, "b")
    async with asyncio.timeout(PATIENCE):
        assert await batch.load(("a",)) == [1]
    assert await forgotten == 2
