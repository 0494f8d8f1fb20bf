"""Lists ordered and bounded by usage: one question to the store, and the page cut out of the whole ranked set."""

from typing import Any

import pytest

from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import Measure
from tests.graph.conftest import Graph, OpenGraph, build_usage

BUSIEST = "{usage: MEMORY_PERCENT, percentOf: REQUEST, direction: DESC}"


def load(graph: Graph) -> None:
    """Pod pN of the Mth cluster uses N*10 + M MiB of the 1 MiB it asks for, and as many millicores of its 100."""
    for place, cluster in enumerate(sorted(graph.source.clusters)):
        for namespace, name in graph[cluster].objects["Pod"]:
            amount = int(name[1:]) * 10 + place
            graph.store.known[PodKey(cluster, namespace, name)] = build_usage(amount / 1000, amount << 20)


def names(connection: Any) -> list[str]:
    return [item["name"] for item in connection["items"]]


async def test_bound_order_and_selection_are_one_question(open_graph: OpenGraph) -> None:
    query = f"""{{ pods(first: 3, orderBy: [{BUSIEST}], filter: {{usage: [{{field: CPU_CORES, lt: 0.04}}]}}) {{
      totalCount counts(by: CLUSTER) {{ key count }} pageInfo {{ hasNextPage }}
      items {{ name cluster {{ name }} usage {{ memoryPercent(of: REQUEST) networkReceiveBytesPerSecond }} }} }} }}"""
    async with open_graph("c1", "c2", pods=6) as graph:
        load(graph)
        pods = (await graph.ask(query))["pods"]
        (call,) = graph.store.calls
    assert (call.name, len(call.keys)) == ("latest_pods", 12)
    assert call.asked == {Measure.MEMORY_BYTES, Measure.CPU_CORES, Measure.NETWORK_RECEIVE_BYTES}
    found = [(pod["cluster"]["name"], pod["name"], pod["usage"]["memoryPercent"]) for pod in pods["items"]]
    assert found == [("c2", "p3", 3100.0), ("c1", "p3", 3000.0), ("c2", "p2", 2100.0)]
    assert pods["totalCount"] == 8
    assert pods["counts"] == [{"key": "c1", "count": 4}, {"key": "c2", "count": 4}]
    assert pods["pageInfo"] == {"hasNextPage": True}


async def test_variables_and_fragments_say_the_same(open_graph: OpenGraph) -> None:
    query = """query Top($by: [PodOrder!], $least: Float!) { ...Ranked }
    fragment Ranked on Query { pods(filter: {usage: [{field: MEMORY_BYTES, gte: $least}]}, orderBy: $by) {
      items { name usage { memoryBytes } } } }"""
    by = [{"field": "NAMESPACE"}, {"usage": "CPU_CORES", "direction": "DESC"}]
    async with open_graph("c1") as graph:
        load(graph)
        pods = (await graph.ask(query, {"by": by, "least": 10 << 20}))["pods"]
        (call,) = graph.store.calls
    assert names(pods) == ["p3", "p1", "p2"]
    assert call.asked == {Measure.MEMORY_BYTES, Measure.CPU_CORES}


@pytest.mark.parametrize(("direction", "first"), [("ASC", ["p1", "p3"]), ("DESC", ["p3", "p1"])])
async def test_what_has_no_usage_comes_last_and_is_within_no_bound(
    open_graph: OpenGraph, direction: str, first: list[str]
) -> None:
    order = f"orderBy: [{{usage: CPU_PERCENT, percentOf: REQUEST, direction: {direction}}}]"
    query = f"""{{ all: pods({order}) {{ items {{ name }} }}
      bounded: pods({order}, filter: {{usage: [{{field: CPU_CORES, gte: 0}}]}}) {{ totalCount items {{ name }} }} }}"""
    async with open_graph("c1") as graph:
        load(graph)
        for name in ("p0", "p2"):
            del graph.store.known[PodKey("c1", "shop", name)]
        data = await graph.ask(query)
        assert len(graph.store.calls) == 1
    assert names(data["all"]) == [*first, "p0", "p2"]
    assert data["bounded"] == {"totalCount": 2, "items": [{"name": name} for name in first]}


async def test_a_share_of_what_an_object_does_not_have_is_null(open_graph: OpenGraph) -> None:
    query = """{ pods(orderBy: [{usage: CPU_PERCENT, percentOf: CAPACITY, direction: DESC}, {field: NAME}]) {
        items { name usage { cpuPercent(of: CAPACITY) } } }
      limited: pods(filter: {usage: [{field: CPU_PERCENT, gte: 0}]}) { totalCount }
      nodes(filter: {usage: [{field: MEMORY_PERCENT, percentOf: REQUEST, gte: 0}]}) { totalCount } }"""
    async with open_graph("c1", pods=2) as graph:
        data = await graph.ask(query)
    assert data["pods"]["items"] == [{"name": name, "usage": {"cpuPercent": None}} for name in ("p0", "p1")]
    assert data["limited"] == data["nodes"] == {"totalCount": 0}


