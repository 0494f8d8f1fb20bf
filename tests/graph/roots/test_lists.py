"""Lists over all clusters: what is in them, in which order, and how each cluster took part."""

from typing import Any

import pytest

from fleet.model.objects import NodeKey
from tests.fakes.kubernetes import build_plain
from tests.fakes.waiting import until
from tests.graph.conftest import ADMIN, SHOPPER, OpenGraph


def names(pods: Any) -> list[str]:
    return [f"{pod['cluster']['name']}/{pod['namespace']}/{pod['name']}" for pod in pods["items"]]


NAMES = "items { namespace name cluster { name } } totalCount"
OUTCOMES = "totalCount clusters { name state message ageSeconds tookMs }"


async def test_pods_of_all_clusters_are_one_list(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "openmcp", pods=2) as graph:
        data = await graph.ask(f"{{ pods {{ {NAMES} clusters {{ name state }} }} clusters {{ name role health }} }}")
    assert names(data["pods"]) == ["c1/ops/p1", "c1/shop/p0", "openmcp/ops/p1", "openmcp/shop/p0"]
    assert data["pods"]["totalCount"] == 4
    assert data["pods"]["clusters"] == [{"name": "openmcp", "state": "OK"}, {"name": "c1", "state": "OK"}]
    assert data["clusters"] == [
        {"name": "openmcp", "role": "HOST", "health": "READY"},
        {"name": "c1", "role": "MEMBER", "health": "READY"},
    ]


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ("{clusters: [c2]}", 4),
        ("{clusters: []}", 0),
        ("{namespaces: [shop]}", 4),
        ('{labelSelector: "app in (a1)"}', 4),
        ('{fieldSelector: "spec.nodeName=n2"}', 2),
        ("{phases: [PENDING]}", 2),
        ("{nodes: [n1], clusters: [c1]}", 2),
        ('{name: {in: ["p0", "p1"], startsWith: "p", contains: "1"}}', 2),
        ('{owner: {kind: "ReplicaSet"}}', 0),
    ],
)
async def test_filters(open_graph: OpenGraph, wanted: str, found: int) -> None:
    quoted = wanted
    for name in ("c1", "c2", "shop", "n1"):
        quoted = quoted.replace(f"[{name}]", f'["{name}"]')
    async with open_graph("c1", "c2") as graph:
        data = await graph.ask(f"{{ pods(filter: {quoted}) {{ {NAMES} }} }}")
    assert (data["pods"]["totalCount"], len(data["pods"]["items"])) == (found, found)


async def test_orders_and_both_shapes(open_graph: OpenGraph) -> None:
    query = """{ pods(first: 3, orderBy: [{field: NAME, direction: DESC}, {field: CLUSTER, direction: DESC}]) {
      items { name cluster { name } } edges { cursor node { name cluster { name } } }
      pageInfo { startCursor endCursor hasNextPage hasPreviousPage } } }"""
    async with open_graph("c1", "c2") as graph:
        pods = (await graph.ask(query))["pods"]
    assert [(pod["name"], pod["cluster"]["name"]) for pod in pods["items"]] == [
        ("p3", "c2"),
        ("p3", "c1"),
        ("p2", "c2"),
    ]
    assert [edge["node"] for edge in pods["edges"]] == pods["items"]
    assert pods["pageInfo"] == {
        "startCursor": pods["edges"][0]["cursor"],
        "endCursor": pods["edges"][-1]["cursor"],
        "hasNextPage": True,
        "hasPreviousPage": False,
    }


async def test_pages_follow_each_other_without_gap_or_repeat(open_graph: OpenGraph) -> None:
    paged = f"{NAMES} pageInfo {{ endCursor hasNextPage }}"
    query = f"query Page($after: String) {{ pods(first: 3, after: $after) {{ {paged} }} }}"
    seen: list[str] = []
    async with open_graph("c1", "c2") as graph:
        after, more = None, True
        while more:
            pods = (await graph.ask(query, {"after": after}))["pods"]
            seen += names(pods)
            after, more = pods["pageInfo"]["endCursor"], pods["pageInfo"]["hasNextPage"]
        everything = names((await graph.ask(f"{{ pods {{ {NAMES} }} }}"))["pods"])
    assert seen == everything
    assert len(seen) == 8


async def test_counts_ship_no_pods(open_graph: OpenGraph) -> None:
    query = """{ pods(first: 0) {
        items { name } phases: counts(by: PHASE) { key count } nodes: counts(by: NODE) { key count } }
      cluster(name: "c1") { podCounts(by: NAMESPACE) { key count } } }"""
    async with open_graph("c1", pods=4) as graph:
        data = await graph.ask(query)
    assert data["pods"]["items"] == []
    assert data["pods"]["phases"] == [{"key": "RUNNING", "count": 3}, {"key": "PENDING", "count": 1}]
    assert data["pods"]["nodes"][0] == {"key": "n1", "count": 2}
    assert data["cluster"]["podCounts"] == [{"key": "ops", "count": 2}, {"key": "shop", "count": 2}]


