"""Workers of one machine that share what one of them watches, beside workers that each watch for themselves."""

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass

from bench.changing import Changing, open_changing
from bench.row import Row, build_row
from bench.rows.workers import list_children, read_memory
from bench.servers import Running, open_server, wait_pods
from bench.shared_state import check_linux, open_nats, read_cpu, share

COUNTS = (2, 4)
MEMBERS, PODS = 10, 20_000
RATE, SECONDS, SETTLE_SECONDS = 1_000, 6.0, 1.0
WAYS: Mapping[str, Mapping[str, str]] = {
    "share one state": {},
    "share one state without manifests": {"OPENMCP_NATS_MANIFESTS": "false"},
}


@dataclass(frozen=True)
class _Side:
    """A server of several processes, and NATS where it has one; `watches` of members are its own."""

    server: Running
    pids: tuple[int, ...]
    watches: int

    def read_cpu(self) -> float:
        return sum(map(read_cpu, (*self.pids, *list_children(self.server.pid))))

    def read_memory(self) -> float:
        return sum(map(read_memory, self.pids))


async def measure(rounds: int) -> list[Row]:
    """All run all the time and see the same changes. Raises Skipped without a nats-server."""
    check_linux()
    async with open_changing(MEMBERS, PODS // MEMBERS) as fleet:
        return [row for count in COUNTS for row in await _compare(fleet, count, rounds)]


async def _compare(fleet: Changing, count: int, rounds: int) -> list[Row]:
    async with AsyncExitStack() as stack:
        sides = {"anchor": await _open(stack, fleet, count)}
        for way, settings in WAYS.items():
            nats = await stack.enter_async_context(open_nats())
            sides[way] = await _open(stack, fleet, count, {**share(nats), **settings}, (nats.process.pid,))
        costs: dict[str, list[float]] = {name: [] for name in sides}
        for _ in range(rounds):
            before = {name: side.read_cpu() for name, side in sides.items()}
            began = (await fleet.order(RATE)).changes
            await asyncio.sleep(SECONDS)
            changes = (await fleet.order(0)).changes - began
            await asyncio.sleep(SETTLE_SECONDS)
            for name, side in sides.items():
                costs[name].append((side.read_cpu() - before[name]) / changes * 1e6)
        memory = {name: [side.read_memory()] for name, side in sides.items()}
        watches = {name: [float(side.watches)] for name, side in sides.items()}
    return [
        build_row(f"{count} workers that {way}: {what}", unit, found[way], found["anchor"], against="each watches")
        for way in WAYS
        for what, unit, found in (
            (f"CPU a change of all processes, {RATE:,} a second", "us", costs),
            (f"memory of all processes, {PODS:,} pods", "MiB", memory),
            (f"watches of {MEMBERS} members", "", watches),
        )
    ]


async def _open(
    stack: AsyncExitStack,
    fleet: Changing,
    count: int,
    settings: Mapping[str, str] | None = None,
    pids: tuple[int, ...] = (),
) -> _Side:
    before = (await fleet.order(0)).watches
    environment = {"OPENMCP_WORKERS": str(count), **(settings or {})}
    server = await stack.enter_async_context(open_server(fleet.kubeconfig, environment))
    for _ in range(8 * count):  # whichever worker is reached
        await wait_pods(server, PODS)
    return _Side(server, (server.pid, *pids), (await fleet.order(0)).watches - before)
