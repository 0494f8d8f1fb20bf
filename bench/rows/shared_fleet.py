"""300,000 pods of 100 members in one follower, beside a process that lists them: memory, start, pages.

Members answer from the process that lists, so that its start is without any network, and no goal for the other's.
"""

import asyncio
import sys
from asyncio.subprocess import PIPE
from collections.abc import Callable
from functools import partial
from statistics import median

from bench.children.large_fleet import Times
from bench.interleave import run_interleaved
from bench.row import Goal, Row, build_row, within
from bench.rows.large_fleet import time_questions
from bench.servers import StartError, open_process
from bench.shared_state import check_linux, open_nats

MEMBERS, PODS = 100, 300_000
_QUESTIONS = 5
_SECONDS = 300.0


async def measure(rounds: int) -> list[Row]:
    """Raises Skipped without a nats-server, or where the system does not say what is resident."""
    check_linux()
    size = (MEMBERS, PODS // MEMBERS)
    async with open_nats() as nats:
        command = ("-m", "bench.children.large_fleet", "write", *map(str, size), nats.url)
        async with open_process(sys.executable, *command, stdin=PIPE) as writer:
            assert writer.stdout is not None
            if not await asyncio.wait_for(writer.stdout.readline(), _SECONDS):
                raise StartError("the writer of a large fleet ended")
            ask = partial(time_questions, *size, _QUESTIONS)
            times = await run_interleaved({"ours": partial(ask, nats.url), "anchor": ask}, rounds)
    title = f"a follower of {PODS:,} pods of {MEMBERS} members"
    parts: tuple[tuple[str, str, Callable[[Times], float], Goal | None], ...] = (
        ("memory a pod", "B", lambda found: found.rss_bytes / found.pods, within(1.1, "the other's")),
        ("until in memory", "s", lambda found: found.sync_seconds, None),
        ("filtered page", "ms", partial(_median, "filtered"), within(1.1, "the other's")),
        ("100 by usage", "ms", partial(_median, "ranked"), within(1.1, "the other's")),
        ("all in pages of 10,000", "ms", partial(_median, "all"), within(1.1, "the other's")),
    )
    return [
        build_row(
            f"{title}: {name}",
            unit,
            *([part(found) for found in times[side]] for side in ("ours", "anchor")),
            against="a process that lists them from its own memory",
            goal=goal,
        )
        for name, unit, part, goal in parts
    ]


def _median(name: str, found: Times) -> float:
    return median(found.samples[name]) * 1000
