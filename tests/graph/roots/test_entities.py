"""The graph as a subgraph: entities by their keys, in one batch and with the caller's rights; its two SDLs."""

from typing import Any

import pytest
from graphql import build_schema

from fleet.model.objects import NodeKey, PodKey
from graph.ids import encode_node_id, encode_pod_id
from graph.schema import print_sdl
from tests.graph.conftest import SHOPPER, Graph, OpenGraph

ENTITIES = """
query ($of: [_Any!]!) {
  _entities(representations: $of) {
    __typename
    ... on Cluster { name health }
    ... on Node { name cluster { name } }
    ... on Pod { namespace name usage { cpuCores } }
  }
}
"""


def pod(name: str, namespace: str = "shop", cluster: str = "c1") -> dict[str, str]:
    return {"__typename": "Pod", "id": encode_pod_id(PodKey(cluster, namespace, name))}


def node(name: str, cluster: str = "c1") -> dict[str, str]:
    return {"__typename": "Node", "id": encode_node_id(NodeKey(cluster, name))}


def cluster(name: str) -> dict[str, str]:
    return {"__typename": "Cluster", "name": name}


def asked_of_members(graph: Graph) -> list[str]:
    """All that was asked of the clusters' APIs, signs of life aside."""
    return [path for member in graph.source.clusters.values() for path, _ in member.calls if path.startswith("/api")]


async def test_entities_come_in_the_order_asked_and_gone_ones_are_null(open_graph: OpenGraph) -> None:
    wanted = [pod("p0"), cluster("c2"), node("n1", "c2"), pod("gone"), pod("p0"), cluster("c1")]
    async with open_graph("c1", "c2") as graph:
        found = (await graph.ask(ENTITIES, {"of": wanted}))["_entities"]
    first = {"__typename": "Pod", "namespace": "shop", "name": "p0", "usage": {"cpuCores": 0.05}}
    assert found == [
        first,
        {"__typename": "Cluster", "name": "c2", "health": "READY"},
        {"__typename": "Node", "name": "n1", "cluster": {"name": "c2"}},
        None,
        first,
        {"__typename": "Cluster", "name": "c1", "health": "READY"},
    ]


async def test_many_entities_are_one_question_to_the_metric_store_and_none_to_members(open_graph: OpenGraph) -> None:
    names = [(f"p{number}", ("shop", "ops")[number % 2]) for number in range(200)]
    async with open_graph("c1", "c2", pods=200) as graph:
        await graph.ask("{ workloads(first: 0) { totalCount } }")  # which are listed after pods and nodes
        before = asked_of_members(graph)
        assert before
        wanted = [pod(name, namespace, of) for name, namespace in names for of in ("c1", "c2")]
        found = (await graph.ask(ENTITIES, {"of": wanted}))["_entities"]
        assert [entity["name"] for entity in found] == [name for name, _ in names for _ in range(2)]
        assert [(call.name, len(call.keys)) for call in graph.store.calls] == [("latest_pods", 400)]
        assert asked_of_members(graph) == before


async def test_a_bad_window_is_the_callers_mistake_and_both_kinds_are_one_question_each(open_graph: OpenGraph) -> None:
    query = """query ($of: [_Any!]!, $last: Duration!) { _entities(representations: $of) {
        ... on Node { history(last: "1h") { cpuCores } } ... on Pod { history(last: $last) { cpuCores } } } }"""
    wanted = [pod("p0"), node("n1"), pod("p2"), node("n2")]
    async with open_graph("c1") as graph:
        found = (await graph.ask(query, {"of": wanted, "last": "2h"}))["_entities"]
        assert all(entity["history"]["cpuCores"] for entity in found)
        assert sorted((call.name, len(call.keys)) for call in graph.store.calls) == [
            ("node_history", 2),
            ("pod_history", 2),
        ]
        assert (await graph.fail(query, {"of": wanted, "last": "0s"}))["code"] == "BAD_USER_INPUT"