async def test_pages_in_a_row_are_the_ranked_set(open_graph: OpenGraph) -> None:
    query = f"""query Page($after: String) {{ pods(first: 5, after: $after, orderBy: [{BUSIEST}]) {{
      items {{ name cluster {{ name }} }} pageInfo {{ endCursor hasNextPage }} }} }}"""
    seen: list[tuple[str, str]] = []
    async with open_graph("c1", "c2", pods=6) as graph:
        load(graph)
        after, more = None, True
        while more:
            pods = (await graph.ask(query, {"after": after}))["pods"]
            seen += [(pod["name"], pod["cluster"]["name"]) for pod in pods["items"]]
            after, more = pods["pageInfo"]["endCursor"], pods["pageInfo"]["hasNextPage"]
        assert len(graph.store.calls) == 3
    assert seen == [(f"p{number}", cluster) for number in (5, 4, 3, 2, 1, 0) for cluster in ("c2", "c1")]


async def test_lists_inside_clusters_and_nodes_share_questions(open_graph: OpenGraph) -> None:
    query = """{ clusters { name
      pods(first: 1, orderBy: {usage: MEMORY_BYTES, direction: DESC}) { items { name usage { cpuCores } } }
      nodes(first: 1, orderBy: {usage: CPU_PERCENT, direction: DESC}) { items { name usage { cpuPercent }
        pods(first: 1, orderBy: {usage: CPU_CORES, direction: DESC}) { items { name } } } } } }"""
    async with open_graph("c1", "c2", pods=6) as graph:
        load(graph)
        graph.store.known[NodeKey("c2", "n2")] = build_usage(1.5)
        clusters = (await graph.ask(query))["clusters"]
        assert sorted(call.name for call in graph.store.calls) == ["latest_nodes", "latest_pods"]
    assert [names(cluster["pods"]) for cluster in clusters] == [["p5"], ["p5"]]
    nodes = [cluster["nodes"]["items"][0] for cluster in clusters]
    assert [(node["name"], node["usage"]["cpuPercent"]) for node in nodes] == [("n1", 50.0), ("n2", 75.0)]
    assert [names(node["pods"]) for node in nodes] == [["p3"], ["p4"]]


async def test_history_waits_for_pages_to_be_cut(open_graph: OpenGraph) -> None:
    charted = "items { name history { cpuCores } }"
    query = f"{{ plain: pods(first: 1) {{ {charted} }} busy: pods(first: 1, orderBy: [{BUSIEST}]) {{ {charted} }} }}"
    async with open_graph("c1") as graph:
        load(graph)
        data = await graph.ask(query)
        calls = {call.name: call.keys for call in graph.store.calls}
        assert len(graph.store.calls) == 2
    assert (names(data["plain"]), names(data["busy"])) == (["p1"], ["p3"])
    assert calls["pod_history"] == {PodKey("c1", "ops", "p1"), PodKey("c1", "ops", "p3")}


@pytest.mark.parametrize(
    ("arguments", "questions"),
    [
        (f"first: 0, orderBy: [{BUSIEST}]", 0),
        ("first: 0, filter: {usage: [{field: CPU_CORES, gt: 0}]}", 1),
        (f"filter: {{usage: [], clusters: []}}, orderBy: [{BUSIEST}]", 0),
        ("filter: {usage: []}, orderBy: [{field: NAME}]", 0),
    ],
)
async def test_the_store_is_asked_for_what_is_needed(open_graph: OpenGraph, arguments: str, questions: int) -> None:
    async with open_graph("c1") as graph:
        data = await graph.ask(f"{{ pods({arguments}) {{ totalCount }} }}")
        assert len(graph.store.calls) == questions
    assert data["pods"]["totalCount"] == (0 if "clusters" in arguments else 4)


async def test_a_list_that_can_not_be_ranked_is_an_error_each(open_graph: OpenGraph) -> None:
    query = f"""{{ cluster(name: "c1") {{ pods(orderBy: [{BUSIEST}]) {{ totalCount }} }}
      other: cluster(name: "c2") {{ nodes(filter: {{usage: [{{field: CPU_CORES, gt: 0}}]}}) {{ totalCount }} }}
      clusters {{ name pods {{ totalCount }} }} }}"""
    async with open_graph("c1", "c2") as graph:
        graph.store.failure = "the store is away"
        result = await graph.execute(query)
    assert result.data is not None
    assert (result.data["cluster"], result.data["other"], len(result.data["clusters"])) == (None, None, 2)
    for error in result.errors or ():
        assert error.message == "this list is ordered or bounded by usage, which is not known: the store is away"
        assert (error.extensions or {})["code"] == "METRICS_UNAVAILABLE"
    assert len(result.errors or ()) == 2


