"""A replica starts: from the shared state, against listing the members; and what those notice of it."""

import time
from collections.abc import Mapping

from bench.changing import Changing, open_changing
from bench.interleave import run_interleaved
from bench.row import Row, amount, build_row, within
from bench.servers import open_server, wait_pods
from bench.shared_state import FOLLOWS, check_linux, open_nats, read_cpu, share

MEMBERS, PODS = 10, 100_000


async def measure(rounds: int) -> list[Row]:
    """Whole processes, until all is in memory. Raises Skipped without a nats-server or /proc."""
    check_linux()
    async with (
        open_nats() as nats,
        open_changing(MEMBERS, PODS // MEMBERS) as fleet,
        open_server(fleet.kubeconfig, share(nats)) as writer,
    ):
        await wait_pods(writer, PODS)
        settings = {"ours": share(nats) | FOLLOWS, "anchor": {}}
        sides = {name: lambda more=more: _start(fleet, more) for name, more in settings.items()}
        found = await run_interleaved(sides, rounds)
    title, against = f"a replica starts with {PODS:,} pods", "one that lists them"
    seconds, cpu, lists = ({name: [each[part] for each in found[name]] for name in found} for part in range(3))
    return [
        build_row(
            f"{title}: until in memory",
            "s",
            seconds["ours"],
            seconds["anchor"],
            against=against,
            goal=within(1, "listing"),
        ),
        build_row(f"{title}: CPU", "s", cpu["ours"], cpu["anchor"], against=against),
        build_row(
            f"{title}: lists that members see", "", lists["ours"], lists["anchor"], against=against, goal=amount(0, "")
        ),
    ]


async def _start(fleet: Changing, more: Mapping[str, str]) -> tuple[float, float, float]:
    """Seconds, seconds of CPU, and lists that members were asked for."""
    lists, began = (await fleet.order(0)).lists, time.perf_counter()
    async with open_server(fleet.kubeconfig, more) as server:
        await wait_pods(server, PODS)
        seconds, cpu = time.perf_counter() - began, read_cpu(server.pid)
        return seconds, cpu, (await fleet.order(0)).lists - lists
