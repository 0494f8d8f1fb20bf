"""The portal's pages for 10 clusters of 10 nodes: one GraphQL query each, against the REST calls it makes for them.

Both go through the same server. The REST side does what the portal does: the same calls in the same order, as many at
once as it has at once, and a new connection for each.
"""

import asyncio
import time
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from urllib.parse import quote

import orjson

from bench.interleave import run_interleaved
from bench.load import Ask, fetch
from bench.metric_data import fill_file, list_nodes
from bench.row import Row, amount, build_row, times_better
from bench.rows.pod_page import wait_pods
from bench.servers import HOST_CONTEXT, PASSWORD, USER, Running, open_server, open_simulated

MEMBERS = 10
NODES = 10
PODS = 50
CALLS = times_better(40, "fewer")
FASTER = times_better(20, "less")
TIME = amount(30, "ms")

_REST = "the portal's REST calls"
_NAMES = [f"cluster{number + 1}" for number in range(MEMBERS)]
_KUBEFED = "/apis/core.kubefed.io/v1beta1"
_CLUSTERS = "/apis/openmcp.k8s.io/v1alpha1/namespaces/openmcp/openmcpclusters"

_CLUSTER = "name role health joinStatus platform region zones"
_DASHBOARD = f"""{{
  clusters {{ {_CLUSTER} podCounts(by: PHASE) {{ key count }}
    nodes(first: 100) {{ totalCount items {{ name ready }} }} namespaces {{ name status }} }}
}}"""
_NODES = """{ nodes(first: 1000) { items {
  name ready status roles region zone kubeletVersion osImage internalIP cluster { name }
  capacity { cpuCores memoryBytes pods } allocatable { cpuCores memoryBytes }
  usage { time cpuCores memoryBytes fsUsedBytes fsCapacityBytes networkReceiveBytesPerSecond }
  pods(first: 1) { totalCount }
} } }"""
_OVERVIEW = f"""{{ clusters {{ {_CLUSTER} version
  nodes(first: 1) {{ totalCount }} capacity {{ cpuCores memoryBytes }}
  usage {{ cpuCores memoryBytes fsUsedBytes networkReceiveBytesPerSecond }} }} }}"""


@dataclass(frozen=True)
class Page:
    """A page: the query, and the waves of calls; those of a wave are made at once."""

    name: str
    query: str
    waves: Sequence[Sequence[str]]

    @property
    def calls(self) -> int:
        return sum(map(len, self.waves))


async def measure(rounds: int) -> list[Row]:
    """Calls and time of each page."""
    more = {"OPENMCP_CLUSTER_SOURCE": "kubefed"}
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(open_simulated(MEMBERS, PODS, NODES))
        server = await stack.enter_async_context(open_server(fleet.kubeconfig, more))
        await wait_pods(server, MEMBERS * PODS)
        nodes = await list_nodes(server)
        await fill_file(server.usage_file, (), nodes)
        of_cluster = {name: [node.name for node in nodes if node.cluster == name] for name in _NAMES}
        assert all(len(names) == NODES for names in of_cluster.values()), of_cluster
        rows = []
        for page in _build_pages(of_cluster):
            rows += await _compare(server, page, rounds)
        return rows


async def _compare(server: Running, page: Page, rounds: int) -> list[Row]:
    ask = server.ask_graph(page.query)
    answer = orjson.loads(await fetch(ask))
    assert "errors" not in answer, answer["errors"][:1]
    await _load_page(server, page)
    sides = {"ours": partial(_time, ask), "anchor": partial(_load_page, server, page)}
    samples = await run_interleaved(sides, rounds)
    ours, rest = ([second * 1000 for second in samples[side]] for side in ("ours", "anchor"))
    title = f"portal's {page.name}, {MEMBERS} clusters of {NODES} nodes"
    return [
        build_row(f"{title}: calls", "", [1], [page.calls], against=_REST, goal=CALLS),
        build_row(f"{title}: time", "ms", ours, rest, against=_REST, goal=FASTER),
        build_row(f"{title}: time", "ms", ours, rest, against=_REST, goal=TIME),
    ]


async def _time(ask: Ask) -> float:
    """One answer on a connection of its own, in seconds."""
    started = time.perf_counter()
    await fetch(ask)
    return time.perf_counter() - started


async def _load_page(server: Running, page: Page) -> float:
    started = time.perf_counter()
    for wave in page.waves:
        await asyncio.gather(*(fetch(server.ask(path)) for path in wave))
    return time.perf_counter() - started


def _build_pages(nodes: dict[str, list[str]]) -> list[Page]:
    token = [f"/token?username={USER}&password={PASSWORD}"]
    every = [_at("/api/v1/nodes", name) for name in _NAMES]
    listed = [_at(f"{_KUBEFED}/namespaces/kube-federation-system/kubefedclusters/{name}") for name in _NAMES]
    measured = [[_at(f"/metrics/nodes/{quote(node)}", name) for node in nodes[name]] for name in _NAMES]
    pods = [_at("/api/v1/pods", name) for name in _NAMES]
    namespaces = [_at("/api/v1/namespaces", name) for name in _NAMES]
    one_by_one = [[_at(f"{_CLUSTERS}/{name}")] for name in _NAMES]
    return [
        Page(
            "dashboard",
            _DASHBOARD,
            [token, [_at(f"{_KUBEFED}/kubefedclusters")], *one_by_one, [*every, *pods, *namespaces]],
        ),
        Page("nodes", _NODES, [token, [_at(_CLUSTERS)], listed, [*every, *pods], *measured]),
        Page("clusters", _OVERVIEW, [token, [_at(_CLUSTERS)], listed, every, *measured]),
    ]


def _at(path: str, cluster: str = HOST_CONTEXT) -> str:
    return f"{path}?clustername={cluster}"
