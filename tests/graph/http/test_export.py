"""Lists as CSV and as lines of JSON: all pages, flat columns, and errors that no script overlooks."""

import asyncio
import contextlib
import csv
import io
import json
import re
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from msgspec.structs import replace

from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import Usage
from graph.http.listing import find_listing
from graph.limits.limits import DEFAULT_LIMITS
from graph.operation import Operation
from graph.schema import schema
from tests.fakes.graph import Call, CountingStore
from tests.fakes.kubernetes import build_pod
from tests.fakes.waiting import until
from tests.graph.conftest import ADMIN, Graph, OpenGraph
from tests.graph.http.test_served import open_served, send

CSV = {"Accept": "text/csv"}
LINES = {"Accept": "application/x-ndjson"}
NAMES = "{ pods { items { name } } }"
PODS = """
query Pods($first: Int = 5000, $namespaces: [String!]) {
  pods(filter: { namespaces: $namespaces }, first: $first) {
    totalCount
    items { ...Where name ready restarts usage { cpuCores memoryBytes } labels { key value } node { name } }
    clusters { name }
    ...Unused
  }
}
fragment Where on Pod { cluster { name } ... on Pod { namespace } }
fragment Unused on PodConnection { counts(by: PHASE) { key } }
"""


class BreakingStore(CountingStore):
    """Answers three questions and no more."""

    def __init__(self, known: dict[PodKey | NodeKey, Usage]) -> None:
        super().__init__()
        self.known = known

    async def _answer(self, call: Call) -> None:
        self.failure = "the metric store is gone" if len(self.calls) >= 3 else None
        await super()._answer(call)


class StoppingStore(BreakingStore):
    """Answers what is asked first, and nothing else."""

    async def _answer(self, call: Call) -> None:
        if self.calls and call.keys != self.calls[0].keys:
            await asyncio.Event().wait()
        self.calls.append(call)
        await self.answering.wait()


async def read(session: aiohttp.ClientSession, query: str, accept: Mapping[str, str] = CSV, **more: Any) -> Any:
    """Rows of a whole answer."""
    answer = await send(session, "POST", "/graphql", json={"query": query, **more}, headers=accept)
    text = await answer.text()
    assert answer.status == 200, text
    return (
        list(csv.DictReader(io.StringIO(text))) if accept is CSV else [json.loads(line) for line in text.splitlines()]
    )


async def collect(answer: aiohttp.ClientResponse, into: list[bytes]) -> None:
    while piece := await answer.content.readany():
        into.append(piece)


def slow_down(graph: Graph) -> None:
    """Pages of a thousand rows cost too much."""
    graph.limits = replace(graph.limits, cost=1_000)


async def test_rows_are_flat_columns_named_by_their_paths(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "c2", pods=3) as graph, open_served(graph) as session:
        rows, lines = await read(session, PODS), await read(session, PODS, LINES)
    assert list(rows[0]) == list(lines[0])
    assert list(rows[0])[:4] == ["cluster.name", "namespace", "name", "ready"]
    assert [(row["cluster.name"], row["namespace"], row["name"], row["node.name"]) for row in rows[:3]] == [
        ("c1", "ops", "p1", "n2"),
        ("c1", "shop", "p0", "n1"),
        ("c1", "shop", "p2", ""),
    ]
    assert (lines[2]["node.name"], lines[0]["usage.cpuCores"], rows[0]["usage.cpuCores"]) == (None, 0.05, "0.05")
    assert json.loads(rows[0]["labels"]) == lines[0]["labels"] == [{"key": "app", "value": "a1"}]


@pytest.mark.parametrize("accept", [CSV, LINES], ids=["csv", "ndjson"])
async def test_all_pages_are_followed_within_the_cost_of_each(open_graph: OpenGraph, accept: dict[str, str]) -> None:
    async with open_graph("c1", "c2", pods=60) as graph, open_served(graph) as session:
        whole = await read(session, PODS, accept)
        slow_down(graph)
        async with open_served(graph) as bounded:
            paged = await read(bounded, PODS, accept)
    assert paged == whole
    assert len({(row["cluster.name"], row["name"]) for row in whole}) == len(whole) == 120


