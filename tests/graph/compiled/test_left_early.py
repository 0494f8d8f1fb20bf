"""A request that is cancelled, at whatever step, drops what it had begun, and nobody complains of it."""

import asyncio
import gc
import warnings

import pytest

from graph.loading.context import Context
from graph.loading.loaders import build_loaders
from graph.loading.timeslice import TimeSlices
from graph.schema import schema
from tests.graph.conftest import ADMIN, NOW, Graph, OpenGraph

MEASURED = "pods(first: 20) { items { name usage { cpuCores } node { name usage { cpuCores } } } }"
QUERIES = {
    "one list": f"{{ {MEASURED} }}",
    "two lists": f"{{ {MEASURED} again: {MEASURED} }}",
    "lists in a list": f"{{ clusters {{ name {MEASURED} nodes {{ items {{ {MEASURED} }} }} }} }}",
}
MOST_STEPS = 500


async def leave_after(graph: Graph, query: str, steps: int, seconds: float) -> bool:
    """Cancels the query after so many turns of the loop; False where it was answered by then."""
    loaders = build_loaders(graph.federation, ADMIN.scope, graph.store, now=NOW, deadline=1e12)
    context = Context(ADMIN, graph.federation, loaders, encoded=True, time_slices=TimeSlices(seconds))
    task = asyncio.create_task(schema.execute(query, context_value=context))
    for _ in range(steps):
        await asyncio.sleep(0)
    left = task.cancel()
    await asyncio.wait([task])
    return left and task.cancelled()


@pytest.mark.parametrize("seconds", [0.0, 1e9], ids=["in many turns", "in one turn"])
@pytest.mark.parametrize("query", QUERIES.values(), ids=QUERIES.keys())
async def test_whoever_leaves_early_leaves_nothing_behind(open_graph: OpenGraph, query: str, seconds: float) -> None:
    async with open_graph("c1", "c2") as graph:
        steps = 0
        with warnings.catch_warnings(record=True) as complaints:
            warnings.simplefilter("always")
            while await leave_after(graph, query, steps, seconds) and steps < MOST_STEPS:
                steps += 1
                gc.collect()
            gc.collect()
    assert [str(complaint.message) for complaint in complaints] == []
    assert 0 < steps < MOST_STEPS, "the query was never left, or never answered"
