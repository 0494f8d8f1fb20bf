"""What is beyond a limit is refused before any work, with the number found, the limit, and what to do."""

from typing import Any

import pytest
from graphql import get_introspection_query, parse
from msgspec.structs import replace

from graph.cost.estimate import estimate
from graph.cost.reading import read_operation
from graph.limits.limits import DEFAULT_LIMITS, Limits
from graph.schema import schema
from tests.graph.conftest import ADMIN, NOW, SHOPPER, Graph, OpenGraph
from tests.graph.http.test_served import open_served, send

CIRCLE = "fragment A on Viewer { ...B ...B } fragment B on Viewer { ...C ...C } fragment C on Viewer { name }"
BEYOND = [
    ("{ pods { items { node { name } } } }", "depth", 3, 4),
    ("{ a: viewer { b: name } c: viewer { name } }", "aliases", 2, 3),
    ("{ viewer @include(if: true) { name @skip(if: false) } }", "directives", 1, 2),
    ("{ viewer { " + "name " * 100 + "} }", "tokens", 100, 105),
    ("{ viewer { name } }" + " " * 100, "characters", 100, 119),
    ("{ viewer { ...A } } " + CIRCLE, "spreads", 6, 7),
    ("{ nodes { items { pods { totalCount } } } }", "nested", 1, 2),
]
DEAR = [
    "{ pods { items { name usage { cpuCores } } } }",
    "{ pods(orderBy: [{ usage: CPU_CORES }]) { totalCount } }",
    "{ pods { items { history { cpuCores } } } nodes { items { history { cpuCores } } } }",
    "{ pods { items { events { type } owner { resource { name } } } } }",
    '{ clusters { usage { cpuCores } nodes { items { podsAt(time: "2026-01-01T00:00:00Z") { name } } } } }',
    '{ resources(apiVersion: "v1", kind: "Pod") { items { name } } }',
]


@pytest.mark.parametrize(("query", "name", "limit", "found"), BEYOND, ids=[name for _, name, _, _ in BEYOND])
async def test_a_document_beyond_a_limit_is_told_by_how_much(
    open_graph: OpenGraph, query: str, name: str, limit: int, found: int
) -> None:
    async with open_graph("c1") as graph:
        assert (await graph.execute(query)).errors is None
        graph.limits = Limits(**{name: limit})
        error = await graph.fail(query)
    assert (error["code"], error["found"], error["limit"]) == ("COST_EXCEEDED", found, limit)
    assert f" {found} " in f"{error['message']} "
    assert ": " in error["message"]


@pytest.mark.parametrize("query", DEAR)
async def test_what_costs_too_much_asks_nobody(open_graph: OpenGraph, query: str) -> None:
    async with open_graph("c1", pods=100) as graph:
        before = called(graph)
        graph.limits = replace(DEFAULT_LIMITS, cost=50)
        error = await graph.fail(query)
        assert (graph.store.calls, called(graph)) == ([], before)
    assert (error["code"], error["limit"]) == ("COST_EXCEEDED", 50)
    assert error["estimate"] > 50
    assert str(error["suggestion"] or "ask in several requests") in error["message"]


async def test_a_suggestion_is_answered_when_it_is_followed(open_graph: OpenGraph) -> None:
    query = "query ($n: Int) { pods(first: $n) { items { name manifest } } }"
    async with open_graph("c1", pods=100) as graph:
        graph.limits = replace(DEFAULT_LIMITS, cost=5_000)
        error = await graph.fail(query)
        first = int(error["suggestion"].split("`")[1].removeprefix("first: "))
        assert len((await graph.ask(query, {"n": first}))["pods"]["items"]) == first
        assert (await graph.fail(query, {"n": first + 1}))["code"] == "COST_EXCEEDED"


async def test_a_wrong_variable_is_told_before_any_cost(open_graph: OpenGraph) -> None:
    query = "query ($n: Int!) { pods(first: $n) { items { name } } }"
    async with open_graph("c1") as graph:
        graph.limits = replace(DEFAULT_LIMITS, cost=1)
        assert (await graph.fail(query, {"n": "many"}))["code"] == "BAD_USER_INPUT"
        assert (await graph.fail("{ pods { nope } }"))["code"] == "BAD_USER_INPUT"
        assert (await graph.fail(query, {"n": 10}))["code"] == "COST_EXCEEDED"


async def test_questions_about_the_schema_are_always_answered(open_graph: OpenGraph) -> None:
    query = get_introspection_query(specified_by_url=True, input_value_deprecation=True)
    async with open_graph("c1") as graph:
        graph.limits = replace(DEFAULT_LIMITS, cost=0)
        assert (await graph.ask(query))["__schema"]["types"]