@pytest.mark.parametrize(("first", "rows"), [(0, 0), (7, 7), (10, 10), (25, 25), (5000, 60), (20_000, 60)])
async def test_first_is_how_many_rows_there_are(open_graph: OpenGraph, first: int, rows: int) -> None:
    async with open_graph("c1", pods=60) as graph:
        slow_down(graph)
        async with open_served(graph) as session:
            written = NAMES.replace("pods", f"pods(first: {first})")
            assert len(await read(session, PODS, variables={"first": first})) == rows
            assert len(await read(session, written)) == rows


async def test_a_list_inside_a_list_is_paged_alone(open_graph: OpenGraph) -> None:
    query = (
        '{ pods(first: 0) { groups(by: [NAMESPACE, NODE], labels: ["number"]) { items { keys { value } count } } } }'
    )
    async with open_graph("c1", pods=0) as graph:
        for number in range(1_100):
            graph["c1"].put(build_pod("shop", f"p{number}", number=str(number)))
        await until(lambda: len(graph.federation._roster.get(ADMIN.scope, "c1").pods) == 1_100)
        async with open_served(graph) as session:
            rows = await read(session, query)
    assert len(rows) == len({row["keys"] for row in rows}) == 1_100
    assert {row["count"] for row in rows} == {"1"}


async def test_after_is_where_the_rows_begin(open_graph: OpenGraph) -> None:
    async with open_graph("c1", pods=9) as graph, open_served(graph) as session:
        edges = await read(session, "{ pods { edges { cursor node { name } } } }")
        rest = await read(
            session, "query($at: String) { pods(after: $at) { items { name } } }", variables={"at": edges[3]["cursor"]}
        )
    assert [row["name"] for row in rest] == [edge["node.name"] for edge in edges[4:]]


@pytest.mark.parametrize(
    ("query", "rows"),
    [
        ("{ clusters { name health } }", [{"name": "c1", "health": "READY"}]),
        ('{ cluster(name: "c1") { name pods(first: 1) { items { name } } } }', [{"name": "p1"}]),
        ("{ a: nodes { b: items { c: name } } }", [{"c": "n1"}, {"c": "n2"}]),
        ("query A { pods { items { name } } } query B { clusters { name } }", [{"name": "c1"}]),
        ("{ pods { counts(by: NODE) { key } } }", [{"key": "n1"}, {"key": "n2"}, {"key": ""}]),
        ('{ cluster(name: "c1") { namespaces { name } } }', []),
    ],
)
async def test_any_one_list_has_rows(open_graph: OpenGraph, query: str, rows: list[dict[str, str]]) -> None:
    async with open_graph("c1") as graph, open_served(graph) as session:
        assert sorted(map(str, await read(session, query, operationName="B" if " B " in query else None))) == sorted(
            map(str, rows)
        )


EVERY = {
    "nodes": "nodes { items { name ready cluster { name } } }",
    "pods": "pods { items { name cluster { name } usage { cpuCores } node { name } } }",
    "pod groups": "pods { groups(by: [NAMESPACE, PHASE]) { items { keys { field value } count } } }",
    "node groups": "nodes { groups(by: [CLUSTER]) { items { keys { field value } count } } }",
    "workloads": "workloads { items { kind name namespace cluster { name } } }",
    "problems": "problems { items { __typename reason count clusters } }",
    "events": "events { items { reason message count cluster { name } } }",
    "resources": 'resources(apiVersion: "v1", kind: "Pod") { items { name namespace cluster { name } } }',
}


def flatten(item: Mapping[str, Any], path: str = "") -> dict[str, Any]:
    found: dict[str, Any] = {}
    for key, value in item.items():
        found |= flatten(value, f"{path}{key}.") if isinstance(value, dict) else {path + key: value}
    return found


@pytest.mark.parametrize("name", sorted(EVERY.keys() - {"resources"}))  # those are asked of real ones
async def test_rows_are_the_items_of_any_connection(open_graph: OpenGraph, name: str) -> None:
    query = f"{{ {EVERY[name]} }}"
    async with open_graph("c1", "c2", pods=14) as graph:
        async with open_served(graph) as session:
            answer = await send(session, "POST", "/graphql", json={"query": query})
            found = (await answer.json())["data"]
        slow_down(graph)
        async with open_served(graph) as session:
            rows = await read(session, query, LINES)
    while "items" not in found:
        (found,) = found.values()
    keys = set(rows[0]) if rows else set()
    assert [{key: row[key] for key in keys} for row in rows] == [
        {key: flatten(item).get(key) for key in keys} for item in found["items"]
    ]