async def test_relations_go_both_ways(open_graph: OpenGraph) -> None:
    query = """{ cluster(name: "c1") {
      nodes { items { name pods { totalCount items { name node { name cluster { name } } } } } }
      pods(filter: {nodes: ["n2"], clusters: ["c1"]}) { totalCount }
      other: pods(filter: {clusters: ["c2"]}) { totalCount } } }"""
    async with open_graph("c1", "c2", pods=3) as graph:
        cluster = (await graph.ask(query))["cluster"]
    first, second = cluster["nodes"]["items"]
    assert first["pods"]["items"] == [{"name": "p0", "node": {"name": "n1", "cluster": {"name": "c1"}}}]
    assert second["pods"]["totalCount"] == cluster["pods"]["totalCount"] == 1
    assert cluster["other"]["totalCount"] == 0


async def test_a_dead_cluster_is_left_out_or_answered_from_memory_or_an_error(open_graph: OpenGraph) -> None:
    query = f"query Modes($mode: OnUnavailable) {{ pods(onUnavailable: $mode) {{ {OUTCOMES} }} }}"
    async with open_graph("c1", "c2", pods=2) as graph:
        await graph.hang("c2")
        partial = (await graph.ask(query, {"mode": "PARTIAL"}))["pods"]
        stale = (await graph.ask(query, {"mode": "STALE"}))["pods"]
        strict = await graph.fail(query, {"mode": "STRICT"})
    assert (partial["totalCount"], [part["state"] for part in partial["clusters"]]) == (2, ["OK", "TIMEOUT"])
    assert partial["clusters"][1]["message"]
    assert (stale["totalCount"], [part["state"] for part in stale["clusters"]]) == (4, ["OK", "STALE"])
    assert stale["clusters"][1]["ageSeconds"] > 0
    assert (strict["code"], strict["cluster"]) == ("CLUSTER_TIMEOUT", "c2")


async def test_what_is_out_of_reach_looks_empty_and_is_marked(open_graph: OpenGraph) -> None:
    query = f"""{{ pods {{ {NAMES} clusters {{ name state }} }} nodes {{ {OUTCOMES} }}
      clusters {{ name nodes {{ {OUTCOMES} }} capacity {{ cpuCores }} }} }}"""
    async with open_graph("c1", "c2", pods=2) as graph:
        data = await graph.ask(query, who=SHOPPER)
    assert names(data["pods"]) == ["c1/shop/p0"]
    assert {part["name"]: part["state"] for part in data["pods"]["clusters"]} == {"c1": "OK"}
    assert {part["state"] for part in data["nodes"]["clusters"]} == {"FORBIDDEN"}
    assert [cluster["name"] for cluster in data["clusters"]] == ["c1"]
    assert data["clusters"][0]["nodes"]["clusters"][0]["state"] == "FORBIDDEN"
    assert data["clusters"][0]["capacity"] is None


async def test_sums_over_a_cluster(open_graph: OpenGraph) -> None:
    query = """{ cluster(name: "c1") { capacity { cpuCores memoryBytes pods } allocatable { cpuCores }
      requested { cpuCores memoryBytes } } node(cluster: "c1", name: "n1") { requested { cpuCores pods } } }"""
    async with open_graph("c1", pods=3) as graph:
        data = await graph.ask(query)
        assert graph.federation.requested_on(ADMIN.scope, NodeKey("c1", "n1")).pods == 1
    assert data["cluster"]["capacity"] == {"cpuCores": 8.0, "memoryBytes": 16 << 30, "pods": 220}
    assert data["cluster"]["allocatable"] == {"cpuCores": 4.0}
    assert data["cluster"]["requested"] == {"cpuCores": 0.2, "memoryBytes": 2 << 20}
    assert data["node"]["requested"] == {"cpuCores": 0.1, "pods": 1}


async def test_namespaces_of_a_cluster_are_those_in_reach(open_graph: OpenGraph) -> None:
    query = "{ clusters { name namespaces { name status labels { key value } } } }"
    async with open_graph("c1", "c2") as graph:
        for name in ("shop", "ops"):
            graph["c1"].put(build_plain("Namespace", name))
        await until(lambda: graph.federation.visible_namespaces(ADMIN.scope, "c1", "pods") == ["ops", "shop"])
        every, some = await graph.ask(query), await graph.ask(query, who=SHOPPER)
        await graph.hang("c2")
        waited = await graph.ask(query)
    found = {cluster["name"]: cluster["namespaces"] for cluster in every["clusters"]}
    assert found == {"c1": [{"name": name, "status": "Active", "labels": []} for name in ("ops", "shop")], "c2": []}
    assert [entry["name"] for entry in some["clusters"][0]["namespaces"]] == ["shop"]
    assert {cluster["name"]: cluster["namespaces"] for cluster in waited["clusters"]} == {"c1": found["c1"], "c2": None}
