"""1,000 users of 10 members, where members decide what a user sees: what asking about all costs, and what after it."""

import sys
from functools import partial

import msgspec

from bench.children.grants import Cost
from bench.interleave import run_interleaved
from bench.row import Row, amount, build_row
from bench.servers import run_to_end
from bench.skipped import Skipped

USERS = 1_000
MEMBERS = 10
NAMESPACES = 20


async def measure(rounds: int) -> list[Row]:
    """Members answer at once from this process. Raises Skipped where the system does not say what is resident."""
    if sys.platform != "linux":
        raise Skipped("needs Linux, which says in /proc how much memory is resident")
    sides = {"everywhere": partial(_ask, 0), "namespaces": partial(_ask, NAMESPACES)}
    costs = await run_interleaved(sides, rounds)
    everywhere, limited = costs["everywhere"], costs["namespaces"]
    title = f"rights of {USERS:,} users in {MEMBERS} members"
    again = [cost.again_seconds * 1e6 for cost in everywhere]
    kept = [cost.user_bytes / 1024 for cost in limited]
    inside = f"{title}, in 2 of {NAMESPACES} namespaces"
    return [
        build_row(f"{title}: CPU", "s", [cost.seconds for cost in everywhere], (), goal=amount(5, "s")),
        build_row(f"{inside}: CPU", "s", [cost.seconds for cost in limited], (), goal=amount(15, "s")),
        build_row(f"{inside}: memory each", "KiB", kept, (), goal=amount(64, "KiB")),
        build_row(f"{title}: CPU of a known user's request", "us", again, (), goal=amount(50, "us")),
    ]


async def _ask(namespaces: int) -> Cost:
    output = await run_to_end("-m", "bench.children.grants", *map(str, (USERS, MEMBERS, namespaces)))
    return msgspec.json.decode(output, type=Cost)
