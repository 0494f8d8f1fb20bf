"""Pods over HTTP as people ask for them: ours in front of a simulated fleet, against stock Strawberry with the same."""

import sys
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import orjson

from bench.interleave import run_interleaved
from bench.load import Ask, fetch, time_next
from bench.metric_data import fill_file, list_pods
from bench.questions import Question, Way, count_near
from bench.row import Goal, Row, amount, build_row, times_better
from bench.rows.portal import DASHBOARD
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

GOALS = {1: (6, None), 100: (20, 5), 1_000: (30, None), LARGE: (60, 20)}
"""How many times faster than stock so many pods are to be: by a text that was asked before, and by a new one."""
TIMES = {1: 40, 20: 5, 100: 12, 1_000: 4, LARGE: 3}
"""How often so many pods are asked for in a round; stock is asked a quarter of it."""

_TEXTS = 40
_GROWTH = f"memory of {_TEXTS} texts for {LARGE:,} pods, asked three times each"


@dataclass(frozen=True)
class Pages:
    """Our server with all pods and their usage, the URL of the anchor with the same, and the pods."""

    fleet: Simulated
    server: Running
    anchor: str
    pods: Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Subject:
    """A question for so many pods. One whose goal is an amount is asked without stock beside."""

    title: str
    size: int
    question: Question
    most: Goal | None = None

    def name_row(self, way: Way) -> str:
        return f"{self.title}: {way.value}"

    def find_goal(self, way: Way) -> Goal | None:
        """What an answer is to take, asked so."""
        if self.most is not None:
            return self.most
        limit = GOALS[self.size][way is Way.NEW_TEXT]
        return times_better(limit, "stock") if limit else None


async def measure(rounds: int, only: str = "") -> list[Row]:
    """Time of one answer, one after the other on one connection, and memory after many texts.

    With `only` it is rows with these words in their names.
    """
    async with open_pages(MEMBERS, PODS) as pages:
        memory = [await _measure_memory(pages.server)] if only in _GROWTH else []
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
        await fill_file(server.usage_file, keys, points=2)
        asked = build_page(10_000, f"{PLAIN} {CLUSTER} {NODE} {LABELS} {USAGE}").iter_asks(Way.REMEMBERED, server)
        records = orjson.loads(await fetch(next(asked)))["data"]["pods"]["items"]
        yield Pages(fleet, server, await stack.enter_async_context(_open_anchor(records)), records)


@asynccontextmanager
async def _open_anchor(records: Sequence[Mapping[str, Any]]) -> AsyncIterator[str]:
    """The anchor's URL, serving these records."""
    (port,) = list_free_ports(1)
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        file = Path(folder) / "pods.json"
        file.write_bytes(orjson.dumps(records))
        arguments = ("-m", "bench.children.stock_graph", str(file), str(port))
        async with open_process(sys.executable, *arguments) as process:
            url = f"http://{LOOPBACK}:{port}/graphql"
            await wait_answer(process, Ask(f"{url}?query=%7B__typename%7D"))
            yield url


def build_subjects(pods: Sequence[Mapping[str, Any]]) -> list[Subject]:
    return [
        *(
            Subject(f"one pod by its name, {shape}", 1, _build_one(pods, fields))
            if size == 1
            else Subject(f"{size:,} pods, {shape}", size, build_page(size, fields))
            for size in (1, 100, LARGE)
            for shape, fields in SHAPES.items()
        ),
        Subject(
            "1,000 running pods with cluster, node and usage",
            1_000,
            build_page(1_000, f"{CLUSTER} @name {NODE} {USAGE}", ", filter: {phases: [RUNNING]}"),
        ),
        Subject(
            f"top 20 of {MEMBERS * PODS:,} by percent of memory limit",
            20,
            build_page(20, f"{CLUSTER} @name usage {{ memoryPercent }}", _BY_PERCENT),
            amount(4, "ms"),
        ),
        Subject(f"dashboard of {MEMBERS} clusters", 100, DASHBOARD, amount(2, "ms")),
    ]


def _build_one(pods: Sequence[Mapping[str, Any]], fields: str) -> Question:
    def name(pod: Mapping[str, Any]) -> dict[str, str]:
        return {"cluster": pod["cluster"]["name"], "namespace": pod["namespace"], "name": pod["name"]}

    kept = next(pod for pod in pods if pod["name"] == DOCUMENTED_POD)
    declared = ", ".join(f'${part}: String! = "{value}"' for part, value in name(kept).items())
    arguments = ", ".join(f"{part}: ${part}" for part in name(kept))
    return Question(
        f"query ({declared}) {{ pod({arguments}) {{ {fields} }} }}", lambda number: name(pods[number % len(pods)])
    )


async def _measure(pages: Pages, subject: Subject, way: Way, rounds: int) -> Row:
    asks = {"ours": subject.question.iter_asks(way, pages.server)}
    counts = {"ours": TIMES[subject.size]}
    if subject.most is None:
        asks["anchor"] = subject.question.iter_asks(way, pages.server, pages.anchor)
        counts["anchor"] = max(1, counts["ours"] // 4)
    answers = [await fetch(next(side)) for side in asks.values()]
    check_same(answers, exactly=way is not Way.CHURN)
    sides = {side: partial(time_next, asks[side], counts[side]) for side in asks}
    samples = await run_interleaved(sides, rounds)
    ours, stock = ([second * 1000 for second in samples.get(side, ())] for side in ("ours", "anchor"))
    against = "stock Strawberry and its router" if stock else ""
    return build_row(subject.name_row(way), "ms", ours, stock, against=against, goal=subject.find_goal(way))


def check_same(answers: Sequence[bytes], *, exactly: bool = True) -> None:
    """All say the same, up to the order of keys, spaces and escapes; or about as much, where pods are being changed."""
    said = [orjson.loads(answer) for answer in answers]
    assert not any("errors" in answer for answer in said), said[0].get("errors", "the anchor has errors")
    plain = [orjson.dumps(answer["data"], option=orjson.OPT_SORT_KEYS) for answer in said]
    if exactly:
        assert len(set(plain)) == 1, "the anchor answers something else"
    assert min(map(len, plain)) > 0.9 * max(map(len, plain)), "the anchor answers less, or more"


async def _measure_memory(server: Running) -> Row:
    """How much the server grows by many texts, each of them asked until it is known."""
    page = build_page(LARGE, PLAIN)
    asks = replace(page, text=f"query Grow{page.text.removeprefix('query ')}").iter_asks(Way.NEW_TEXT, server)
    await fetch(next(asks))
    before = read_memory(server.pid)
    for ask in islice(asks, _TEXTS):
        for _ in range(3):
            await fetch(ask)
    grown = read_memory(server.pid) - before
    return build_row(_GROWTH, "MiB", [grown], goal=amount(64, "MiB"))
