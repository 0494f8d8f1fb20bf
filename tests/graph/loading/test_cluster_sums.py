"""Usage and history of clusters: sums over nodes, in the nodes' own call."""

import asyncio
from typing import Any

import pytest

from fleet.model.objects import NodeKey
from fleet.model.usage import Aggregate, Measure
from tests.fakes.graph import FACTORS
from tests.graph.conftest import NOW, SHOPPER, Graph, OpenGraph, build_usage


def count_calls(graph: Graph) -> dict[str, int]:
    names = [call.name for call in graph.store.calls]
    return {name: names.count(name) for name in names}


async def test_usage_is_summed_over_the_nodes_and_as_old_as_the_oldest(open_graph: OpenGraph) -> None:
    query = """{ cluster(name: "c1") { usage { time cpuCores memoryBytes fsUsedBytes networkReceiveBytesPerSecond
      cpuPercent of: cpuPercent(of: CAPACITY) request: cpuPercent(of: REQUEST) memoryPercent(of: ALLOCATABLE) } } }"""
    async with open_graph("c1") as graph:
        graph.store.known[NodeKey("c1", "n2")] = build_usage(0.5, 1 << 30, at=NOW - 60)
        usage = (await graph.ask(query))["cluster"]["usage"]
    assert usage == {
        "time": "2026-09-21T14:12:20Z",
        "cpuCores": 1.5,
        "memoryBytes": 3 << 30,
        "fsUsedBytes": None,
        "networkReceiveBytesPerSecond": 25.0,
        "cpuPercent": 37.5,
        "of": 18.75,
        "request": None,
        "memoryPercent": 18.75,
    }


async def test_history_is_summed_step_by_step(open_graph: OpenGraph) -> None:
    query = """{ clusters { history(last: "5m", step: "1m") { step resolution times cpuCores
      p95: cpuCores(aggregate: P95) fsUsedBytes } } }"""
    async with open_graph("c1") as graph:
        history = (await graph.ask(query))["clusters"][0]["history"]
    steps = len(history["times"])
    assert (history["step"], history["resolution"], history["cpuCores"]) == ("1m", "15s", [2.0] * steps)
    assert history["p95"] == [2.0 * FACTORS[Aggregate.P95]] * steps
    assert history["fsUsedBytes"] == [None] * steps


ONE_CALL_EACH = [
    """{ pods { items { usage { cpuCores } node { usage { cpuPercent } } cluster { usage { cpuCores } } } }
      nodes(first: 1) { items { usage { cpuCores } cluster { usage { memoryBytes } } } } }""",
    "{ clusters { usage { cpuCores } history { cpuCores } } }",
    "{ clusters { usage { cpuCores } nodes(first: 1) { items { usage { memoryBytes } history { cpuCores } } } } }",
    "{ nodes(first: 1) { items { usage { cpuCores } history { cpuCores } cluster { usage { memoryBytes } } } } }",
    """{ clusters { usage { cpuCores } } nodes(orderBy: [{ usage: MEMORY_BYTES, direction: DESC }], first: 1) {
      items { usage { memoryBytes } } } }""",
    "{ clusters { usage { cpuCores } } nodes { items { history { cpuCores } cluster { history { memoryBytes } } } } }",
    """{ a: cluster(name: "c1") { usage { cpuCores } } pods(first: 9) { items { usage { cpuCores }
      node { usage { cpuCores } } cluster { history { cpuCores } } } } }""",
    "{ pods { items { usage { cpuCores } cluster { usage { cpuCores } } node { cluster { usage { cpuCores } } } } } }",
    """{ pods { edges { node { history { cpuCores } ...Its } } } }
    fragment Its on Pod { cluster { history { cpuCores } } }""",
]


@pytest.mark.parametrize("query", ONE_CALL_EACH)
async def test_clusters_and_nodes_of_an_operation_share_one_call_of_each_kind(
    open_graph: OpenGraph, query: str
) -> None:
    async with open_graph("c1", "c2", pods=9) as graph:
        await graph.ask(query)
        assert set(count_calls(graph).values()) == {1}, graph.store.calls
        asked = [call for call in graph.store.calls if call.name in ("latest_nodes", "node_history")]
    assert asked
    assert "memoryBytes" not in query or any("MEMORY_BYTES" in str(call.asked) for call in asked)


@pytest.mark.parametrize(
    "query",
    [
        "{ clusters { usage { cpuCores } } nodes(first: 1) { items { usage { cpuCores } } } }",
        "{ clusters { nodes { items { usage { cpuCores } } } } }",
    ],
)
async def test_a_cluster_that_answers_late_shares_the_call(open_graph: OpenGraph, query: str) -> None:
    async with open_graph("c1", "c2") as graph:
        await graph.hang("c2")
        asyncio.get_running_loop().call_later(0.05, graph["c2"].answering.set)
        await graph.ask(query)
        (call,) = graph.store.calls
    assert call.keys == {NodeKey(cluster, node) for cluster in ("c1", "c2") for node in ("n1", "n2")}


async def test_a_cluster_that_can_not_be_asked_has_no_sums(open_graph: OpenGraph) -> None:
    query = """{ clusters { name capacity { pods } allocatable { pods } requested { pods } usage { cpuCores }
      history { cpuCores } } }"""
    async with open_graph("c1", "c2") as graph:
        await graph.hang("c2")
        well, ill = (await graph.ask(query))["clusters"]
    sums = {"capacity", "allocatable", "requested", "usage", "history"}
    assert well["capacity"] == {"pods": 220}
    assert well["usage"] == {"cpuCores": 2.0}
    assert ill == {"name": "c2", **dict.fromkeys(sums)}


async def test_who_may_not_see_nodes_sees_no_sums(open_graph: OpenGraph) -> None:
    query = (
        "{ clusters { name usage { cpuCores } history { cpuCores } } pods { items { cluster { usage { time } } } } }"
    )
    async with open_graph("c1") as graph:
        data = await graph.ask(query, who=SHOPPER)
        assert not graph.store.calls
    assert data["clusters"] == [{"name": "c1", "usage": None, "history": None}]
    assert data["pods"]["items"][0] == {"cluster": {"usage": None}}


async def test_where_no_node_has_a_point_usage_is_null(open_graph: OpenGraph) -> None:
    async with open_graph("c1") as graph:
        graph.store.known.clear()
        data = await graph.ask("{ clusters { usage { cpuCores } history { cpuCores } } }")
        assert graph.store.calls[0].asked == {Measure.CPU_CORES}
    assert data["clusters"] == [{"usage": None, "history": None}]


@pytest.mark.parametrize(
    "query",
    [
        "{ clusters { name usage { cpuCores } } nodes { items { usage { cpuCores } } } }",
        "{ pods { items { name cluster { usage { cpuCores } } } } }",
    ],
)
async def test_a_failing_store_is_one_error_and_null_in_the_rest(open_graph: OpenGraph, query: str) -> None:
    async with open_graph("c1", "c2") as graph:
        graph.store.failure = "the store is away"
        result = await graph.execute(query)
    errors: list[Any] = [error.extensions for error in result.errors or ()]
    assert [extensions["code"] for extensions in errors] == ["METRICS_UNAVAILABLE"]
    assert result.data is not None
    assert '"usage": {' not in str(result.data)


async def test_a_window_that_is_none_is_bad_input(open_graph: OpenGraph) -> None:
    async with open_graph("c1") as graph:
        error = await graph.fail('{ clusters { history(last: "1h", step: "1s") { cpuCores } } }')
    assert error["code"] == "BAD_USER_INPUT"
    assert "would do" in error["message"]