async def test_a_store_that_hangs_costs_a_ranked_list_the_deadline(open_graph: OpenGraph) -> None:
    async with open_graph("c1") as graph:
        graph.store.answering.clear()
        result = await graph.execute(
            f"{{ pods(orderBy: [{BUSIEST}]) {{ items {{ usage {{ time }} }} }} }}", seconds=0.2
        )
    assert [(error.extensions or {})["code"] for error in result.errors or ()] == ["METRICS_UNAVAILABLE"]


ORDERS = [
    ("{}", "names a `field`, such as NAME, or a `usage`"),
    ("{field: NAME, usage: CPU_CORES}", "`field` or `usage`, not both"),
    ("{field: NAME, percentOf: LIMIT}", "not to the field NAME"),
    ("{usage: CPU_CORES, percentOf: LIMIT}", "belongs to CPU_PERCENT and MEMORY_PERCENT, not to CPU_CORES"),
    (", ".join(["{field: NAME}"] * 9), "8 orders at most, not 9"),
]
BOUNDS = [
    ("{field: CPU_CORES}", "needs one of `gt`, `gte`, `lt` and `lte`"),
    ("{field: CPU_CORES, percentOf: LIMIT, gt: 1}", "not to CPU_CORES"),
    ("{field: CPU_CORES, gt: 3, lt: 2}", "its lower end 3.0 is not below its upper end 2.0"),
    ("{field: MEMORY_PERCENT, gte: 90, lt: 90}", "nothing is within the bound of MEMORY_PERCENT of LIMIT"),
    (", ".join(["{field: CPU_CORES, gt: 1}"] * 17), "16 bounds of usage at most, not 17"),
]


@pytest.mark.parametrize("kind", ["pods", "nodes"])
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        *((f"orderBy: [{order}]", message) for order, message in ORDERS),
        *((f"filter: {{usage: [{bound}]}}", message) for bound, message in BOUNDS),
    ],
)
async def test_what_can_not_be_asked_is_refused_before_any_work(
    open_graph: OpenGraph, kind: str, arguments: str, message: str
) -> None:
    async with open_graph("c1") as graph:
        error = await graph.fail(f"{{ {kind}({arguments}) {{ totalCount }} }}")
        assert graph.store.calls == []
    assert error["code"] == "BAD_USER_INPUT"
    assert message in error["message"]


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
async def test_a_bound_is_a_number(open_graph: OpenGraph, value: float) -> None:
    query = "query Over($least: Float) { pods(filter: {usage: [{field: CPU_CORES, gt: $least}]}) { totalCount } }"
    async with open_graph("c1") as graph:
        assert (await graph.fail(query, {"least": value}))["code"] == "BAD_USER_INPUT"


async def test_a_cursor_belongs_to_what_it_is_a_percentage_of(open_graph: OpenGraph) -> None:
    query = "query Page($of: PercentOf, $after: String) { pods(first: 1, after: $after,"
    query += " orderBy: [{usage: CPU_PERCENT, percentOf: $of}]) { pageInfo { endCursor } } }"
    async with open_graph("c1") as graph:
        cursor = (await graph.ask(query, {"of": "LIMIT"}))["pods"]["pageInfo"]["endCursor"]
        assert await graph.ask(query, {"after": cursor})
        error = await graph.fail(query, {"of": "REQUEST", "after": cursor})
    assert (error["code"], "another order" in error["message"]) == ("BAD_USER_INPUT", True)


async def test_lists_inside_and_beside_each_other_share_their_questions(open_graph: OpenGraph) -> None:
    query = """{ nodes { items { usage { cpuCores } pods { items { usage { cpuCores } } } } }
      pods(first: 1) { items { usage { cpuCores } } } }"""
    async with open_graph("c1", "c2") as graph:
        data = await graph.ask(query)
        assert sorted(call.name for call in graph.store.calls) == ["latest_nodes", "latest_pods"]
    assert all(node["usage"] for node in data["nodes"]["items"])
    assert all(pod["usage"] for node in data["nodes"]["items"] for pod in node["pods"]["items"])


@pytest.mark.parametrize("bound", ["9007199254740993", "99999999999999999999999999", "1e300"])
async def test_a_bound_may_be_any_finite_number(open_graph: OpenGraph, bound: str) -> None:
    async with open_graph("c1") as graph:
        load(graph)
        pods = (
            await graph.ask(f"{{ pods(filter: {{usage: [{{field: CPU_CORES, gte: {bound}}}]}}) {{ totalCount }} }}")
        )["pods"]
    assert pods == {"totalCount": 0}
