"""Events of a member: what one costs that is kept, and what a member costs that has very many."""

import sys
from functools import partial

import msgspec

from bench.children.events import Cost
from bench.interleave import run_interleaved
from bench.row import Row, amount, build_row
from bench.servers import run_to_end
from bench.skipped import Skipped

KEPT = 2_000
LISTED = 100_000
MANY = 20_000
"""Kept at once, so that what an event takes is more than the noise."""


async def measure(rounds: int) -> list[Row]:
    """Raises Skipped where the system does not say what is resident."""
    if sys.platform != "linux":
        raise Skipped("needs Linux, which says in /proc how much memory is resident")
    sides = {"many": partial(_list, MANY, MANY), "long": partial(_list, LISTED, KEPT)}
    costs = await run_interleaved(sides, rounds)
    memory = [cost.rss_bytes / MANY for cost in costs["many"]]
    grown = [cost.rss_bytes / (1 << 20) for cost in costs["long"]]
    seconds = [cost.seconds for cost in costs["long"]]
    title = f"a member with {LISTED:,} events, {KEPT:,} kept"
    return [
        build_row("resident memory an event", "B", memory, (), goal=amount(1_000, "B")),
        build_row(f"{title}: until listed", "s", seconds, (), goal=amount(5, "s")),
        build_row(f"{title}: memory", "MiB", grown, (), goal=amount(8, "MiB")),
    ]


async def _list(listed: int, kept: int) -> Cost:
    return msgspec.json.decode(await run_to_end("-m", "bench.children.events", str(listed), str(kept)), type=Cost)
