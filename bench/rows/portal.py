"""The portal's pages for 10 clusters of 10 nodes: one GraphQL query each, against the REST calls it makes for them.

Both go through the same server. The REST side does what the portal does: the same calls in the same order, as many at
once as it has at once, and for each a new connection that speaks TLS, whose certificate it does not look at and whose
session it does not resume: the portals know the server by `https://` alone, and build a transport for each call. Ours
is asked in the same way, with one handshake for its one answer.

The members are simulated and answer at once, so that what is measured is the server and the calls. Real API servers
take longer: the original's pages took 1.30, 1.65 and 0.66 s with them.
"""

import asyncio
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

import orjson

from bench.interleave import run_interleaved
from bench.load import Ask, fetch
from bench.metric_data import fill_file, list_nodes
from bench.questions import Question, Way
from bench.row import Row, amount, build_row, times_better
from bench.servers import HOST_CONTEXT, PASSWORD, USER, Running, open_server, open_simulated, wait_pods
from realfleet.pki import build_cluster_files

MEMBERS = 10
NODES = 10
PODS = 50
CHANGES = 100
"""A second, over all members."""
CALLS = times_better(40, "fewer")
FASTER = times_better(20, "less")
TIME = amount(30, "ms")

_REST = "the portal's REST calls"
_NAMES = [f"cluster{number + 1}" for number in range(MEMBERS)]
_KUBEFED = "/apis/core.kubefed.io/v1beta1"
_CLUSTERS = "/apis/openmcp.k8s.io/v1alpha1/namespaces/openmcp/openmcpclusters"

_CLUSTER = "name role health joinStatus platform region zones"
_GROUPS = ("PHASE", "NAMESPACE", "NODE", "STATUS")
_DASHBOARD = f"""query ($n: Int = 100, $by: PodGroup! = PHASE) {{
  clusters {{ {_CLUSTER} podCounts(by: $by) {{ key count }}
    nodes(first: $n) {{ totalCount items {{ @name ready }} }} namespaces {{ name status }} }}
}}"""
_NODES = """query ($n: Int = 1000) { nodes(first: $n) { items {
  @name ready status roles region zone kubeletVersion osImage internalIP cluster { name }%s
  capacity { cpuCores memoryBytes pods } allocatable { cpuCores memoryBytes }
  usage { time cpuCores memoryBytes fsUsedBytes fsCapacityBytes networkReceiveBytesPerSecond }
  pods(first: 1) { totalCount }
} } }"""
_OVERVIEW = f"""query ($n: Int = 1) {{ clusters {{ {_CLUSTER} @version
  nodes(first: $n) {{ totalCount }} capacity {{ cpuCores memoryBytes }}
  usage {{ cpuCores memoryBytes fsUsedBytes networkReceiveBytesPerSecond }} }} }}"""

DASHBOARD = Question(_DASHBOARD, lambda number: {"n": 100 + number, "by": _GROUPS[number % len(_GROUPS)]})
NODES_PAGE, LABELLED_NODES = (
    Question(_NODES % more, lambda number: {"n": 1_000 + number}) for more in ("", " labels { key value }")
)
OVERVIEW = Question(_OVERVIEW, lambda number: {"n": 1 + number})


@dataclass(frozen=True)
class Page:
    """A page: the query, and the waves of calls; those of a wave are made at once."""

    name: str
    question: Question
    waves: Sequence[Sequence[str]]

    @property
    def title(self) -> str:
        return f"portal's {self.name}, {MEMBERS} clusters of {NODES} nodes"

    @property
    def calls(self) -> int:
        return sum(map(len, self.waves))


async def measure(rounds: int) -> list[Row]:
    """Calls and time of each page."""
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-"))
        files = build_cluster_files(Path(folder), "portal")
        more = {"OPENMCP_CLUSTER_SOURCE": "kubefed"}
        fleet = await stack.enter_async_context(open_simulated(MEMBERS, PODS, NODES))
        server = await stack.enter_async_context(open_server(fleet.kubeconfig, more, files))
        await wait_pods(server, MEMBERS * PODS)
        nodes = await list_nodes(server)
        await fill_file(server.usage_file, (), nodes)
        of_cluster = {name: [node.name for node in nodes if node.cluster == name] for name in _NAMES}
        assert all(len(names) == NODES for names in of_cluster.values()), of_cluster
        pages = build_pages(of_cluster)
        rows = {}
        for way in (Way.REMEMBERED, Way.VARIABLES, Way.NEW_TEXT, Way.CHURN):
            if way is Way.CHURN:
                await fleet.churn(CHANGES)
            rows[way] = [row for page in pages for row in await _compare(server, page, way, rounds)]
        calls = [build_row(f"{page.title}: calls", "", [1], [page.calls], against=_REST, goal=CALLS) for page in pages]
        return [*calls, *(row for way in Way for row in rows[way])]


async def _compare(server: Running, page: Page, way: Way, rounds: int) -> list[Row]:
    asks = page.question.iter_asks(way, server)
    answer = orjson.loads(await fetch(next(asks)))
    assert "errors" not in answer, answer["errors"][:1]
    waves = [[server.ask(path) for path in wave] for wave in page.waves]
    await load_waves(waves)
    sides = {"ours": partial(_time, asks), "anchor": partial(load_waves, waves)}
    samples = await run_interleaved(sides, rounds)
    ours, rest = ([second * 1000 for second in samples[side]] for side in ("ours", "anchor"))
    title = f"{page.title}: {way.value}"
    return [build_row(title, "ms", ours, rest, against=_REST, goal=goal) for goal in (FASTER, TIME)]


async def _time(asks: Iterator[Ask]) -> float:
    """The next answer, on a connection of its own, in seconds."""
    ask = next(asks)
    started = time.perf_counter()
    await fetch(ask)
    return time.perf_counter() - started


async def load_waves(waves: Sequence[Sequence[Ask]]) -> float:
    """All answers, each on a connection of its own and those of a wave at once, in seconds."""
    started = time.perf_counter()
    for wave in waves:
        await asyncio.gather(*map(fetch, wave))
    return time.perf_counter() - started


def build_pages(nodes: dict[str, list[str]]) -> list[Page]:
    token = [f"/token?username={USER}&password={PASSWORD}"]
    every = [_at("/api/v1/nodes", name) for name in _NAMES]
    listed = [_at(f"{_KUBEFED}/namespaces/kube-federation-system/kubefedclusters/{name}") for name in _NAMES]
    measured = [[_at(f"/metrics/nodes/{quote(node)}", name) for node in nodes[name]] for name in _NAMES]
    pods = [_at("/api/v1/pods", name) for name in _NAMES]
    namespaces = [_at("/api/v1/namespaces", name) for name in _NAMES]
    one_by_one = [[_at(f"{_CLUSTERS}/{name}")] for name in _NAMES]
    federated = [token, [_at(f"{_KUBEFED}/kubefedclusters")], *one_by_one, [*every, *pods, *namespaces]]
    of_nodes = [token, [_at(_CLUSTERS)], listed, [*every, *pods], *measured]
    return [
        Page("dashboard", DASHBOARD, federated),
        Page("nodes", NODES_PAGE, of_nodes),
        Page("nodes with labels", LABELLED_NODES, of_nodes),
        Page("clusters", OVERVIEW, [*of_nodes[:3], every, *measured]),
    ]


def _at(path: str, cluster: str = HOST_CONTEXT) -> str:
    return f"{path}?clustername={cluster}"
