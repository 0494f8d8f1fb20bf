"""How long the loop stands still while 5,000 pods are asked for in a loop, as who asks for nearly nothing sees it."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from functools import partial
from itertools import repeat

import orjson

from bench.interleave import run_interleaved
from bench.load import Ask, run_load, time_answers
from bench.questions import Way
from bench.row import Row, amount, build_row
from bench.rows.pod_page import LARGE, MEMBERS, PLAIN, PODS, build_page, open_pages
from bench.servers import open_process

SECONDS = 2.0
"""How long each side is looked at in a round."""
GOAL = amount(10, "ms")


async def measure(rounds: int) -> list[Row]:
    """The longest answer to a request of no work, on a connection of its own, within a span of such queries."""
    async with open_pages(MEMBERS, PODS) as pages:
        server, anchor = pages.server, pages.anchor
        heavy = next(build_page(LARGE, PLAIN).iter_asks(Way.REMEMBERED, server))
        sides: dict[str, Callable[[], Awaitable[float]]] = {
            "ours": partial(_longest, heavy, Ask(f"{server.url}/healthz")),
            "anchor": partial(_longest, replace(heavy, url=anchor), Ask(f"{anchor}?query=%7B__typename%7D")),
        }
        samples = await run_interleaved(sides, rounds)
    ours, stock = ([second * 1000 for second in samples[side]] for side in ("ours", "anchor"))
    title = f"longest stall while {LARGE:,} pods are asked for in a loop"
    return [build_row(title, "ms", ours, stock, against="stock Strawberry and its router", goal=GOAL)]


async def _longest(heavy: Ask, light: Ask) -> float:
    async with _open_asking(heavy):
        await time_answers([light] * 3)
        return (await run_load(repeat(light), 1, SECONDS)).longest


@asynccontextmanager
async def _open_asking(ask: Ask) -> AsyncIterator[None]:
    async with open_process(sys.executable, "-m", "bench.children.keep_asking", stdin=asyncio.subprocess.PIPE) as child:
        assert child.stdin is not None
        given = {"url": ask.url, "headers": dict(ask.headers), "body": ask.body.decode()}
        child.stdin.write(orjson.dumps(given) + b"\n")
        await asyncio.sleep(0.5)  # it starts, and asks for the first time
        try:
            yield
        finally:
            assert child.returncode is None, "who asks for much has ended"
            child.terminate()
