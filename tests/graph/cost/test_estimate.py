"""What operations cost against a fleet of known size."""

from typing import Any

import pytest
from graphql import GraphQLObjectType, get_introspection_query, parse

from graph.cost.fields import RULES
from graph.cost.reading import MAX_FIELDS, read_operation
from graph.cost.weights import DECODING, EXPECTED
from graph.limits.errors import LimitExceeded
from graph.schema import schema
from tests.acceptance.cookbook import COOKBOOK, read_recipes
from tests.graph.cost.fleets import LARGE, LIMIT, SMALL, cost, read

PLAIN = """id namespace name uid phase status ready restarts createdAt nodeName podIP hostIP qosClass
    cluster { name } node { name zone } owner { kind name } requests { cpuCores memoryBytes }"""
MEASURES = """cpuCores memoryBytes memoryUsageBytes memoryAvailableBytes fsUsedBytes fsCapacityBytes fsAvailableBytes
    networkReceiveBytesPerSecond networkTransmitBytesPerSecond"""
OWNERS = "owner { resource { name owner { resource { name } } } }"
ALLOWED = {
    "10,000 pods with plain fields and usage": (
        f"{{ pods(first: 10000) {{ totalCount items {{ {PLAIN} usage {{ time {MEASURES} memoryPercent }} }} }} }}"
    ),
    "500 pods with an hour of all columns": (
        f"{{ pods(first: 500) {{ items {{ {PLAIN} usage {{ cpuCores }} history {{ times {MEASURES} }} }} }} }}"
    ),
    "100 clusters with their nodes": """{
        clusters { name health podCounts(by: PHASE) { key count } capacity { cpuCores } usage { cpuCores }
            nodes { items { name status conditions { type status } allocatable { cpuCores } usage { cpuCores } } } }
    }""",
    "the 20 pods of the fleet that use most": (
        "{ pods(orderBy: [{ usage: MEMORY_BYTES, direction: DESC }], first: 20) { items { name } } }"
    ),
    "the namespaces of the fleet by memory used over requested": """{ pods(first: 0) {
        groups(by: [CLUSTER, NAMESPACE], orderBy: [{ usage: MEMORY_PERCENT, percentOf: REQUEST, direction: DESC }]) {
            items { keys { value } count requests { memoryBytes } usage { memoryBytes memoryPercent } } } } }""",
    "nodes by zone with an hour of usage": """{ nodes { groups(by: ZONE) { items { keys { value }
        capacity { cpuCores } requested { cpuCores } usage { cpuPercent } history { cpuCores } } } } }""",
    "pods of a page of nodes": "{ nodes { items { name pods { items { name status } } } } }",
    "pods of two hundred apps": (
        f'{{ pods(filter: {{ labelSelector: "app in ({",".join(map(str, range(200)))})" }}) {{ totalCount }} }}'
    ),
    "deployments of 100 clusters": '{ resources(apiVersion: "apps/v1", kind: "Deployment") { items { name } } }',
}
REFUSED = {
    "10,000 pods of 2,000 points": (
        '{ pods(first: 10000) { items { history(last: "33h", step: "1m") { times cpuCores } } } }'
    ),
    "10,000 pods with their events": "{ pods(first: 10000) { items { name events(first: 1) { reason } } } }",
    "100 clusters by pages by owner chains": (
        f'{{ resources(apiVersion: "v1", kind: "Pod", first: 1000) {{ items {{ name {OWNERS} }} }} }}'
    ),
    "the history of all clusters' pods": "{ clusters { pods(first: 10000) { items { history { cpuCores } } } } }",
    "the history of all pods, in groups": "{ pods { groups(by: CLUSTER) { items { history { cpuCores } } } } }",
    "pods by a thousand terms": (
        f'{{ pods(filter: {{ labelSelector: "{",".join(f"!k{n}" for n in range(1_000))}" }}) {{ totalCount }} }}'
    ),
    "sixty times the same order by usage": (
        "{" + " ".join(f"a{n}: pods(orderBy: [{{ usage: CPU_CORES }}]) {{ totalCount }}" for n in range(60)) + "}"
    ),
}


OF_SOME_CLUSTERS = (
    "{{ pods(filter: {}, first: 10000) {{ items {{ name }} }} }}",
    "{{ nodes(filter: {}, first: 10000) {{ items {{ usage {{ cpuCores }} }} }} }}",
    "{{ workloads(filter: {}, first: 10000) {{ items {{ name }} }} }}",
    "{{ events(filter: {}, first: 10000) {{ items {{ message }} }} }}",
    '{{ resources(apiVersion: "v1", kind: "Pod", filter: {}) {{ items {{ name }} }} }}',
    "subscription {{ podEvents(filter: {}) {{ type }} }}",
    'subscription {{ resourceEvents(apiVersion: "v1", kind: "Pod", filter: {}) {{ type }} }}',
)


@pytest.mark.parametrize("query", OF_SOME_CLUSTERS)
def test_what_a_selector_leaves_costs_what_the_same_clusters_do_by_name(query: str) -> None:
    def units(wanted: str) -> int:
        return cost(query.format(wanted), LARGE).units

    named = units('{ clusters: ["c1", "c3"] }')
    assert units('{ clusterSelector: "number in (1,3)" }') == named < units("{}")
    assert units('{ clusters: ["c1", "c2", "c3"], clusterSelector: "number in (1,3,4)" }') == named
    assert units('{ clusterSelector: "number=none" }') == units("{ clusters: [] }")
    assert units('{ clusterSelector: "number in" }') <= units("{ clusters: [] }")  # refused before any work


