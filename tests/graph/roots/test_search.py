"""`search` as clients write it: hits with their objects, rights, bounds, and clusters that do not answer."""

from typing import Any

import pytest

from tests.fakes.kubernetes import build_plain, build_pod
from tests.fakes.waiting import until
from tests.graph.compiled.own_graph import build_full_node, build_full_pod, wait_known
from tests.graph.conftest import SHOPPER, Graph, OpenGraph

HITS = """query Find($text: String!, $kinds: [SearchKind!], $first: Int) {
  search(text: $text, kinds: $kinds, first: $first) {
    hits { kind cluster namespace name field value object { __typename ... on Pod { name status } } }
    hasMore
    clusters { name state }
  }
}"""


async def find(graph: Graph, text: str, *, who: Any = None, **arguments: Any) -> list[tuple[str, ...]]:
    given = {"who": who} if who else {}
    found = (await graph.ask(HITS, {"text": text, **arguments}, **given))["search"]
    return [(hit["kind"], hit["cluster"], hit["name"], hit["field"], hit["value"]) for hit in found["hits"]]


async def furnish(graph: Graph) -> None:
    for name in ("c1", "c2"):
        graph[name].put(build_full_node("web-node"))
        graph[name].put(build_full_pod("shop", "web-1", "web-node", "web"))
        graph[name].put(build_pod("ops", "webhook", app="hooks"))
        graph[name].put(build_plain("Namespace", "web"))
        await wait_known(graph, name)
    member = graph.federation._roster.get(SHOPPER.scope, "c1")
    await until(lambda: any(entry.name == "web" for entry in member.namespaces))


async def test_what_is_found_and_why(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "c2", pods=0) as graph:
        await furnish(graph)
        assert await find(graph, "web", first=7) == [
            ("NAMESPACE", "c1", "web", "NAME", "web"),
            ("NAMESPACE", "c2", "web", "NAME", "web"),
            ("WORKLOAD", "c1", "web", "NAME", "web"),
            ("WORKLOAD", "c2", "web", "NAME", "web"),
            ("NODE", "c1", "web-node", "NAME", "web-node"),
            ("NODE", "c2", "web-node", "NAME", "web-node"),
            ("POD", "c1", "webhook", "NAME", "webhook"),
        ]
        assert await find(graph, "app=web", kinds=["POD"], first=1) == [("POD", "c1", "web-1", "LABEL", "app=web")]
        assert await find(graph, "web-node", kinds=["POD"]) == [
            ("POD", cluster, "web-1", "NODE", "web-node") for cluster in ("c1", "c2")
        ]
        assert await find(graph, "C2") == [("CLUSTER", "c2", "c2", "NAME", "c2")]
        assert await find(graph, "10.0.0.1") == [
            ("POD", cluster, "web-1", "ADDRESS", "10.0.0.1") for cluster in ("c1", "c2")
        ]
        assert await find(graph, "j", first=3) == [
            ("WORKLOAD", "c1", "web", "IMAGE", "j"),
            ("WORKLOAD", "c2", "web", "IMAGE", "j"),
            ("POD", "c1", "web-1", "IMAGE", "j"),
        ]
        assert await find(graph, "web", kinds=[]) == []
        result = (await graph.ask(HITS, {"text": "webhook", "first": 1}))["search"]
        assert result["hits"][0]["object"] == {"__typename": "Pod", "name": "webhook", "status": "Running"}
        assert result["hasMore"]
        assert result["clusters"] == [{"name": name, "state": "OK"} for name in ("c1", "c2")]


async def test_what_is_out_of_reach_is_not_found(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "c2", pods=0) as graph:
        await furnish(graph)
        assert await find(graph, "web", who=SHOPPER) == [
            ("WORKLOAD", "c1", "web", "NAME", "web"),
            ("POD", "c1", "web-1", "NAME", "web-1"),
        ]
        assert await find(graph, "ops", who=SHOPPER) == []
        assert await find(graph, "c", who=SHOPPER, kinds=["CLUSTER"]) == [("CLUSTER", "c1", "c1", "NAME", "c1")]


async def test_what_is_deleted_is_not_found(open_graph: OpenGraph) -> None:
    async with open_graph("c1", pods=0) as graph:
        graph["c1"].put(build_pod("ops", "webhook"))
        await wait_known(graph, "c1")
        assert await find(graph, "webhook")
        graph["c1"].delete("Pod", "ops", "webhook")
        await wait_known(graph, "c1")
        assert await find(graph, "webhook") == []


async def test_a_cluster_that_does_not_answer_is_an_outcome(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "c2", pods=2) as graph:
        await graph.hang("c2")
        found = (await graph.ask(HITS, {"text": "p0"}))["search"]
        assert [hit["cluster"] for hit in found["hits"]] == ["c1"]
        assert {outcome["name"]: outcome["state"] for outcome in found["clusters"]} == {"c1": "OK", "c2": "TIMEOUT"}
        assert await find(graph, "c2", kinds=["CLUSTER"]) == [("CLUSTER", "c2", "c2", "NAME", "c2")]


async def test_usage_of_all_hits_is_one_question(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "c2", pods=4) as graph:
        found = await graph.ask('{ search(text: "p") { hits { object { ... on Pod { name usage { cpuCores } } } } } }')
        assert len(found["search"]["hits"]) == 8
        assert all(hit["object"]["usage"] == {"cpuCores": 0.05} for hit in found["search"]["hits"])
        assert [call.name for call in graph.store.calls] == ["latest_pods"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"text": " "}, "a `text` of 1 to 256 characters"),
        ({"text": "x" * 257}, "a `text` of 1 to 256 characters"),
        ({"text": "x", "first": 101}, "0 at least and 100 at most"),
        ({"text": "x", "first": -1}, "0 at least and 100 at most"),
    ],
)
async def test_what_is_refused(open_graph: OpenGraph, arguments: dict[str, Any], message: str) -> None:
    async with open_graph("c1", pods=0) as graph:
        assert message in (await graph.fail(HITS, arguments))["message"]
