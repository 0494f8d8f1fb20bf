"""Many pods are ranked by usage that all requests share; what is shown is what they were ranked by."""

from typing import Any

import pytest

from fleet.live.usage_cache import UsageCache
from fleet.model.objects import PodKey
from tests.graph.conftest import OpenGraph, build_usage

QUERY = """{ pods(first: 3, orderBy: [{ usage: CPU_CORES, direction: DESC }]) {
    totalCount items { name usage { cpuCores } } } }"""


async def test_many_pods_are_ranked_by_one_question_that_serves_the_next_request_too(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "c2", pods=300) as graph:
        graph.held = UsageCache(graph.store, graph.federation.pods_of, max_age=60)
        for number in range(4):
            graph.store.known[PodKey("c2", "shop", f"p{number * 2}")] = build_usage(10.0 + number)
        ranked = {"name": "p6", "usage": {"cpuCores": 13.0}}
        for _ in range(2):
            found = await graph.ask(QUERY)
            assert (found["pods"]["totalCount"], found["pods"]["items"][0]) == (600, ranked)
        assert [len(call.keys) for call in graph.store.calls] == [600]


@pytest.mark.parametrize("order", ["", "orderBy: [{ usage: MEMORY_PERCENT, percentOf: REQUEST, direction: DESC }]"])
@pytest.mark.parametrize("bound", ["", "filter: { usage: [{ field: CPU_CORES, gt: 0.2, lt: 0.8 }] }"])
async def test_pages_of_what_is_held_are_those_of_what_was_asked(open_graph: OpenGraph, order: str, bound: str) -> None:
    query = f"""query Page($after: String) {{ pods(first: 150, after: $after, {order} {bound}) {{
        totalCount pageInfo {{ endCursor hasNextPage }}
        items {{ id usage {{ cpuCores memoryPercent(of: REQUEST) }} }} }} }}"""
    async with open_graph("c1", "c2", pods=300) as graph:
        for place, key in enumerate(sorted(graph.store.known)):
            if place % 5:
                graph.store.known[key] = build_usage(place * 7 % 10 / 10, place * 7 % 50 << 18)
            else:
                del graph.store.known[key]
        answers: list[list[Any]] = []
        for held in (None, UsageCache(graph.store, graph.federation.pods_of, max_age=60)):
            graph.held = held
            pages: list[Any] = []
            while not pages or pages[-1]["pageInfo"]["hasNextPage"]:
                after = pages[-1]["pageInfo"]["endCursor"] if pages else None
                pages.append((await graph.ask(query, {"after": after}))["pods"])
            answers.append(pages)
    assert answers[0] == answers[1]
    assert len(answers[0]) > 1


async def test_few_pods_are_asked_for_by_name_each_time(open_graph: OpenGraph) -> None:
    async with open_graph("c1", pods=4) as graph:
        graph.held = UsageCache(graph.store, graph.federation.pods_of, max_age=60)
        await graph.ask(QUERY)
        graph.store.known = {key: build_usage(0.5) for key in graph.store.known}
        found = await graph.ask(QUERY)
        assert found["pods"]["items"][0]["usage"] == {"cpuCores": 0.5}
        assert len(graph.store.calls) == 2


async def test_a_store_that_fails_leaves_no_order(open_graph: OpenGraph) -> None:
    async with open_graph("c1", pods=600) as graph:
        graph.held = UsageCache(graph.store, graph.federation.pods_of, max_age=60)
        graph.store.failure = "down"
        assert "ordered or bounded by usage" in (await graph.fail(QUERY))["message"]


async def test_a_store_that_hangs_ends_with_the_requests_time(open_graph: OpenGraph) -> None:
    async with open_graph("c1", pods=600) as graph:
        graph.held = UsageCache(graph.store, graph.federation.pods_of, max_age=60)
        graph.store.answering.clear()
        result = await graph.execute(QUERY, seconds=0.2)
        graph.store.answering.set()
        assert result.errors is not None
        assert "within the request's time" in result.errors[0].message
