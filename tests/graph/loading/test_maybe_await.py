"""Lists and sums inside other objects: answered at once where all is in memory, and the same after a wait."""

import asyncio

import pytest

from tests.graph.conftest import SHOPPER, OpenGraph

INSIDE = """{ clusters { name podCounts(by: NODE) { key count } capacity { cpuCores } allocatable { cpuCores }
  requested { cpuCores pods } nodes(first: 1) { totalCount items { name pods { totalCount items { name } } } }
  pods(first: 2, filter: {namespaces: ["shop"]}) { totalCount items { name } pageInfo { hasNextPage } } } }"""


async def test_a_member_that_is_waited_for_gives_the_same(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "c2", pods=9) as graph:
        at_once = await graph.ask(INSIDE)
        await graph.hang("c2")
        waited = asyncio.create_task(graph.ask(INSIDE))
        await asyncio.sleep(0)
        assert not waited.done()
        graph["c2"].answering.set()
        assert await waited == at_once


async def test_a_member_that_stays_silent_is_missing_and_the_rest_is_there(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "c2", pods=9) as graph:
        at_once = await graph.ask(INSIDE)
        await graph.hang("c2")
        present, missing = (await graph.ask(INSIDE))["clusters"]
    assert present == at_once["clusters"][0]
    assert (missing["capacity"], missing["requested"], missing["podCounts"]) == (None, None, [])
    assert missing["nodes"] == {"totalCount": 0, "items": []}


async def test_what_is_out_of_reach_stays_so(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "c2", pods=9) as graph:
        (cluster,) = (await graph.ask(INSIDE, who=SHOPPER))["clusters"]
    assert (cluster["capacity"], cluster["allocatable"], cluster["requested"]) == (None, None, None)
    assert cluster["nodes"] == {"totalCount": 0, "items": []}
    assert sum(group["count"] for group in cluster["podCounts"]) == cluster["pods"]["totalCount"] == 5


async def test_lists_that_can_not_be_asked_for_are_errors(open_graph: OpenGraph) -> None:
    query = "{{ nodes(first: 1) {{ items {{ pods({asked}) {{ totalCount }} }} }} }}"
    async with open_graph("c1") as graph:
        assert "first" in (await graph.fail(query.format(asked="first: -1")))["message"]
        assert "cursor" in (await graph.fail(query.format(asked='after: "x"')))["message"]
        assert "c9" in (await graph.fail(query.format(asked='filter: {clusters: ["c9"]}')))["message"]


@pytest.mark.parametrize(
    ("inside", "calls"),
    [
        ("pods { totalCount }", ["latest_nodes"]),
        ("pods { items { usage { cpuCores } } }", ["latest_nodes", "latest_pods"]),
        ("pods { items { node { usage { memoryBytes } } } }", ["latest_nodes"]),
        ("pods(first: 1, orderBy: [{ usage: CPU_CORES }]) { items { name } }", ["latest_nodes", "latest_pods"]),
        ("cluster { nodes { items { usage { memoryBytes } } } }", ["latest_nodes"]),
    ],
)
async def test_each_question_is_asked_once_whatever_is_inside(
    open_graph: OpenGraph, inside: str, calls: list[str]
) -> None:
    async with open_graph("c1", "c2", pods=9) as graph:
        answer = await graph.ask(f"{{ nodes {{ items {{ usage {{ cpuCores }} {inside} }} }} }}")
        asked = sorted(call.name for call in graph.store.calls)
    assert asked == calls
    assert [node["usage"] for node in answer["nodes"]["items"]] == [{"cpuCores": 1.0}] * 4


async def test_the_clusters_of_many_objects_are_their_own(open_graph: OpenGraph) -> None:
    query = "{ pods { items { cluster { name } node { name cluster { name } } } counts(by: CLUSTER) { key count } } }"
    async with open_graph("c1", "c2", pods=4) as graph:
        pods = (await graph.ask(query))["pods"]
    assert [pod["cluster"]["name"] for pod in pods["items"]] == ["c1"] * 4 + ["c2"] * 4
    assert all(pod["node"] is None or pod["node"]["cluster"] == pod["cluster"] for pod in pods["items"])
