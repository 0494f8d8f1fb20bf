"""Codes of errors, limits, and what a client must not learn."""

import itertools
import logging

import pytest
from graphql import GraphQLError, get_introspection_query

from fleet.model import errors
from fleet.model.objects import K
from fleet.model.usage import Kind, Measure, Usage
from fleet.model.visibility import NOBODY
from graph.errors import present_error
from graph.limits.limits import DEFAULT_LIMITS
from graph.schema import print_sdl, schema
from tests.graph.conftest import OpenGraph


@pytest.mark.parametrize(
    ("cause", "extensions"),
    [
        (errors.InvalidQuery("x"), {"code": "BAD_USER_INPUT"}),
        (errors.NotFound("x"), {"code": "NOT_FOUND"}),
        (errors.ClusterNotFound("c1"), {"code": "NOT_FOUND", "cluster": "c1"}),
        (errors.Forbidden("x"), {"code": "FORBIDDEN"}),
        (errors.ClusterForbidden("c1", "x"), {"code": "FORBIDDEN", "cluster": "c1"}),
        (errors.ClusterTimeout("c1", "x"), {"code": "CLUSTER_TIMEOUT", "cluster": "c1"}),
        (errors.ClusterUnreachable("c1", "x"), {"code": "CLUSTER_UNREACHABLE", "cluster": "c1"}),
        (errors.ClusterUnauthorized("c1", "x"), {"code": "CLUSTER_UNAUTHORIZED", "cluster": "c1"}),
        (errors.ClusterAnswerInvalid("c1", "x"), {"code": "CLUSTER_UNREACHABLE", "cluster": "c1"}),
        (errors.MetricsUnavailable("x"), {"code": "METRICS_UNAVAILABLE"}),
        (errors.MetricsUnavailable("x", "c1"), {"code": "METRICS_UNAVAILABLE", "cluster": "c1"}),
        (errors.MetricsTooCostly("x"), {"code": "COST_EXCEEDED"}),
        (errors.MetricsTooCostly("x").within("x"), {"code": "COST_EXCEEDED"}),
    ],
)
def test_every_error_of_the_fleet_has_its_code(cause: Exception, extensions: dict[str, str]) -> None:
    presented = present_error(GraphQLError("raw", original_error=cause), NOBODY)
    assert presented.extensions == extensions
    assert presented.message == str(cause)


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("{ pods { nope } }", "nope"),
        ("{ pods {", "Syntax Error"),
        ('{ pods(filter: {labelSelector: "a in ("}) { totalCount } }', ""),
        ('{ pods(filter: {owner: {name: "web"}}) { totalCount } }', "kind"),
        ("{ pods(orderBy: [{direction: DESC}]) { totalCount } }", "field"),
        ("{ pods(first: 10001) { totalCount } }", "10,000"),
        ("{ pods(first: -1) { totalCount } }", "-1"),
        ('{ pods(after: "junk") { totalCount } }', "cursor"),
        ('{ pods { items { history(last: "yesterday") { times } } } }', "duration"),
        ('{ pods { items { history(last: "24h", step: "1s") { times } } } }', 'a step of "1m" would do'),
        ('{ pods { items { history(last: "1h", start: "2026-01-01T00:00:00Z") { times } } } }', "not both"),
    ],
)
async def test_a_wrong_question_is_bad_user_input(open_graph: OpenGraph, query: str, words: str) -> None:
    async with open_graph("c1") as graph:
        error = await graph.fail(query)
        assert not graph.store.calls
    assert error["code"] == "BAD_USER_INPUT"
    assert words in error["message"]


async def test_a_wrong_variable_is_bad_user_input(open_graph: OpenGraph) -> None:
    query = "query Wrong($last: Duration) { pods { items { history(last: $last) { times } } } }"
    async with open_graph("c1") as graph:
        assert (await graph.fail(query, {"last": 5}))["code"] == "BAD_USER_INPUT"


NEIGHBOURS = "fragment C on Node { pods { items { node { pods { totalCount } } } } }"
DEEP = "owner { resource { "
TOO_COSTLY = [
    "{ pods { items { " + DEEP * 8 + "name" + " } }" * 8 + " } } }",
    "{ " + " ".join(f"a{number}: viewer {{ name }}" for number in range(DEFAULT_LIMITS.aliases + 1)) + " }",
    "{ viewer { " + "name " * DEFAULT_LIMITS.tokens + "} }",
    "{ nodes { items { pods { items { node { pods { items { name } } } } } } } }",
    "{ ...A } fragment A on Query { pods { items { ...B } } } fragment B on Pod { node { ...C } } " + NEIGHBOURS,
]


@pytest.mark.parametrize(
    "query", TOO_COSTLY, ids=["depth", "aliases", "tokens", "nested lists", "nested lists in fragments"]
)
async def test_a_query_beyond_the_limits_is_refused(open_graph: OpenGraph, query: str) -> None:
    async with open_graph("c1") as graph:
        assert (await graph.fail(query))["code"] == "COST_EXCEEDED"


async def test_what_we_did_not_expect_is_masked_and_logged(
    open_graph: OpenGraph, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_graph("c1") as graph:
        graph.store.latest = broken  # type: ignore[method-assign]  # a store with a mistake in it
        with caplog.at_level(logging.ERROR, logger="graph"):
            error = await graph.fail('{ node(cluster: "c1", name: "n1") { usage { cpuCores } } }')
    assert error["code"] == "INTERNAL"
    assert "secret" not in error["message"]
    assert error["id"] in caplog.text
    assert "secret" in caplog.text


async def test_what_graphiql_asks_is_within_the_limits(open_graph: OpenGraph) -> None:
    query = get_introspection_query(specified_by_url=True, directive_is_repeatable=True, input_value_deprecation=True)
    async with open_graph("c1") as graph:
        assert len((await graph.ask(query))["__schema"]["types"]) > 40


async def broken(kind: Kind, keys: frozenset[K], measures: frozenset[Measure]) -> dict[K, Usage]:
    raise RuntimeError("a secret detail")


def test_everything_in_the_schema_is_described() -> None:
    silent = [
        f"{name}.{field['name']}"
        for kind in schema.introspect()["__schema"]["types"]
        if not (name := kind["name"]).startswith(("__", "link__"))  # of the specifications of GraphQL and of @link
        for field in (kind["fields"] or kind["inputFields"] or kind["enumValues"] or ())
        if not field["description"]
    ]
    assert silent == []


def test_the_printed_schema_ends_with_one_newline() -> None:
    assert print_sdl().endswith("}\n")
    assert "= null" not in print_sdl()


async def test_fragments_that_spread_each_other_many_times_are_refused_at_once(open_graph: OpenGraph) -> None:
    names = [f"F{number}" for number in range(40)]
    chain = " ".join(
        f"fragment {name} on Viewer {{ ...{after} ...{after} }}" for name, after in itertools.pairwise(names)
    )
    query = f"{{ viewer {{ ...F0 }} }} {chain} fragment F39 on Viewer {{ name }}"
    async with open_graph("c1") as graph:
        assert (await graph.fail(query))["code"] == "COST_EXCEEDED"


async def test_fragments_in_a_circle_are_refused(open_graph: OpenGraph) -> None:
    query = "{ viewer { ...A } } fragment A on Viewer { ...B } fragment B on Viewer { ...A name }"
    async with open_graph("c1") as graph:
        result = await graph.execute(query)
        assert result.errors is not None
        assert "Cannot spread fragment" in " ".join(error.message for error in result.errors)
