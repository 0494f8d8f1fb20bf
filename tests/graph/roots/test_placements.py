"""Past placement in the graph: one call however many ask, and only what is within reach."""

from typing import Any

import pytest

from auth.principal import Principal
from fleet.model.objects import PodKey
from fleet.model.usage import NANOSECONDS
from fleet.model.visibility import Role, Scope
from tests.graph.conftest import NOW, SHOPPER, Graph, OpenGraph

AT = int(NOW - 600) * NANOSECONDS
AT_TIME = "2026-09-21T14:03:20Z"


def put(graph: Graph, namespace: str, name: str, node: str) -> None:
    graph.store.sightings[PodKey("c1", namespace, name), node] = [AT - 10 * NANOSECONDS, AT + 10 * NANOSECONDS]


async def test_pods_of_all_nodes_at_a_time_are_one_call(open_graph: OpenGraph) -> None:
    query = """query At($time: DateTime!) { nodes { items { name podsAt(time: $time) {
      cluster { name } namespace name nodeName since until pod { name usage { cpuCores } } node { ready } } } } }"""
    async with open_graph("c1", "c2") as graph:
        put(graph, "shop", "p0", "n1")
        put(graph, "shop", "gone", "n1")
        nodes = (await graph.ask(query, {"time": AT_TIME}))["nodes"]["items"]
        calls = [call.name for call in graph.store.calls]
    gone, still = nodes[0]["podsAt"]
    assert gone == {
        "cluster": {"name": "c1"},
        "namespace": "shop",
        "name": "gone",
        "nodeName": "n1",
        "since": "2026-09-21T14:03:10Z",
        "until": "2026-09-21T14:03:30Z",
        "pod": None,
        "node": {"ready": False},
    }
    assert still["pod"] == {"name": "p0", "usage": {"cpuCores": 0.05}}
    assert [len(node["podsAt"]) for node in nodes] == [2, 0, 0, 0]
    assert sorted(calls) == ["latest_pods", "pods_on_nodes"]


async def test_placements_of_a_page_are_one_call(open_graph: OpenGraph) -> None:
    query = '{ pods { items { name placements(last: "1h") { nodeName } } } }'
    async with open_graph("c1") as graph:
        put(graph, "shop", "p0", "n1")
        pods = (await graph.ask(query))["pods"]["items"]
        (call,) = graph.store.calls
    assert (call.name, len(call.keys)) == ("placements", 4)
    assert call.asked == {int(NOW - 3600) * NANOSECONDS, int(NOW) * NANOSECONDS}
    assert {pod["name"]: len(pod["placements"]) for pod in pods} == {"p0": 1, "p1": 0, "p2": 0, "p3": 0}


async def test_a_pod_that_is_gone_can_be_asked_for(open_graph: OpenGraph) -> None:
    query = '{ placements(cluster: "c1", namespace: "shop", pod: "gone") { nodeName pod { name } } }'
    async with open_graph("c1") as graph:
        put(graph, "shop", "gone", "n2")
        data = await graph.ask(query, who=SHOPPER)
    assert data == {"placements": [{"nodeName": "n2", "pod": None}]}


@pytest.mark.parametrize(
    ("question", "who", "code"),
    [
        ('placements(cluster: "c1", namespace: "ops", pod: "p1") { name }', SHOPPER, "FORBIDDEN"),
        ('placements(cluster: "c2", namespace: "shop", pod: "p0") { name }', SHOPPER, "NOT_FOUND"),
        ('placements(cluster: "nowhere", namespace: "shop", pod: "p0") { name }', SHOPPER, "NOT_FOUND"),
        ('placements(cluster: "c1", namespace: "shop", pod: "p0", last: "8d") { name }', SHOPPER, "BAD_USER_INPUT"),
        ('placements(cluster: "c1", namespace: "shop", pod: "p0", last: "0s") { name }', SHOPPER, "BAD_USER_INPUT"),
        (
            'node(cluster: "c1", name: "n1") { podsAt(time: "2027-01-01T00:00:00Z") { name } }',
            Principal("ann", Scope(Role.VIEW)),
            "BAD_USER_INPUT",
        ),
    ],
)
async def test_what_can_not_be_asked_is_refused(
    open_graph: OpenGraph, question: str, who: Principal, code: str
) -> None:
    async with open_graph("c1", "c2") as graph:
        error = await graph.fail(f"{{ {question} }}", who=who)
        assert graph.store.calls == []
    assert error["code"] == code


async def test_a_failing_store_makes_null_and_never_an_empty_list(open_graph: OpenGraph) -> None:
    async with open_graph("c1") as graph:
        graph.store.failure = "the store is away"
        result = await graph.execute("{ pods { items { placements { name } } } }")
    data: Any = result.data
    assert [pod["placements"] for pod in data["pods"]["items"]] == [None] * 4
    assert [(error.extensions or {})["code"] for error in result.errors or ()] == ["METRICS_UNAVAILABLE"]
