"""Pods over HTTP as people ask for them: ours in front of a simulated fleet, against stock Strawberry with the same."""

import sys
import tempfile
from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from bench.interleave import run_interleaved
from bench.load import Ask, fetch, time_next
from bench.metric_data import fill_file, list_nodes, list_pods
from bench.questions import Question, Way, count_near
from bench.row import Goal, Row, amount, build_row, times_better
from bench.rows.portal import DASHBOARD, LABELLED_NODES, NODES_PAGE, OVERVIEW
from bench.rows.workers import read_memory
from bench.servers import (
    LOOPBACK,
    Running,
    Simulated,
    open_process,
    open_server,
    open_simulated,
    wait_answer,
    wait_pods,
)
from demo.simulator.population import DOCUMENTED_POD
from realfleet.ports import list_free_ports

MEMBERS = 6
PODS = 1_100
CHANGES = 100
"""A second, over all members."""

LARGE = 5_000
PLAIN = "__typename id namespace name @uid phase status ready restarts createdAt nodeName podIP hostIP qosClass"
CLUSTER, NODE, LABELS, USAGE = (
    "cluster { name }",
    "node { name zone }",
    "labels { key value }",
    "usage { cpuCores memoryBytes }",
)
SHAPES = {
    "plain": PLAIN,
    "with cluster": f"{PLAIN} {CLUSTER}",
    "with cluster and node": f"{PLAIN} {CLUSTER} {NODE}",
    "with labels": f"{PLAIN} {LABELS}",
    "with usage": f"{PLAIN} {USAGE}",
}
_BY_PERCENT = ", orderBy: [{usage: MEMORY_PERCENT, direction: DESC}]"

_RESOURCES = "{ cpu_cores: cpuCores memory_bytes: memoryBytes pods }"
_MEASURED = """{ time cpu_cores: cpuCores memory_bytes: memoryBytes fs_used_bytes: fsUsedBytes
  fs_capacity_bytes: fsCapacityBytes network_receive_bytes_per_second: networkReceiveBytesPerSecond }"""
_RECORDS = f"""{{
  pods(first: 10000) {{ items {{ id namespace name uid phase status ready restarts created_at: createdAt
    node_name: nodeName pod_ip: podIP host_ip: hostIP qos_class: qosClass {LABELS} place: {CLUSTER}
    measured: usage {_MEASURED} }} }}
  nodes(first: 1000) {{ items {{ name ready status roles region zone kubelet_version: kubeletVersion
    os_image: osImage internal_ip: internalIP {LABELS} place: {CLUSTER} capacity {_RESOURCES}
    allocatable {_RESOURCES} usage {_MEASURED} }} }}
  clusters {{ name role health join_status: joinStatus platform region zones version namespaces {{ name status }}
    capacity {_RESOURCES} usage {_MEASURED} }}
}}"""
"""All that the anchor is given, by its own names."""

SIZES = {1: (40, 6, None), 100: (12, 20, 5), 1_000: (4, 30, None), LARGE: (3, 60, 20)}
"""How often so many pods are asked for in a round (stock a quarter of it), and how many times faster than stock they
are to be by a text that was asked before, and by a new one."""

_TEXTS = 40
_GROWTH = f"memory of {_TEXTS} texts for {LARGE:,} pods, asked three times each"


@dataclass(frozen=True)
class Pages:
    """Our server with all pods and their usage, the URL of the anchor with the same, and the pods."""

    fleet: Simulated
    server: Running
    anchor: str
    pods: Sequence[Mapping[str, Any]]

    def build_sides(self, question: Question, way: Way) -> dict[str, Iterator[Ask]]:
        """The question asked of both."""
        urls = {"ours": None, "anchor": self.anchor}
        return {side: question.iter_asks(way, self.server, url) for side, url in urls.items()}


@dataclass(frozen=True)
class Subject:
    """A question, how often it is asked in a round, and its goals by a text that was asked before, and by a new one."""

    title: str
    question: Question
    times: int = 5
    known: Goal | None = None
    new: Goal | None = None
    has_anchor: bool = True

    def name_row(self, way: Way) -> str:
        return f"{self.title}: {way.value}"


async def measure(rounds: int, only: str = "") -> list[Row]:
    """Time of one answer, one after the other on one connection, and memory after many texts.

    With `only` it is rows with these words in their names.
    """
    async with open_pages(MEMBERS, PODS) as pages:
        memory = [await _measure_memory(pages.fleet)] if only in _GROWTH else []
        subjects = build_subjects(pages.pods)
        rows = {}
        for way in (Way.REMEMBERED, Way.VARIABLES, Way.NEW_TEXT, Way.CHURN):
            if way is Way.CHURN:
                await pages.fleet.churn(CHANGES)
            asked = [subject for subject in subjects if only in subject.name_row(way)]
            rows[way] = [await _measure(pages, subject, way, rounds) for subject in asked]
        return [*(row for way in Way for row in rows[way]), *memory]


def build_page(size: int, fields: str, only: str = "") -> Question:
    """A page of so many pods; `only` are more arguments."""
    text = f"query ($n: Int = {size}) {{ pods(first: $n{only}) {{ items {{ {fields} }} }} }}"
    return Question(text, lambda number: {"n": count_near(size, number)})


