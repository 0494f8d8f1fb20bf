"""`clusterSelector`: one word for some clusters in every query, whoever they are by now."""

from typing import Any

import pytest
from msgspec.structs import replace

from fleet.model.visibility import Scope
from tests.fakes.kubernetes import build_plain, serve_kinds
from tests.fakes.waiting import until
from tests.graph.compiled.own_graph import build_full_pod, wait_known
from tests.graph.conftest import ADMIN, SHOPPER, Graph, OpenGraph
from tests.graph.roots.test_resources import build_event

PODS = "query Q($f: PodFilter) { pods(filter: $f) { totalCount clusters { name state } } }"
LISTS = {
    "clusters": '{ it: clusters(filter: { labelSelector: "%s" }) { name } }',
    "pods": '{ it: pods(filter: { clusterSelector: "%s" }) { items { cluster { name } } clusters { name } } }',
    "nodes": '{ it: nodes(filter: { clusterSelector: "%s" }) { items { cluster { name } } clusters { name } } }',
    "workloads": '{ it: workloads(filter: { clusterSelector: "%s" }) { items { cluster { name } } } }',
    "events": '{ it: events(filter: { clusterSelector: "%s" }) { items { cluster { name } } clusters { name } } }',
    "resources": """{ it: resources(apiVersion: "v1", kind: "Pod", filter: { clusterSelector: "%s" }) {
      items { cluster { name } } clusters { name } } }""",
    "problems": """{ it: problems(clusterSelector: "%s") {
      items { examples { cluster { name } } } clusters { name } } }""",
    "search": """{ it: search(text: "n1", kinds: [NODE], clusterSelector: "%s") {
      hits { object { ... on Node { cluster { name } } } } clusters { name } } }""",
    "search for clusters": '{ it: search(text: "c", kinds: [CLUSTER], clusterSelector: "%s") { hits { name } } }',
    "inside": '{ it: pods(filter: { not: { not: { clusterSelector: "%s" } } }) { items { cluster { name } } } }',
    "groups": """{ it: pods(filter: { clusterSelector: "%s" }) {
      groups(by: CLUSTER) { items { keys { name: value } } } clusters { name } } }""",
}
each_list = pytest.mark.parametrize("query", LISTS.values(), ids=LISTS.keys())


async def label(graph: Graph, cluster: str, **labels: str) -> None:
    graph.source.label(cluster, **labels)
    wanted = tuple(sorted(labels.items()))
    await until(lambda: graph.federation.get_cluster(ADMIN.scope, cluster).labels == wanted)


async def furnish(graph: Graph) -> None:
    """c1 and c3 are in production; each has nodes that are not well, an event, a workload and pods."""
    for name, env in (("c1", "prod"), ("c2", "test"), ("c3", "prod")):
        serve_kinds(graph[name])
        graph[name].put(build_plain("Node", "unwell") | {"status": {"conditions": [UNREADY]}})
        graph[name].put(build_event(1, "p0"))
        graph[name].put(build_full_pod("shop", "p0", "n1", "a0"))
        await label(graph, name, env=env, region="eu")
        await wait_known(graph, name)
    await until(lambda: graph.federation._roster.find("c3").stores.events)  # type: ignore[union-attr]


UNREADY = {"type": "Ready", "status": "False", "lastTransitionTime": "2024-05-01T10:00:00Z"}


def names_in(answer: Any) -> set[str]:
    """All names in an answer: of clusters alone."""
    if isinstance(answer, dict):
        return names_in(list(answer.values()))
    return set().union(*map(names_in, answer)) if isinstance(answer, list) else {answer} - {None}


@each_list
async def test_every_list_is_of_the_clusters_that_a_selector_matches(open_graph: OpenGraph, query: str) -> None:
    async with open_graph("c1", "c2", "c3") as graph:
        await furnish(graph)
        assert names_in(await graph.ask(query % "env=prod")) == {"c1", "c3"}
        assert names_in(await graph.ask(query % "env in (test),region")) == {"c2"}
        await label(graph, "c3", env="old")
        assert names_in(await graph.ask(query % "env=prod")) == {"c1"}
        assert names_in(await graph.ask(query % "")) == {"c1", "c2", "c3"}


@each_list
async def test_one_that_no_cluster_matches_finds_nothing_and_a_wrong_one_says_what_would_be_right(
    open_graph: OpenGraph, query: str
) -> None:
    async with open_graph("c1", "c2") as graph:
        for cluster in ("c1", "c2"):
            serve_kinds(graph[cluster])
        assert names_in(await graph.ask(query % "env=none")) == set()
        error = await graph.fail(query % "env in prod")
    assert error["code"] == "BAD_USER_INPUT"
    place = "`clusterSelector`: " * ("clusterSelector" in query)
    assert error["message"].startswith(f"{place}label selector, character 8: ")


