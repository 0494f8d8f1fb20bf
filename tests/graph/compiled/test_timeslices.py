"""Long answers let others have turns of the loop."""

import asyncio
from typing import Any

import orjson
import pytest

from graph.compiled import encoded
from graph.loading.context import Context
from graph.loading.loaders import build_loaders
from graph.loading.timeslice import TimeSlice, TimeSlices
from graph.schema import schema
from tests.graph.conftest import ADMIN, NOW, Graph, OpenGraph

PODS = 600
PLAIN = "{ pods(first: 1000) { items { name namespace uid } } }"
EDGES = "{ pods(first: 1000) { edges { cursor node { name } } } }"
MEASURED = "{ pods(first: 1000) { items { name usage { cpuCores } } } }"


async def count_turns(graph: Graph, query: str, slices: TimeSlices) -> tuple[int, Any]:
    """Turns that somebody else had while the query was answered, and its data."""
    others = 0

    async def keep_counting() -> None:
        nonlocal others
        while True:
            await asyncio.sleep(0)
            others += 1

    loaders = build_loaders(graph.federation, ADMIN.scope, graph.store, now=NOW, deadline=1e12)
    context = Context(ADMIN, graph.federation, loaders, encoded=True, time_slices=slices)
    counting = asyncio.create_task(keep_counting())
    result = await schema.execute(query, context_value=context)
    counting.cancel()
    assert result.errors is None
    return others, orjson.loads(orjson.dumps(result.data))


async def test_a_long_list_is_made_in_turns_and_is_the_same(
    open_graph: OpenGraph, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoded, "AT_ONCE", 200)
    async with open_graph("c1", pods=PODS) as graph:
        for query, least in ((PLAIN, 2), (EDGES, PODS), (MEASURED, 2)):
            at_once, wanted = await count_turns(graph, query.replace("pods", "again: pods"), TimeSlices(1e9))
            turns, found = await count_turns(graph, query, TimeSlices(0.0))
            assert turns >= at_once + 0.9 * least, query
            assert found["pods"] == wanted["again"]
            assert len(str(found)) > 10 * PODS


async def test_of_two_long_answers_one_is_worked_on_in_a_turn_of_the_loop() -> None:
    slices, worked = TimeSlices(0.0), list[str]()

    async def work(name: str) -> None:
        mine = TimeSlice(slices)
        for _ in range(5):
            await mine.begin_next()
            worked.append(name)

    async def look() -> None:
        while len(worked) < 10:
            before = len(worked)
            await asyncio.sleep(0)
            assert len(worked) <= before + 1

    await asyncio.gather(work("a"), work("b"), look())
    assert sorted(worked) == ["a"] * 5 + ["b"] * 5
    assert abs("".join(worked).rindex("a") - "".join(worked).rindex("b")) <= 2, "one waited for all of the other"


def test_without_a_loop_there_is_one_turn() -> None:
    assert not TimeSlice(TimeSlices(0.0)).is_over()
