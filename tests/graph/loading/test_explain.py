"""`extensions.explain` on a served graph: what it counts, for whom, and when there is no answer."""

import asyncio
from typing import Any

import aiohttp
import pytest

from tests.fakes.kubernetes import build_pod
from tests.fakes.waiting import until
from tests.graph.conftest import OpenGraph
from tests.graph.http.test_served import ME, open_served, send
from tests.graph.roots.test_events import build_event

PODS = "{ pods { items { name } } }"
WITH_NODES = "{ pods { items { name node { name } } } }"
EXPLAIN = {"X-Explain": "true"}


async def explain(session: aiohttp.ClientSession, query: str, **headers: str) -> Any:
    answer = await send(session, "POST", "/graphql", json={"query": query}, headers={**EXPLAIN, **headers})
    return (await answer.json())["extensions"]["explain"]


def hits(explained: Any) -> dict[str, tuple[int, int]]:
    """Hits and objects of each cluster."""
    return {cluster["name"]: (cluster["cacheHits"], cluster["cachedObjects"]) for cluster in explained["clusters"]}


@pytest.mark.parametrize("extensions", [None, {}, {"explain": False}])
async def test_nothing_is_explained_unasked(open_graph: OpenGraph, extensions: Any) -> None:
    async with open_graph("c1") as graph, open_served(graph) as session:
        answer = await send(session, "POST", "/graphql", json={"query": ME, "extensions": extensions})
        assert await answer.json() == {"data": {"viewer": {"name": "ann"}}}


async def test_a_list_is_one_hit_a_cluster_and_a_relation_one_each(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "c2", pods=4) as graph, open_served(graph) as session:
        listed = await explain(session, PODS)
        related = await explain(session, WITH_NODES)
    assert hits(listed) == {"c1": (1, 4), "c2": (1, 4)}
    assert (listed["cacheHits"], listed["cachedObjects"], listed["upstreamCalls"]) == (2, 8, 0)
    # Three of four pods are on one of two nodes.
    assert hits(related) == {"c1": (3, 6), "c2": (3, 6)}
    assert 0 < listed["tookMs"] < 5000


async def test_requests_at_once_see_each_its_own(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "c2", pods=40) as graph, open_served(graph) as session:
        queries = [PODS, WITH_NODES, ME] * 8
        alone = [hits(await explain(session, query)) for query in queries[:3]]
        at_once = await asyncio.gather(*(explain(session, query) for query in queries))
    assert alone[2] == {}
    assert [hits(each) for each in at_once] == alone * 8


async def test_clusters_out_of_reach_are_not_named(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "c2") as graph, open_served(graph) as session:
        explained = await explain(session, PODS, Authorization="Bearer sam")
    assert hits(explained) == {"c1": (1, 2)}
    assert explained["cachedObjects"] == 2


@pytest.mark.parametrize(
    ("asked", "status"),
    [({"query": "{ nope }"}, 200), ({"query": "{ pods {"}, 200), ({"query": ME, "operationName": "None"}, 400)],
)
async def test_what_is_not_executed_took_nothing(open_graph: OpenGraph, asked: dict[str, str], status: int) -> None:
    async with open_graph("c1") as graph, open_served(graph) as session:
        answer = await send(session, "POST", "/graphql", json=asked, headers=EXPLAIN)
        body = await answer.json()
    assert answer.status == status
    assert body["errors"]
    assert (body["extensions"]["explain"]["clusters"], body["extensions"]["explain"]["upstreamCalls"]) == ([], 0)


async def test_an_answer_that_came_too_late_says_what_it_waited_for(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "c2") as graph, open_served(graph, request_timeout=0.2) as session:
        await graph.hang("c2")
        answer = await send(session, "POST", "/graphql", json={"query": PODS}, headers=EXPLAIN)
        body = await answer.json()
    assert answer.status == 504
    (waited_for,) = body["extensions"]["explain"]["clusters"]
    assert (waited_for["name"], waited_for["probesAwaited"]) == ("c2", 1)
    assert 0 < waited_for["tookMs"] <= body["extensions"]["explain"]["tookMs"]


@pytest.mark.parametrize(
    "query",
    [
        "{ problems { totalCount } }",
        "{ events { totalCount } }",
        '{ pods(filter: { nodes: ["n9"] }) { totalCount items { name } } }',
    ],
)
async def test_what_is_out_of_reach_moves_no_number(open_graph: OpenGraph, query: str) -> None:
    asked = {"query": query, "extensions": {"explain": True, "cost": True}}
    seen = []
    async with open_graph("c1", pods=1) as graph, open_served(graph) as session:
        stores = graph.federation.feed.stores("c1")
        assert stores is not None
        for number in (0, 40):
            for name in map(str, range(number)):
                graph["c1"].put(build_pod("ops", f"hidden{name}", node="n9"))
                graph["c1"].put(build_event(f"hidden{name}", 1, namespace="ops"))
            await until(lambda: len(stores.events) == len(stores.pods) - 1 == number)  # noqa: B023 - waited for here
            answer = await send(session, "POST", "/graphql", json=asked, headers={"Authorization": "Bearer sam"})
            extensions = (await answer.json())["extensions"]
            seen.append((hits(extensions["explain"]), extensions["cost"]))
    assert seen[0] == seen[1]
