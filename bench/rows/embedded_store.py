"""The metric file: a week of a fleet in it, a page's history out of it, and what collecting into it takes."""

import asyncio
import sys
import tempfile
import time
from asyncio.subprocess import PIPE
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import msgspec

from bench.children.collecting import Cost
from bench.interleave import run_interleaved
from bench.kubelet_series import Habit
from bench.load import fetch, time_next
from bench.metric_data import list_pods
from bench.questions import Question, Way
from bench.row import Row, amount, build_row, within
from bench.servers import StartError, open_process, open_server, open_simulated, run_to_end
from bench.week import DAYS, Filled, fill_week
from fleet.metrics.embedded.store import EmbeddedOptions, open_embedded_store
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import NANOSECONDS, Point

PODS, NODES = 5_000, 200
CHARTED, PART = 100, 50
"""A page of pods, and which part of the fleet is written: each series is stored for itself, so the rest is as large."""
MEMBERS, MEMBER_NODES, NODE_PODS = 6, 50, 100
_ROW_BYTES = 78.6
_A_DAY = 86_400 // 15
_CLUSTER = "cluster1"
_HISTORY = """query ($last: Duration = "%s") { pods(first: 100, filter: {clusters: ["cluster1"]}) {
  items { namespace name history(last: $last, step: "%s") { @start cpuCores memoryBytes } } } }"""
_HOUR = Question(_HISTORY % ("1h", "1m"), lambda number: {"last": f"{3600 - number % 60}s"})
_WEEK = Question(_HISTORY % ("168h", "170m"), lambda number: {"last": f"{168 * 60 - number % 60}m"})


async def measure(rounds: int) -> list[Row]:
    """Sizes are of one file each: they hardly differ from time to time."""
    return [
        *await _measure_week(rounds),
        *await _measure_worst(),
        *await _measure_writes(rounds),
        *await _measure_collecting(rounds),
    ]


async def _measure_week(rounds: int) -> list[Row]:
    async with open_simulated(1, CHARTED) as fleet:
        async with open_server(fleet.kubeconfig) as server:
            pods = await list_pods(server, _CLUSTER)
        with tempfile.TemporaryDirectory(prefix="bench-") as folder:
            path = Path(folder) / "usage.sqlite"
            filled = await fill_week(path, pods, _nodes(len(pods) * NODES // PODS))
            async with open_server(fleet.kubeconfig, {"OPENMCP_EMBEDDED_FILE": str(path)}) as server:
                asks = {name: of.iter_asks(Way.VARIABLES, server) for name, of in (("week", _WEEK), ("hour", _HOUR))}
                for each in asks.values():
                    _check_charted(await fetch(next(each)), len(pods))
                times = await run_interleaved(
                    {name: partial(time_next, each, 3) for name, each in asks.items()}, rounds
                )
    week, hour = ([1000 * each for each in times[name]] for name in ("week", "hour"))
    series = len(pods) + len(pods) * NODES // PODS
    return [
        _build_size("what kubelets say", filled, series),
        build_row(
            "bytes a pod and day, 7 days in the file",
            "B",
            [filled.bytes / series / DAYS],
            [_ROW_BYTES * _A_DAY],
            against="a row a point, as before",
        ),
        build_row(
            "CPU of sealing half an hour of 1,000 pods (30,000: a fifth of a core)",
            "ms",
            [filled.cpu_seconds / series * 1e6],
            goal=amount(12_000, "ms"),
        ),
        build_row(
            f"history of {CHARTED} pods, 60 steps of 7 days",
            "ms",
            week,
            hour,
            against="60 steps of an hour",
            goal=within(2, "an hour's"),
        ),
    ]


async def _measure_worst() -> list[Row]:
    count = PODS // PART // 4
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        pods = [PodKey(_CLUSTER, "ns", f"pod-{number}") for number in range(count)]
        filled = await fill_week(Path(folder) / "usage.sqlite", pods, [], Habit.RANDOM)
    return [_build_size("every value random", filled, count)]


def _build_size(what: str, filled: Filled, series: int) -> Row:
    size = filled.bytes / series * (PODS + NODES) / 2**20
    title = f"7 days of {PODS:,} pods and {NODES} nodes, {what} (from {series} series)"
    return build_row(title, "MiB", [size], goal=amount(512, "MiB"))


def _nodes(count: int) -> list[NodeKey]:
    return [NodeKey(_CLUSTER, f"node-{number}") for number in range(count)]


def _check_charted(body: bytes, pods: int) -> None:
    items = msgspec.json.decode(body)["data"]["pods"]["items"]
    assert len(items) == pods
    for item in items:
        assert sum(value is not None for value in item["history"]["cpuCores"]) >= 45, item


async def _measure_writes(rounds: int) -> list[Row]:
    rows = []
    for count in (5_000, 30_000):
        taken = await _time_writes([PodKey(_CLUSTER, "ns", f"pod-{number}") for number in range(count)], rounds)
        rows.append(build_row(f"a round of {count:,} pods: until in the file", "ms", taken, goal=amount(15_000, "ms")))
    return rows


async def _time_writes(pods: Sequence[PodKey], rounds: int) -> list[float]:
    now, taken = int(time.time()), []
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        async with open_embedded_store(EmbeddedOptions(Path(folder) / "usage.sqlite")) as store:
            for number in range(rounds + 1):
                moment = (now - 15 * (rounds - number)) * NANOSECONDS
                point = Point(moment, 0.25, *[4096 * number] * 8, node="n1")  # type: ignore[misc,arg-type]  # eight of nine
                points = [(pod, point) for pod in pods]
                began = time.perf_counter()
                await store.write(points)
                taken.append(1000 * (time.perf_counter() - began))
    return taken[1:]


async def _measure_collecting(rounds: int) -> list[Row]:
    """Kubelets are in another process, which shares the cores."""
    pods = MEMBERS * MEMBER_NODES * NODE_PODS
    sizes = [str(size) for size in (MEMBERS, MEMBER_NODES, NODE_PODS)]
    async with open_process(sys.executable, "-m", "bench.children.kubelets", *sizes, stdin=PIPE) as process:
        assert process.stdout is not None
        line = (await asyncio.wait_for(process.stdout.readline(), 60)).decode().strip()
        if not line:
            raise StartError("the kubelets ended before they answered")
        points = str(pods + MEMBERS * MEMBER_NODES)
        costs = msgspec.json.decode(
            await run_to_end("-m", "bench.children.collecting", line, points, str(rounds)), type=list[Cost]
        )
    title = f"a round of {pods:,} pods of {MEMBERS * MEMBER_NODES} kubelets: until in the file"
    return [
        build_row(title, "s", [cost.seconds for cost in costs], goal=amount(15, "s")),
        build_row(
            "CPU of the collector for 1,000 pods, a round",
            "ms",
            [cost.cpu_seconds / pods * 1e6 for cost in costs],
            goal=amount(500, "ms"),
        ),
    ]
