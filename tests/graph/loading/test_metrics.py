"""Usage and history: one call a kind of question, whatever is asked how often and where."""

from typing import Any

import pytest

from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import Aggregate, Measure
from tests.fakes.graph import FACTORS
from tests.graph.conftest import Graph, OpenGraph


def count_calls(graph: Graph) -> dict[str, int]:
    names = [call.name for call in graph.store.calls]
    return {name: names.count(name) for name in names}


async def test_a_page_with_usage_and_history_is_one_call_each(open_graph: OpenGraph) -> None:
    query = """{ pods { items { name usage { cpuCores memoryBytes } history { cpuCores } }
      edges { node { usage { networkReceiveBytesPerSecond } } } } }"""
    async with open_graph("c1", "c2") as graph:
        pods = (await graph.ask(query))["pods"]
        calls = {call.name: call for call in graph.store.calls}
        assert count_calls(graph) == {"latest_pods": 1, "pod_history": 1}
    assert calls["latest_pods"].asked == {Measure.CPU_CORES, Measure.MEMORY_BYTES, Measure.NETWORK_RECEIVE_BYTES}
    assert len(calls["latest_pods"].keys) == len(calls["pod_history"].keys) == 8
    assert pods["items"][0]["usage"] == {"cpuCores": 0.05, "memoryBytes": 1 << 20}
    assert pods["edges"][0]["node"]["usage"] == {"networkReceiveBytesPerSecond": 12.5}


async def test_lists_side_by_side_and_one_below_the_other_share_calls(open_graph: OpenGraph) -> None:
    query = """{ pods(first: 2) { items { usage { cpuCores } } }
      clusters { name pods { items { usage { memoryBytes } } }
      nodes { items { usage { cpuCores } pods { items { usage { cpuCores } node { usage { cpuPercent } } } } } } } }"""
    async with open_graph("c1", "c2", pods=6) as graph:
        data = await graph.ask(query)
        assert count_calls(graph) == {"latest_pods": 1, "latest_nodes": 1}
    assert data["clusters"][1]["pods"]["items"][0]["usage"] == {"memoryBytes": 1 << 20}
    assert data["clusters"][0]["nodes"]["items"][0]["pods"]["items"][0]["node"]["usage"] == {"cpuPercent": 50.0}


async def test_columns_come_from_one_call_through_aliases_fragments_and_directives(open_graph: OpenGraph) -> None:
    query = """query Chart($last: Duration = "30m", $peak: Aggregate!, $with: Boolean!) {
      pods(first: 1) { items { ...Charted } } }
    fragment Charted on Pod {
      history(last: $last, step: "5m") {
        step resolution times mean: cpuCores peak: cpuCores(aggregate: $peak) ...Memory }
      ... @include(if: false) { usage { cpuCores } } }
    fragment Memory on UsageHistory { memoryBytes @include(if: $with) fsUsedBytes @skip(if: $with) }"""
    async with open_graph("c1") as graph:
        pods = (await graph.ask(query, {"peak": "P95", "with": True}))["pods"]
        (call,) = graph.store.calls
    history = pods["items"][0]["history"]
    assert call.asked == {
        (Measure.CPU_CORES, Aggregate.MEAN),
        (Measure.CPU_CORES, Aggregate.P95),
        (Measure.MEMORY_BYTES, Aggregate.MEAN),
    }
    assert (history["step"], history["resolution"]) == ("5m", "15s")
    assert history["peak"] == [0.05 * FACTORS[Aggregate.P95]] * len(history["times"])
    assert history["mean"] == [0.05] * len(history["times"])
    assert "fsUsedBytes" not in history


NOT_OF_NODES = """fragment Measured on Object { id
  ... on Pod { usage { memoryBytes } history(last: "5m") { cpuCores } }
  ... on Node { usage { cpuCores } history(last: "10m") { memoryBytes } } }"""
"""What no node has beside what all have: only the branch of an object's own type is ever read."""


@pytest.mark.parametrize(
    "selection",
    [
        "{ nodes { items { ...Measured } } }",
        "{ nodes { edges { node { ...Measured } } } }",
        "{ nodes { items { ... on Object { ... on Object { ...Measured } } } } }",
        "{ clusters { nodes { items { ...Measured } } } }",
        "{ pods { items { node { ...Measured } } } }",
    ],
)
async def test_a_branch_for_another_type_asks_for_nothing(open_graph: OpenGraph, selection: str) -> None:
    async with open_graph("c1") as graph:
        await graph.ask(selection + NOT_OF_NODES)
        asked = {call.name: call.asked for call in graph.store.calls}
    assert asked == {
        "latest_nodes": {Measure.CPU_CORES},
        "node_history": {(Measure.MEMORY_BYTES, Aggregate.MEAN)},
    }