@each_list
async def test_labels_of_a_cluster_out_of_reach_tell_nothing(open_graph: OpenGraph, query: str) -> None:
    viewer = replace(SHOPPER, scope=replace(SHOPPER.scope, namespaces=("*",)))
    async with open_graph("c1", "c2", "c3") as graph:
        await furnish(graph)
        hidden = [await graph.execute(query % selector, who=viewer) for selector in ("env=test", "env=none")]
        assert hidden[0] == hidden[1]
        assert names_in((await graph.execute(query % "env=prod", who=viewer)).data) == {"c1"}


async def test_names_and_labels_must_both_hold(open_graph: OpenGraph) -> None:
    async with open_graph("c1", "c2", "c3") as graph:
        await furnish(graph)

        async def ask(*clusters: str, **more: Any) -> Any:
            return (await graph.ask(PODS, {"f": {"clusters": clusters, "clusterSelector": "env=prod", **more}}))["pods"]

        assert (await ask("c1", "c2")) == {"totalCount": 4, "clusters": [{"name": "c1", "state": "OK"}]}
        assert (await ask("c2")) == {"totalCount": 0, "clusters": []}
        assert (await ask("c2", namespaces=["shop"])) == {"totalCount": 0, "clusters": []}
        error = await graph.fail(PODS, {"f": {"clusters": ["c9"], "clusterSelector": "env=prod"}})
    assert error["code"] == "NOT_FOUND"


async def test_only_the_clusters_of_a_selector_have_to_answer(open_graph: OpenGraph) -> None:
    strict = "query Q($s: String) { pods(filter: { clusterSelector: $s }, onUnavailable: STRICT) { totalCount } }"
    async with open_graph("c1", "c2", "c3") as graph:
        await furnish(graph)
        await graph.hang("c2")
        assert (await graph.ask(strict, {"s": "env=prod"}))["pods"]["totalCount"] == 8
        assert (await graph.fail(strict, {"s": "region=eu"}))["cluster"] == "c2"
        ill = (await graph.ask("{ clusters { name labels { key value } } }"))["clusters"]
    assert ill[1] == {"name": "c2", "labels": [{"key": "env", "value": "test"}, {"key": "region", "value": "eu"}]}


async def test_pages_go_on_while_labels_change(open_graph: OpenGraph) -> None:
    page = """query P($after: String) { pods(filter: { clusterSelector: "env=prod" }, first: 3, after: $after) {
      items { name cluster { name } } pageInfo { endCursor hasNextPage } } }"""
    async with open_graph("c1", "c2", "c3") as graph:
        await furnish(graph)
        first = (await graph.ask(page))["pods"]
        await label(graph, "c2", env="prod")
        rest = (await graph.ask(page, {"after": first["pageInfo"]["endCursor"]}))["pods"]
    assert [item["cluster"]["name"] for item in (*first["items"], *rest["items"])] == ["c1"] * 4 + ["c2"] * 2


async def test_lists_of_a_cluster_know_the_selector_as_well(open_graph: OpenGraph) -> None:
    query = """{ clusters { name pods(filter: { clusterSelector: "env=prod" }) { totalCount }
      nodes(filter: { clusterSelector: "env=prod" }) { totalCount } } }"""
    async with open_graph("c1", "c2", "c3") as graph:
        await furnish(graph)
        found = (await graph.ask(query))["clusters"]
    assert [(each["pods"]["totalCount"], each["nodes"]["totalCount"]) for each in found] == [(4, 3), (0, 0), (4, 3)]


async def test_who_reaches_some_namespaces_reads_those_of_the_clusters_selected(open_graph: OpenGraph) -> None:
    who = replace(SHOPPER, scope=Scope(SHOPPER.scope.role, namespaces=("shop",)))
    async with open_graph("c1", "c2", "c3") as graph:
        await furnish(graph)
        found = await graph.ask(PODS, {"f": {"clusterSelector": "env=prod"}}, who=who)
        error = await graph.fail(PODS, {"f": {"clusterSelector": "env=prod", "namespaces": ["ops"]}}, who=who)
        empty = await graph.ask(PODS, {"f": {"clusterSelector": "env=none", "namespaces": ["ops"]}}, who=who)
    assert (found["pods"]["totalCount"], error["code"], empty["pods"]["totalCount"]) == (4, "FORBIDDEN", 0)
