"""5,000 pods in memory: how long the first list takes, and what a pod costs."""

import sys
from functools import partial

import msgspec

from bench.children.load_cache import Cost
from bench.interleave import run_interleaved
from bench.row import Row, build_row
from bench.servers import open_simulated, run_to_end
from bench.skipped import Skipped

MEMBERS = 5
PODS = 1_000
_JSON = "dicts by json, same lists"
_MSGSPEC = "dicts by msgspec, same lists"


async def measure(rounds: int) -> list[Row]:
    """Time until all is in memory, CPU of the process that holds it, growth of its resident memory a pod.

    Raises Skipped where the system does not say what is resident.
    """
    if sys.platform != "linux":
        raise Skipped("needs Linux, which says in /proc how much memory is resident")
    async with open_simulated(MEMBERS, PODS) as fleet:
        sides = {way: partial(_load, way, str(fleet.kubeconfig)) for way in ("cache", "json", "msgspec")}
        costs = await run_interleaved(sides, rounds)
    counts = {cost.pods for side in costs.values() for cost in side}
    assert len(counts) == 1, f"the sides do not hold the same pods: {counts}"
    seconds = {way: [cost.seconds for cost in side] for way, side in costs.items()}
    cpu = {way: [cost.cpu_seconds for cost in side] for way, side in costs.items()}
    memory = {way: [cost.rss_bytes / cost.pods / 1024 for cost in side] for way, side in costs.items()}
    title = f"{MEMBERS * PODS:,} pods of {MEMBERS} members"
    return [
        build_row(f"{title}: until in memory", "s", seconds["cache"], seconds["json"], against=_JSON),
        build_row(f"{title}: CPU of the reader", "s", cpu["cache"], cpu["json"], against=_JSON),
        build_row(f"{title}: CPU of the reader", "s", cpu["cache"], cpu["msgspec"], against=_MSGSPEC),
        build_row("resident memory a pod", "KiB", memory["cache"], memory["json"], against=_JSON),
        build_row("resident memory a pod", "KiB", memory["cache"], memory["msgspec"], against=_MSGSPEC),
    ]


async def _load(way: str, kubeconfig: str) -> Cost:
    return msgspec.json.decode(await run_to_end("-m", "bench.children.load_cache", way, kubeconfig), type=Cost)