@asynccontextmanager
async def open_pages(members: int, pods: int) -> AsyncIterator[Pages]:
    """Members of so many pods each, and both sides in front of them."""
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(open_simulated(members, pods))
        server = await stack.enter_async_context(open_server(fleet.kubeconfig))
        await wait_pods(server, members * pods)
        keys = [key for number in range(members) for key in await list_pods(server, f"cluster{number + 1}")]
        await fill_file(server.usage_file, keys, await list_nodes(server), points=2)
        found = orjson.loads(await fetch(server.ask_graph(_RECORDS)))["data"]
        records = found | {kind: found[kind]["items"] for kind in ("pods", "nodes")}
        yield Pages(fleet, server, await stack.enter_async_context(_open_anchor(records)), records["pods"])


@asynccontextmanager
async def _open_anchor(records: Mapping[str, Any]) -> AsyncIterator[str]:
    """The anchor's URL, serving these records."""
    (port,) = list_free_ports(1)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder) / "records.json"
        file.write_bytes(orjson.dumps(records))
        arguments = ("-m", "bench.children.stock_graph", str(file), str(port))
        async with open_process(sys.executable, *arguments) as process:
            url = f"http://{LOOPBACK}:{port}/graphql"
            await wait_answer(process, Ask(f"{url}?query=%7B__typename%7D"))
            yield url


def build_subjects(pods: Sequence[Mapping[str, Any]]) -> list[Subject]:
    """All questions, of these pods."""
    running = build_page(1_000, f"{CLUSTER} @name {NODE} {USAGE}", ", filter: {phases: [RUNNING]}")
    top = build_page(
        20, f"{CLUSTER} @name usage {{ memoryPercent }}", ", orderBy: [{usage: MEMORY_PERCENT, direction: DESC}]"
    )
    short, shorter = amount(4, "ms"), amount(2, "ms")
    return [
        *(
            _build_subject(f"one pod by its name, {shape}", 1, _build_one(pods, fields))
            if size == 1
            else _build_subject(f"{size:,} pods, {shape}", size, build_page(size, fields))
            for size in (1, 100, LARGE)
            for shape, fields in SHAPES.items()
        ),
        _build_subject("1,000 running pods with cluster, node and usage", 1_000, running),
        Subject(f"top 20 of {MEMBERS * PODS:,} by percent of memory limit", top, 5, short, short, has_anchor=False),
        Subject(f"dashboard of {MEMBERS} clusters", DASHBOARD, 5, shorter, shorter),
        Subject(f"nodes of {MEMBERS} clusters", NODES_PAGE),
        Subject(f"nodes of {MEMBERS} clusters, with labels", LABELLED_NODES),
        Subject(f"overview of {MEMBERS} clusters", OVERVIEW),
    ]


def _build_subject(title: str, size: int, question: Question) -> Subject:
    times, known, new = SIZES[size]
    return Subject(title, question, times, times_better(known, "stock"), times_better(new, "stock") if new else None)


def _build_one(pods: Sequence[Mapping[str, Any]], fields: str) -> Question:
    def name(pod: Mapping[str, Any]) -> dict[str, str]:
        return {"cluster": pod["place"]["name"], "namespace": pod["namespace"], "name": pod["name"]}

    kept = next(pod for pod in pods if pod["name"] == DOCUMENTED_POD)
    declared = ", ".join(f'${part}: String! = "{value}"' for part, value in name(kept).items())
    arguments = ", ".join(f"{part}: ${part}" for part in name(kept))
    return Question(
        f"query ({declared}) {{ pod({arguments}) {{ {fields} }} }}", lambda number: name(pods[number % len(pods)])
    )


async def _measure(pages: Pages, subject: Subject, way: Way, rounds: int) -> Row:
    asks = pages.build_sides(subject.question, way)
    counts = {"ours": subject.times, "anchor": max(1, subject.times // 4)}
    if not subject.has_anchor:
        del asks["anchor"]
    answers = [await fetch(next(side)) for side in asks.values()]
    check_same(answers, exactly=way is not Way.CHURN)
    sides = {side: partial(time_next, asks[side], counts[side]) for side in asks}
    samples = await run_interleaved(sides, rounds)
    ours, stock = ([second * 1000 for second in samples.get(side, ())] for side in ("ours", "anchor"))
    against = "stock Strawberry and its router" if stock else ""
    goal = subject.new if way is Way.NEW_TEXT else subject.known
    return build_row(subject.name_row(way), "ms", ours, stock, against=against, goal=goal)


def check_same(answers: Sequence[bytes], *, exactly: bool = True) -> None:
    """All say the same, up to the order of keys, spaces and escapes; or about as much, where pods are being changed."""
    said = [orjson.loads(answer) for answer in answers]
    assert not any("errors" in answer for answer in said), said[0].get("errors", "the anchor has errors")
    plain = [orjson.dumps(answer["data"], option=orjson.OPT_SORT_KEYS) for answer in said]
    if exactly:
        assert len(set(plain)) == 1, "the anchor answers something else"
    assert min(map(len, plain)) > 0.9 * max(map(len, plain)), "the anchor answers less, or more"


async def _measure_memory(fleet: Simulated) -> Row:
    """How much a server of its own grows by many texts, each of them asked until it is known."""
    async with open_server(fleet.kubeconfig) as server:
        await wait_pods(server, MEMBERS * PODS)
        asks = build_page(LARGE, PLAIN).iter_asks(Way.NEW_TEXT, server)
        await fetch(next(asks))
        before = read_memory(server.pid)
        for ask in islice(asks, _TEXTS):
            for _ in range(3):
                await fetch(ask)
        grown = read_memory(server.pid) - before
    return build_row(_GROWTH, "MiB", [grown], goal=amount(64, "MiB"))
