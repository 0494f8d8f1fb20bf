"""Texts of objects: when they are kept, what they are told apart by, and what they may take."""

import itertools
import os
import subprocess
import sys
from collections.abc import AsyncIterator
from functools import partial
from typing import Any

import orjson
import pytest

from auth.principal import Principal
from fleet.model.kinds import NODES, PODS
from fleet.model.objects import NodeKey, PodKey
from graph.compiled import encoded
from graph.compiled.encoded import EncodedBudget
from graph.compiled.executor import CompiledExecutor
from graph.loading.context import Context
from graph.loading.loaders import build_loaders
from graph.schema import schema
from tests.fakes.kubernetes import Object, build_plain, build_pod
from tests.fakes.waiting import until
from tests.graph.conftest import ADMIN, NOW, SHOPPER, Graph, OpenGraph

_NAMES = itertools.count()


def new_text(first: int = 100) -> str:
    """A text that was never asked before."""
    return f"{{ pods(first: {first}) {{ items {{ a{next(_NAMES)}: name namespace node {{ name zone }} }} }} }}"


def build_node(zone: str) -> Object:
    node = build_plain("Node", "n1")
    node["metadata"]["labels"] = {"topology.kubernetes.io/zone": zone}
    return node


async def ask(graph: Graph, text: str, who: Principal = ADMIN) -> Any:
    loaders = build_loaders(graph.federation, who.scope, graph.store, now=NOW, deadline=1e12)
    result = await schema.execute(text, context_value=Context(who, graph.federation, loaders, encoded=True))
    assert not result.errors
    return orjson.loads(orjson.dumps(result.data))["pods"]["items"]


def is_in_zone(graph: Graph, zone: str) -> bool:
    node = graph.federation.get_cached(NODES, ADMIN.scope, NodeKey("c1", "n1"))
    return node is not None and node.zone == zone


@pytest.fixture
async def graph(open_graph: OpenGraph, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Graph]:
    monkeypatch.setattr(CompiledExecutor, "budget", EncodedBudget())
    async with open_graph("c1", pods=0) as graph:
        graph["c1"].put(build_node("z1"))
        for number in range(5):
            graph["c1"].put(build_pod("shop", f"p{number}"))
        await until(lambda: graph.federation.count_objects(ADMIN.scope).pods("c1", None, None) == 5)
        await until(lambda: is_in_zone(graph, "z1"))
        yield graph


async def test_a_list_is_kept_from_the_second_time_on(graph: Graph) -> None:
    text, budget = new_text(), CompiledExecutor.budget
    first = await ask(graph, text)
    assert budget.used == 0
    assert await ask(graph, text) == first
    kept = budget.used
    assert kept > 5 * 200
    assert await ask(graph, text) == first
    assert budget.used == kept


async def test_what_pods_share_is_told_to_each_caller_as_it_is_to_him(graph: Graph) -> None:
    text = new_text()
    for _ in range(3):
        assert {item["node"]["name"] for item in await ask(graph, text)} == {"n1"}
        assert {item["node"] for item in await ask(graph, text, SHOPPER)} == {None}


async def test_a_change_of_what_pods_share_is_seen_in_all_of_them(graph: Graph) -> None:
    text = new_text()
    for _ in range(3):
        await ask(graph, text)
    graph["c1"].put(build_node("z9"))

    async def is_seen() -> bool:
        return {item["node"]["zone"] for item in await ask(graph, text)} == {"z9"}

    await until(is_seen)


def are_labelled(graph: Graph, value: str) -> bool:
    keys = [PodKey("c1", "shop", f"p{place}") for place in range(5)]
    pods = [graph.federation.get_cached(PODS, ADMIN.scope, key) for key in keys]
    return all(pod is not None and dict(pod.labels).get("n") == value for pod in pods)


@pytest.mark.parametrize("at_once", [5, 2])
async def test_texts_of_objects_that_changed_are_let_go(
    graph: Graph, monkeypatch: pytest.MonkeyPatch, at_once: int
) -> None:
    monkeypatch.setattr(encoded, "AT_ONCE", at_once)
    text, budget = new_text(), CompiledExecutor.budget
    for _ in range(2):
        await ask(graph, text)
    a_pod = budget.used / 5
    assert a_pod
    for number in range(20):
        for place in range(5):
            graph["c1"].put(build_pod("shop", f"p{place}", n=str(number)))
        await until(partial(are_labelled, graph, str(number)))
        await ask(graph, text)
        assert budget.used < 20 * a_pod


_FILL = """
import asyncio, gc, sys
from bench.children.load_cache import read_rss
from bench.memory_fleet import MemorySource
from tests.graph.compiled.test_encoded import new_text, ask
from fleet.registry import FleetOptions, open_federation

class Asked:
    store = None

async def main():
    async with open_federation(MemorySource(2, 2500), FleetOptions(fresh_seconds=3600)) as federation:
        await federation.wait_synced(60)
        asked = Asked()
        asked.federation = federation
        for _ in range(2):
            await ask(asked, new_text(5000))
        before = read_rss()
        for _ in range(60):
            text = new_text(5000)
            for _ in range(TIMES):
                await ask(asked, text)
        print((read_rss() - before) >> 20)

asyncio.run(main())
"""


@pytest.mark.parametrize(("times", "most"), [(1, 24), (3, 64 + 24)])
def test_many_texts_over_many_pods_leave_no_more_than_their_bound_behind(times: int, most: int) -> None:
    script = _FILL.replace("TIMES", str(times))
    grown = subprocess.run([sys.executable, "-c", script], env=os.environ, capture_output=True, timeout=300, check=True)
    assert int(grown.stdout) < most