def test_lists_without_a_filter_cost_what_a_selector_leaves_as_well() -> None:
    for query in ("problems{} {{ totalCount }}", 'search(text: "a"{}) {{ hits {{ name }} }}', "clusters{} {{ name }}"):
        argument = 'filter: { labelSelector: "number=1" }' if "clusters" in query else 'clusterSelector: "number=1"'
        given = f", {argument}" if "search" in query else f"({argument})"
        some, whole = (cost(f"{{ {query.format(text)} }}", LARGE).units for text in (given, ""))
        assert some < whole / 10


@pytest.mark.parametrize("query", ALLOWED.values(), ids=ALLOWED.keys())
def test_what_a_user_interface_asks_is_within_the_limit(query: str) -> None:
    assert 0 < cost(query, LARGE).units <= LIMIT


@pytest.mark.parametrize("query", REFUSED.values(), ids=REFUSED.keys())
def test_what_nobody_should_ask_is_beyond_it(query: str) -> None:
    assert cost(query, LARGE).units > LIMIT


@pytest.mark.parametrize("recipe", read_recipes(COOKBOOK.read_text()), ids=lambda recipe: recipe.name)
def test_the_cookbook_is_cheap(recipe: Any) -> None:
    if recipe.answer.get("errors", [{}])[0].get("extensions", {}).get("code") != "COST_EXCEEDED":
        assert cost(recipe.query, SMALL, recipe.variables).units <= LIMIT / 10
        assert cost(recipe.query, LARGE, recipe.variables).units <= LIMIT


def test_what_asks_about_the_schema_costs_nothing() -> None:
    assert cost(get_introspection_query(input_value_deprecation=True)).units == 0
    assert cost("{ __typename viewer { __typename name } }") == cost("{ viewer { name } }")


@pytest.mark.parametrize(
    ("query", "same"),
    [
        ("{ pods { items { name } } pods { items { name } } }", "{ pods { items { name } } }"),
        ("{ pods { items { ...F ...F } } } fragment F on Pod { name phase }", "{ pods { items { name phase } } }"),
        ("{ pods { items { name events @skip(if: true) { type } } } }", "{ pods { items { name } } }"),
        ("query($n: Int = 7) { pods(first: $n) { items { name } } }", "{ pods(first: 7) { items { name } } }"),
        ("query($n: Int) { pods(first: $n) { items { name } } }", "{ pods(first: 100) { items { name } } }"),
        ("{ pods { items { id ... on Object { name: id } } } }", "{ pods { items { id name } } }"),
        ("{ nodes { items { id ... on Object { ... on Pod { events { type } } } } } }", "{ nodes { items { id } } }"),
        (
            """{ object(id: "x") { ... on Pod { ...F } ... on Node { ...F } } }
            fragment F on Object { ... on Pod { usage { cpuCores } } ... on Node { events { type } } }""",
            '{ object(id: "x") { ... on Pod { usage { cpuCores } } ... on Node { events { type } } } }',
        ),
        ('{ pods(filter: {clusters: ["c1"]}) { totalCount } }', '{ cluster(name: "c1") { pods { totalCount } } }'),
        ('{ pods(filter: {namespaces: ["a"]}, first: 9999) { totalCount } }', "{ pods(first: 9999) { totalCount } }"),
    ],
)
def test_an_operation_costs_what_will_be_executed(query: str, same: str) -> None:
    found, expected = cost(query).units, cost(same).units
    if "namespaces" in query:
        assert found < expected / 5
    elif "cluster(" in same:
        assert abs(found - expected) <= 2
    else:
        assert found == expected


def test_the_cost_follows_the_fleet_and_not_the_page_alone() -> None:
    query = "{ pods(first: 10000) { items { name usage { cpuCores } } } }"
    assert cost(query, SMALL).units < cost(query, LARGE).units / 50


def test_a_selection_by_a_wrong_argument_is_left_to_the_core() -> None:
    document = parse("query($n: Int!) { pods(first: $n) { totalCount } }")
    assert read_operation(schema._schema, document, None, {"n": "many"}) is None
    assert (
        cost("{ pods(first: 10001) { items { events { type } } } }").units < cost("{ pods { totalCount } }").units * 2
    )


def test_fragments_that_unfold_to_too_many_fields_are_not_walked_to_the_end() -> None:
    fields = " ".join(f"{name} {{ ...F }}" for name in ("capacity", "allocatable", "requested"))
    many = " ".join(f"a{number}: cpuCores" for number in range(40))
    places = " ".join(f'b{number}: cluster(name: "c") {{ {fields} }}' for number in range(50))
    with pytest.raises(LimitExceeded, match=f"{MAX_FIELDS:,} selections"):
        read(f"{{ {places} }} fragment F on Resources {{ {many} }}")


def test_every_field_with_arguments_has_a_rule() -> None:
    plain = {"Usage.cpuPercent", "Usage.memoryPercent"}
    with_arguments = {
        f"{kind}.{name}"
        for kind, definition in schema._schema.type_map.items()
        if isinstance(definition, GraphQLObjectType) and not kind.startswith("__")
        for name, field in definition.fields.items()
        if field.args
    }
    assert with_arguments - plain - RULES.keys() == set()


def test_every_rule_is_of_a_field_in_the_schema() -> None:
    known = schema._schema.type_map
    named = [coordinate.split(".") for coordinate in (*RULES, *EXPECTED, *DECODING)]
    gone = [f"{kind}.{name}" for kind, name in named if name not in getattr(known.get(kind), "fields", {})]
    assert gone == []