def test_every_connection_of_the_schema_is_among_them() -> None:
    connections = {name for name in schema._schema.type_map if name.endswith("Connection")}
    asked = (
        find_listing(schema._schema, Operation(f"{{ {text} }}", None, None), DEFAULT_LIMITS) for text in EVERY.values()
    )
    assert all(listing is not None and listing.page_info is not None for listing in asked)
    assert len(connections) == len(EVERY), connections


async def test_texts_that_a_spreadsheet_would_run_are_quoted(open_graph: OpenGraph) -> None:
    evil = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "\uff1d1", 'a "b", c', "a\r\nb", "plain", ""]
    async with open_graph("c1", pods=0) as graph:
        for number, text in enumerate(evil):
            pod = build_pod("shop", f"p{number}")
            pod["status"] = {"phase": "Failed", "reason": "x", "message": text}
            pod["metadata"]["annotations"] = {"a": text}
            pod["status"]["reason"] = text
            graph["c1"].put(pod)
        counts = graph.federation.count_objects(ADMIN.scope)
        await until(lambda: counts.pods("c1", None, None) == len(evil))
        async with open_served(graph) as session:
            query = "{ pods { items { status } } }"
            rows, lines = await read(session, query), await read(session, query, LINES)
    told = {line["status"] for line in lines}
    assert {"=1+1", "@SUM(A1)", 'a "b", c', "a\r\nb"} <= told
    assert {row["status"] for row in rows} == {
        f"'{text}" if text[:1] in "=+-@\t\r\n\uff1d" and text else text for text in told
    }


@pytest.mark.parametrize(
    ("query", "message"),
    [
        ("{ pods { items { name } } nodes { items { name } } }", "text/csv has the rows of one list"),
        ("{ viewer { name } }", "text/csv has the rows of one list"),
        ("{ pods { totalCount } }", "text/csv has the rows of one list"),
        ("{ pods { items { nam } } }", "Cannot query field"),
        ("{ pod { items { name } } }", "Cannot query field"),
        ("{ pods { items { name } }", "Syntax Error"),
        ("query($x: Int!) { pods { items { name restarts @skip(if: $x) } } }", "$x"),
        ("{ pods(first: -1) { items { name } } }", "0 at least"),
        ('{ pods(first: "a") { items { name } } }', "0 at least"),
        ('{ pods(after: "nonsense") { items { name } } }', "the cursor is not one"),
        ("{ ...F } fragment F on Query { ...F }", "F"),
        ("subscription { clusterEvents { type } }", "subscription"),
        ("mutation { a }", "mutation"),
    ],
)
async def test_what_has_no_rows_is_refused_in_json(open_graph: OpenGraph, query: str, message: str) -> None:
    async with open_graph("c1") as graph, open_served(graph) as session:
        answer = await send(session, "POST", "/graphql", json={"query": query}, headers=CSV)
        assert (answer.status, answer.content_type) == (400, "application/graphql-response+json")
        assert message in (await answer.json(content_type=None))["errors"][0]["message"]


async def test_without_a_credential_there_are_no_rows(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "c2") as graph, open_served(graph) as session:
        refused = await send(session, "POST", "/graphql", json={"query": NAMES}, headers={**CSV, "Authorization": ""})
        assert refused.status == 401
        sam = {**CSV, "Authorization": "Bearer sam"}
        answer = await send(
            session,
            "GET",
            "/graphql",
            params={"query": "{ pods { items { cluster { name } namespace } } }"},
            headers=sam,
        )
        assert set((await answer.text()).split("\r\n")[1:-1]) == {"c1,shop"}


async def test_a_cluster_that_is_not_in_the_rows_is_a_warning(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "c2") as graph, open_served(graph, request_timeout=3.0) as session:
        await graph.hang("c2")
        answer = await send(session, "POST", "/graphql", json={"query": NAMES}, headers=CSV)
        assert answer.status == 200
        assert re.fullmatch(r'299 - "c2 is (STALE|TIMEOUT|UNREACHABLE): [^"]+"', answer.headers["warning"])