async def test_what_is_out_of_reach_is_an_error_in_its_place(open_graph: OpenGraph) -> None:
    wanted = [pod("p0"), pod("p1", "ops"), pod("p0", cluster="c2"), node("n1"), cluster("c2"), cluster("c1")]
    async with open_graph("c1", "c2") as graph:
        result = await graph.execute(ENTITIES, {"of": wanted}, who=SHOPPER)
    assert result.data is not None
    assert [entity and entity["name"] for entity in result.data["_entities"]] == ["p0", None, None, None, None, "c1"]
    codes = {error.path[1]: (error.extensions or {})["code"] for error in result.errors or () if error.path}
    assert codes == {1: "FORBIDDEN", 2: "NOT_FOUND", 3: "FORBIDDEN", 4: "NOT_FOUND"}


async def test_a_cluster_that_hangs_costs_one_deadline_and_one_error(open_graph: OpenGraph) -> None:
    wanted = [pod("p0"), *(pod(f"p{number}", ("shop", "ops")[number % 2], "c2") for number in range(4))]
    async with open_graph("c1", "c2") as graph:
        await graph.hang("c2")
        result = await graph.execute(ENTITIES, {"of": wanted}, seconds=2.0)
    assert result.data is not None
    assert [entity is not None for entity in result.data["_entities"]] == [True, False, False, False, False]
    assert result.errors is not None
    (error,) = result.errors
    assert (error.path, error.extensions) == (["_entities", 1], {"code": "CLUSTER_TIMEOUT", "cluster": "c2"})


@pytest.mark.parametrize(
    ("representation", "said"),
    [
        ({"__typename": "Usage"}, "`__typename` Cluster, Node or Pod"),
        ("Pod", "`__typename` Cluster, Node or Pod"),
        ({"__typename": "Pod", "name": "p0"}, "by the `id` of one"),
        ({"__typename": "Pod", "id": encode_node_id(NodeKey("c1", "n1"))}, "by the `id` of one"),
        ({"__typename": "Node", "id": "junk"}, "no id of this graph"),
        ({"__typename": "Cluster", "id": "c1"}, "by its `name`"),
    ],
)
async def test_a_wrong_representation_is_the_callers_mistake(
    open_graph: OpenGraph, representation: Any, said: str
) -> None:
    async with open_graph("c1") as graph:
        error = await graph.fail(ENTITIES, {"of": [representation]})
    assert error["code"] == "BAD_USER_INPUT"
    assert said in error["message"]


async def test_entities_are_bounded(open_graph: OpenGraph) -> None:
    async with open_graph("c1") as graph:
        error = await graph.fail(
            "query ($of: [_Any!]!) { _entities(representations: $of) { __typename } }", {"of": [cluster("c1")] * 10_001}
        )
        assert (error["code"], "10,000 representations at most" in error["message"]) == ("BAD_USER_INPUT", True)
        nested = "{ nodes { items { pods { items { name } } } } }"
        too_deep = await graph.fail(
            "query ($of: [_Any!]!) { _entities(representations: $of) { ... on Cluster { nodes { items { pods { items "
            "{ name } } } } } } }",
            {"of": [cluster("c1")]},
        )
        assert too_deep["code"] == "COST_EXCEEDED"
        assert await graph.ask(nested)


async def test_a_gateway_gets_the_keys_and_clients_a_plain_schema(open_graph: OpenGraph) -> None:
    async with open_graph("c1") as graph:
        sdl = (await graph.ask("{ _service { sdl } }"))["_service"]["sdl"]
    for line in (
        'type Cluster @key(fields: "name") {',
        'type Node implements Object @key(fields: "id") {',
        'type Pod implements Object @key(fields: "id") {',
        "type PageInfo @shareable {",
    ):
        assert line in sdl
    plain = print_sdl()
    assert "Query" in build_schema(plain).type_map
    assert not [
        word for word in ("@key", "@link", "@shareable", "_Any", "_Entity", "_Service", "_FieldSet") if word in plain
    ]
