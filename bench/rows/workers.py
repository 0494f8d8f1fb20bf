"""Several workers against one, for mixed queries: answers a second, the slowest, and memory."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from functools import partial
from itertools import cycle
from pathlib import Path

from bench.interleave import run_interleaved
from bench.load import Load, run_load
from bench.row import Row, build_row
from bench.rows.mixed import CLIENTS, MEMBERS, PODS, SECONDS, build_asks
from bench.servers import open_server, open_simulated
from bench.skipped import Skipped

COUNTS = (1, 2, 4)


async def measure(rounds: int) -> list[Row]:
    """All servers run all the time; each is loaded in turn. Raises Skipped where memory can't be read."""
    if sys.platform != "linux":
        raise Skipped("needs Linux, which says in /proc how much memory processes share")
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(open_simulated(MEMBERS, PODS))
        servers = {
            count: await stack.enter_async_context(open_server(fleet.kubeconfig, {"OPENMCP_WORKERS": str(count)}))
            for count in COUNTS
        }
        sides: dict[str, Callable[[], Awaitable[Load]]] = {}
        for count, server in servers.items():
            sides[str(count)] = partial(run_load, cycle(await build_asks(server)), CLIENTS, SECONDS)
            await sides[str(count)]()
        loads = await run_interleaved(sides, rounds)
        memory = {count: await asyncio.to_thread(read_memory, server.pid) for count, server in servers.items()}
    return [row for count in COUNTS[1:] for row in _build_rows(count, loads, memory)]


def _build_rows(count: int, loads: Mapping[str, Sequence[Load]], memory: Mapping[int, float]) -> list[Row]:
    title = f"{CLIENTS} clients, mixed queries, {count} workers"
    ours, one = loads[str(count)], loads["1"]
    rates = [load.rate for load in ours], [load.rate for load in one]
    slowest = [load.p99 * 1000 for load in ours], [load.p99 * 1000 for load in one]
    return [
        build_row(f"{title}: rate", "/s", *rates, against="one worker", higher_is_better=True),
        build_row(f"{title}: p99", "ms", *slowest, against="one worker"),
        build_row(f"{title}: memory in all", "MiB", [memory[count]], [memory[1]], against="one worker"),
    ]


def read_memory(pid: int) -> float:
    """What a process and those it started have in memory, in MiB; what several share counts once.

    Source: proc(5), the proportional set size of smaps_rollup.
    """
    total = 0
    for each in (pid, *list_children(pid)):
        lines = Path(f"/proc/{each}/smaps_rollup").read_text().splitlines()
        total += next(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def list_children(pid: int) -> list[int]:
    """The processes that it has started. Source: proc(5)."""
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