@pytest.mark.parametrize("accept", [CSV, LINES], ids=["csv", "ndjson"])
async def test_an_error_half_way_is_a_last_line_and_a_cut(
    open_graph: OpenGraph, accept: dict[str, str], caplog: pytest.LogCaptureFixture
) -> None:
    async with open_graph("c1", pods=600) as graph:
        slow_down(graph)
        graph.store = BreakingStore(graph.store.known)
        async with open_served(graph) as session:
            query = "{ pods { items { name usage { cpuCores } } } }"
            pieces: list[bytes] = []
            async with session.post("/graphql", json={"query": query}, headers=accept) as answer:
                with pytest.raises(aiohttp.ClientPayloadError):
                    await collect(answer, pieces)
    last = b"".join(pieces).decode().splitlines()[-1]
    assert answer.status == 200
    assert "the metric store is gone" in last
    assert last.startswith("#error METRICS_UNAVAILABLE:" if accept is CSV else '{"errors":[{"message":')
    assert "Traceback" not in caplog.text


async def test_an_error_before_the_first_row_is_a_status(open_graph: OpenGraph) -> None:
    async with open_graph("c1") as graph, open_served(graph) as session:
        graph.store.failure = "the metric store is gone"
        query = "{ pods { items { usage { cpuCores } } } }"
        answer = await send(session, "POST", "/graphql", json={"query": query}, headers=CSV)
        assert (answer.status, answer.content_type) == (502, "application/graphql-response+json")


async def test_a_client_that_leaves_ends_the_pages(open_graph: OpenGraph) -> None:
    async with open_graph("c1", pods=600) as graph:
        slow_down(graph)
        async with open_served(graph) as session:
            query = "{ pods { items { name usage { cpuCores } } } }"
            async with session.post("/graphql", json={"query": query}, headers=CSV) as answer:
                await answer.content.readany()
                graph.store.answering.clear()
                answer.close()
            tasks = "rows of a list"
            await until(lambda: tasks not in {task.get_name() for task in asyncio.all_tasks()})


async def test_a_user_has_so_many_lists_on_their_way_and_no_more(open_graph: OpenGraph) -> None:
    asked = {"query": "{ pods { items { name usage { cpuCores } } } }"}
    async with open_graph("c1", pods=600) as graph:
        slow_down(graph)
        graph.store = StoppingStore(graph.store.known)
        async with open_served(graph) as session, contextlib.AsyncExitStack() as stack:
            for _ in range(10):
                answer = await stack.enter_async_context(session.post("/graphql", json=asked, headers=CSV))
                assert answer.status == 200
            refused = await send(session, "POST", "/graphql", json=asked, headers=CSV)
            assert (refused.status, refused.headers["Retry-After"]) == (429, "5")
            other = {**CSV, "Authorization": "Bearer sam"}
            assert (await send(session, "POST", "/graphql", json={"query": NAMES}, headers=other)).status == 200
            await stack.aclose()

            async def is_answered() -> bool:
                return (await send(session, "POST", "/graphql", json={"query": NAMES}, headers=CSV)).status == 200

            await until(is_answered)


async def test_nor_where_all_are_asked_for_at_once(open_graph: OpenGraph) -> None:
    asked = {"query": "{ pods { items { name usage { cpuCores } } } }"}
    async with open_graph("c1", pods=600) as graph:
        slow_down(graph)
        graph.store = StoppingStore(graph.store.known)
        graph.store.answering.clear()
        async with open_served(graph) as session:
            flood = [asyncio.create_task(session.post("/graphql", json=asked, headers=CSV)) for _ in range(12)]
            await until(lambda: len(graph.store.calls) == len(flood))
            graph.store.answering.set()
            answers = await asyncio.gather(*flood)
            assert sorted(answer.status for answer in answers) == [200] * 10 + [429] * 2
            for answer in answers:
                answer.close()


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("text/csv;q=0.5, application/json;q=0.4", "text/csv"),
        ("text/csv;q=0.5, application/x-ndjson", "application/x-ndjson"),
        ("TEXT/CSV, */*", "text/csv"),
        ("text/csv, application/json", "application/json"),
        ("text/csv;q=0, */*", "application/json"),
    ],
)
async def test_rows_are_for_who_likes_them_best(open_graph: OpenGraph, accept: str, kind: str) -> None:
    async with open_graph("c1") as graph, open_served(graph) as session:
        answer = await send(session, "POST", "/graphql", json={"query": NAMES}, headers={"Accept": accept})
        assert (answer.status, answer.content_type) == (200, kind)
        head = await send(session, "HEAD", "/graphql", params={"query": NAMES}, headers={"Accept": accept})
        assert (head.status, head.content_type) == (200, kind)
