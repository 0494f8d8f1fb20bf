"""Amounts that a field's type can't hold: null with an error at their place, the rest of the answer as ever."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from typing import Any

import orjson
import pytest

from fleet.model.kinds import NODES, PODS
from fleet.model.objects import NodeKey, PodKey
from graph.loading.context import Context
from graph.loading.loaders import build_loaders
from graph.schema import schema
from tests.fakes.kubernetes import Object, build_pod
from tests.fakes.waiting import until
from tests.graph.conftest import ADMIN, NOW, Graph, OpenGraph, build_node, build_usage
from tests.graph.subscriptions.serving import open_live

TOO_MUCH = "OUT_OF_RANGE"
POD = "name requests { cpuCores memoryBytes }"
QUERY = f"""{{ pods(orderBy: [{{ field: NAME }}]) {{ items {{ {POD} }} }}
  nodes(filter: {{ name: {{ eq: "n1" }} }}) {{ items {{
    capacity {{ memoryBytes pods }} requested {{ memoryBytes pods }} }} }}
  clusters {{ capacity {{ memoryBytes pods }} requested {{ memoryBytes }} usage {{ memoryBytes }} }} }}"""


def build_large(containers: int, each: str) -> Object:
    pod = build_pod("shop", "large")
    asked = {"requests": {"cpu": "1", "memory": each}}
    pod["spec"]["containers"] = [{"name": f"c{number}", "resources": asked} for number in range(containers)]
    return pod


async def put(graph: Graph, pod: Object) -> None:
    """Puts a pod into the cluster, and waits until it is known."""
    graph["c1"].put(pod)
    key = PodKey("c1", "shop", pod["metadata"]["name"])
    await until(lambda: graph.federation.get_cached(PODS, ADMIN.scope, key))


@pytest.fixture
async def graph(open_graph: OpenGraph) -> AsyncIterator[Graph]:
    """A pod of 24 EiB, a node for five billion pods, and two nodes that together use more than each can say."""
    async with open_graph("c1", pods=1) as opened:
        node = build_node("n1")
        node["status"]["capacity"] |= {"pods": "5G"}
        opened["c1"].put(node)
        await put(opened, build_large(3, "8Ei"))
        federation, key = opened.federation, NodeKey("c1", "n1")
        await until(lambda: (found := federation.get_cached(NODES, ADMIN.scope, key)) and found.capacity.pods != 110)
        for name in ("n1", "n2"):
            opened.store.known[NodeKey("c1", name)] = build_usage(1.0, 2**63 + 1)
        yield opened


def told(errors: Sequence[Any] | None) -> dict[str, str]:
    """The code of each error, by its path."""
    return {".".join(map(str, error.path)): error.extensions["code"] for error in errors or ()}


@pytest.mark.parametrize(("compiled", "encoded"), [(False, False), (True, False), (True, True)])
async def test_an_amount_beyond_its_type_is_null_and_the_rest_is_there(
    graph: Graph, compiled: bool, encoded: bool
) -> None:
    deadline = asyncio.get_running_loop().time() + 5
    loaders = build_loaders(graph.federation, ADMIN.scope, graph.store, now=NOW, deadline=deadline)
    context = Context(ADMIN, graph.federation, loaders, compiled=compiled, encoded=encoded)
    result = await schema.execute(QUERY, context_value=context)
    data = orjson.loads(orjson.dumps(result.data))
    assert data["pods"]["items"] == [
        {"name": "large", "requests": {"cpuCores": 3.0, "memoryBytes": None}},
        {"name": "p0", "requests": {"cpuCores": 0.1, "memoryBytes": 1 << 20}},
    ]
    (node,) = data["nodes"]["items"]
    assert node == {
        "capacity": {"memoryBytes": 8 << 30, "pods": None},
        "requested": {"memoryBytes": None, "pods": 2},
    }
    (cluster,) = data["clusters"]
    assert cluster["capacity"] == {"memoryBytes": 16 << 30, "pods": None}
    assert (cluster["requested"], cluster["usage"]) == ({"memoryBytes": None}, {"memoryBytes": None})
    assert told(result.errors) == dict.fromkeys(
        [
            "pods.items.0.requests.memoryBytes",
            "nodes.items.0.capacity.pods",
            "nodes.items.0.requested.memoryBytes",
            "clusters.0.capacity.pods",
            "clusters.0.requested.memoryBytes",
            "clusters.0.usage.memoryBytes",
        ],
        TOO_MUCH,
    )


async def test_the_largest_amounts_are_told_to_the_last_byte(open_graph: OpenGraph) -> None:
    async with open_graph("c1", pods=0) as graph:
        await put(graph, build_large(1, "18446744073709551615"))
        found = (await graph.ask(f"{{ pods {{ items {{ {POD} }} }} }}"))["pods"]["items"]
    assert found == [{"name": "large", "requests": {"cpuCores": 1.0, "memoryBytes": 2**64 - 1}}]


async def test_a_subscription_tells_it_and_goes_on() -> None:
    query = f"subscription {{ podEvents {{ type pod {{ {POD} }} }} }}"
    async with open_live("c1", pods=0) as live, live.ready(query) as socket:
        live["c1"].put(build_large(3, "8Ei"))
        first = await socket.next()
        live["c1"].put(build_large(1, "1Ei"))
        second = await socket.next()
    assert first["data"]["podEvents"]["pod"]["requests"] == {"cpuCores": 3.0, "memoryBytes": None}
    assert [(error["path"], error["extensions"]["code"]) for error in first["errors"]] == [
        (["podEvents", "pod", "requests", "memoryBytes"], TOO_MUCH)
    ]
    assert second == {
        "data": {
            "podEvents": {
                "type": "MODIFIED",
                "pod": {"name": "large", "requests": {"cpuCores": 1.0, "memoryBytes": 1 << 60}},
            }
        }
    }


async def test_restarts_beyond_the_counter_of_the_api_are_no_more_than_it(open_graph: OpenGraph) -> None:
    async with open_graph("c1", pods=1) as graph:
        pod = build_large(2, "1Mi")
        pod["status"]["containerStatuses"] = [
            {"name": f"c{number}", "restartCount": 2**31 - 1, "state": {"running": {}}} for number in range(2)
        ]
        await put(graph, pod)
        items = (await graph.ask("{ pods(orderBy: [{ field: NAME }]) { items { name restarts } } }"))["pods"]["items"]
    assert items == [{"name": "large", "restarts": 2**31 - 1}, {"name": "p0", "restarts": 0}]