@pytest.mark.parametrize("kinds", [("pods", "nodes"), ("nodes", "pods")])
async def test_one_fragment_serves_lists_of_both_kinds(open_graph: OpenGraph, kinds: tuple[str, str]) -> None:
    lists = " ".join(f"{kind} {{ items {{ ...Measured }} }}" for kind in kinds)
    async with open_graph("c1") as graph:
        data = await graph.ask(f"{{ {lists} }}{NOT_OF_NODES}")
        assert count_calls(graph) == {"latest_pods": 1, "latest_nodes": 1, "pod_history": 1, "node_history": 1}
    assert data["pods"]["items"][0]["usage"] == {"memoryBytes": 1 << 20}
    assert data["nodes"]["items"][0]["usage"] == {"cpuCores": 1.0}


async def test_one_fragment_serves_single_objects_of_both_kinds(open_graph: OpenGraph) -> None:
    query = """{ pod(cluster: "c1", namespace: "shop", name: "p0") { ...Measured }
      node(cluster: "c1", name: "n1") { ...Measured } }"""
    async with open_graph("c1") as graph:
        data = await graph.ask(query + NOT_OF_NODES)
    assert (data["pod"]["usage"], data["node"]["usage"]) == ({"memoryBytes": 1 << 20}, {"cpuCores": 1.0})


async def test_each_window_is_one_call(open_graph: OpenGraph) -> None:
    query = """{ pods { items {
        hour: history { cpuCores } same: history { memoryBytes } day: history(last: "24h") { cpuCores } } }
      nodes { items { history { cpuCores } } } }"""
    async with open_graph("c1") as graph:
        data = await graph.ask(query)
        assert count_calls(graph) == {"pod_history": 2, "node_history": 1}
    pod = data["pods"]["items"][0]
    assert len(pod["hour"]["cpuCores"]) == len(pod["same"]["memoryBytes"]) == 61
    assert len(pod["day"]["cpuCores"]) == 97


async def test_a_single_object_is_loaded_too(open_graph: OpenGraph) -> None:
    query = """{ pod(cluster: "c1", namespace: "shop", name: "p0") {
      usage { time cpuCores } history { start end cpuCores }
      node { history(last: "5m") { cpuCores } } } }"""
    async with open_graph("c1") as graph:
        pod = (await graph.ask(query))["pod"]
        assert count_calls(graph) == {"latest_pods": 1, "pod_history": 1, "node_history": 1}
    assert pod["usage"] == {"time": "2026-09-21T14:13:20Z", "cpuCores": 0.05}
    assert pod["history"]["end"] == "2026-09-21T14:13:20Z"
    assert pod["history"]["start"] == "2026-09-21T13:13:00Z"


async def test_percentages_are_of_what_was_asked(open_graph: OpenGraph) -> None:
    query = """{ pod(cluster: "c1", namespace: "shop", name: "p0") {
      usage { ofLimit: cpuPercent ofRequest: cpuPercent(of: REQUEST) memoryPercent(of: REQUEST) } }
      node(cluster: "c1", name: "n1") {
        usage { cpuPercent(of: CAPACITY) allocatable: cpuPercent memoryPercent(of: REQUEST) } } }"""
    async with open_graph("c1") as graph:
        data = await graph.ask(query)
    assert data["pod"]["usage"] == {"ofLimit": None, "ofRequest": 50.0, "memoryPercent": 100.0}
    assert data["node"]["usage"] == {"cpuPercent": 25.0, "allocatable": 50.0, "memoryPercent": None}


async def test_what_has_no_usage_is_null(open_graph: OpenGraph) -> None:
    async with open_graph("c1", pods=2) as graph:
        del graph.store.known[PodKey("c1", "shop", "p0")]
        del graph.store.known[NodeKey("c1", "n2")]
        data = await graph.ask("{ pods { items { name usage { cpuCores } history { cpuCores } } } }")
        node = (await graph.ask('{ node(cluster: "c1", name: "n2") { usage { cpuCores } } }'))["node"]
    found = {pod["name"]: pod["usage"] for pod in data["pods"]["items"]}
    assert found == {"p0": None, "p1": {"cpuCores": 0.05}}
    assert node == {"usage": None}


async def test_a_failing_store_nulls_usage_with_one_error_and_leaves_the_rest(open_graph: OpenGraph) -> None:
    async with open_graph("c1") as graph:
        graph.store.failure = "the store is away"
        result = await graph.execute("{ pods { items { name usage { cpuCores } history { cpuCores } } } }")
    assert result.data is not None
    assert [pod["usage"] for pod in result.data["pods"]["items"]] == [None] * 4
    assert [pod["name"] for pod in result.data["pods"]["items"]] == ["p1", "p3", "p0", "p2"]
    errors: list[Any] = [(error.path, error.extensions) for error in result.errors or ()]
    assert sorted(path[-1] for path, _ in errors) == ["history", "usage"]
    assert {extensions["code"] for _, extensions in errors} == {"METRICS_UNAVAILABLE"}


async def test_a_store_that_hangs_costs_the_deadline_and_no_more(open_graph: OpenGraph) -> None:
    async with open_graph("c1") as graph:
        graph.store.answering.clear()
        result = await graph.execute("{ pods { totalCount items { usage { cpuCores } } } }", seconds=0.2)
    assert result.data is not None
    assert result.data["pods"]["totalCount"] == 4
    assert [(error.extensions or {})["code"] for error in result.errors or ()] == ["METRICS_UNAVAILABLE"]