async def test_the_cost_is_told_on_request_and_in_a_refusal(open_graph: OpenGraph) -> None:
    body: dict[str, Any] = {"query": "{ pods(first: 2) { items { name usage { cpuCores } } } }"}
    async with open_graph("c1") as graph, open_served(graph) as session:
        silent = await (await send(session, "POST", "/graphql", json=body)).json()
        told = await (await send(session, "POST", "/graphql", json=body, headers={"X-Cost": "true"})).json()
        asked = await (await send(session, "POST", "/graphql", json=body | {"extensions": {"cost": True}})).json()
    async with open_graph("c1") as graph:
        graph.limits = replace(DEFAULT_LIMITS, cost=5)
        async with open_served(graph) as session:
            refused = await (await send(session, "POST", "/graphql", json=body, headers={"X-Cost": "true"})).json()
    assert set(silent) == {"data"}
    assert told == asked == silent | {"extensions": told["extensions"]}
    cost = told["extensions"]["cost"]
    assert (cost["estimate"], cost["limit"]) == (20, 1_000_000)
    assert cost["paths"] == {"pods.items.usage": 14, "pods.items": 4, "pods": 2}
    assert set(refused) == {"errors", "extensions"}
    assert refused["extensions"]["cost"]["estimate"] == refused["errors"][0]["extensions"]["estimate"] == 20


async def test_a_list_of_operations_is_refused_with_what_to_do(open_graph: OpenGraph) -> None:
    async with open_graph("c1") as graph, open_served(graph) as session:
        refused = await send(session, "POST", "/graphql", json=[{"query": "{ viewer { name } }"}] * 2)
        assert refused.status == 400
        assert "a list of 2 operations, 1 at a time is allowed" in await refused.text()


async def test_a_body_is_as_long_as_the_settings_say(open_graph: OpenGraph) -> None:
    async with open_graph("c1") as graph:
        graph.limits = replace(DEFAULT_LIMITS, body=100)
        async with open_served(graph) as session:
            refused = await send(session, "POST", "/graphql", json={"query": "{ viewer { name } }", "x": "y" * 100})
            assert refused.status == 413
            assert "100 bytes at most" in await refused.text()


COUNTED = [
    "{ pods(first: 10000) { items { name uid phase node { name } cluster { name } } } }",
    "{ clusters { name nodes { items { name status pods(first: 50) { items { name } } } } } }",
    '{ pods(filter: { namespaces: ["shop"] }, first: 7) { items { node { pods(first: 3) { items { name } } } } } }',
    '{ cluster(name: "c1") { pods(filter: { name: { in: ["p0", "p1"] } }) { items { name uid } } } }',
    '{ pods(filter: { nodes: ["n1"] }) { items { name cluster { name nodes { items { name } } } } } }',
]


@pytest.mark.parametrize("who", [ADMIN, SHOPPER], ids=["admin", "shopper"])
@pytest.mark.parametrize("query", COUNTED)
async def test_an_answer_never_holds_more_than_was_estimated(open_graph: OpenGraph, query: str, who: Any) -> None:
    async with open_graph("c1", "c2", pods=40) as graph:
        data = (await graph.execute(query, who=who)).data
        parts = read_operation(schema._schema, parse(query), None, None)
        found = estimate(parts or (), graph.federation.count_objects(who.scope), NOW)
    assert count_values(data) <= found.units <= 12 * count_values(data) + 100


def called(graph: Graph) -> list[str]:
    """The requests that resolvers make; lists, watches and signs of life go on all the time."""
    paths = [path for cluster in graph.source.clusters.values() for path, _ in cluster.calls]
    return [path for path in paths if path.startswith("/apis") or "events" in path or "/pods/" in path]


def count_values(part: Any) -> int:
    """Numbers, texts and the like of an answer."""
    if isinstance(part, dict | list):
        return sum(map(count_values, part.values() if isinstance(part, dict) else part))
    return part is not None


@pytest.mark.parametrize(
    ("value", "what"),
    [
        ({"anyOf": [{}] * 1_001}, "objects"),
        ({"anyOf": [{"__typename": "Pod"}] * 1_001}, "objects"),
        ({"not": {"anyOf": [[{}] * 400] * 3}}, "objects"),
        ({"clusters": ["c1"] * 60_001}, "values"),
    ],
)
async def test_variables_of_too_many_parts_are_refused_before_they_are_read(
    open_graph: OpenGraph, value: Any, what: str
) -> None:
    asked = {"query": "query($f: PodFilter) { pods(filter: $f) { totalCount } }", "variables": {"f": value}}
    async with open_graph("c1") as graph, open_served(graph) as session, session.post("/graphql", json=asked) as answer:
        error = (await answer.json())["errors"][0]
        assert (error["extensions"]["code"], f" {what}, at most " in error["message"]) == ("COST_EXCEEDED", True)


async def test_ten_thousand_representations_are_no_objects_too_many(open_graph: OpenGraph) -> None:
    query = "query($r: [_Any!]!) { _entities(representations: $r) { __typename } }"
    named = [{"__typename": "Pod", "cluster": "c1", "namespace": "shop", "name": "p0"}] * 10_000
    asked = {"query": query, "variables": {"r": named}}
    async with open_graph("c1") as graph, open_served(graph) as session, session.post("/graphql", json=asked) as answer:
        assert "`variables` have" not in (await answer.text())
