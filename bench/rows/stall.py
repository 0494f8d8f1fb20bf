"""How long the loop stands still while 5,000 pods are asked for in a loop, as who asks for nearly nothing sees it."""

import asyncio
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import partial
from itertools import islice, repeat

import orjson

from bench.interleave import run_interleaved
from bench.load import Ask, run_load, time_answers
from bench.questions import Way
from bench.row import Row, amount, build_row
from bench.rows.pod_page import LARGE, MEMBERS, PODS, SHAPES, Pages, build_page, open_pages
from bench.servers import open_process

SECONDS = 2.0
"""How long each side is looked at in a round."""
GOAL = amount(10, "ms")

_ASKED = (("with cluster", Way.VARIABLES), ("with cluster", Way.NEW_TEXT), ("plain", Way.REMEMBERED))
_MOST = 500  # different requests: more than are answered in that time


async def measure(rounds: int) -> list[Row]:
    """The longest answer to a request of no work, on a connection of its own, within a span of such queries."""
    async with open_pages(MEMBERS, PODS) as pages:
        return [await _measure(pages, fields, way, rounds) for fields, way in _ASKED]


async def _measure(pages: Pages, fields: str, way: Way, rounds: int) -> Row:
    heavy = pages.build_sides(build_page(LARGE, SHAPES[fields]), way)
    sides: dict[str, Callable[[], Awaitable[float]]] = {
        "ours": partial(_longest, heavy["ours"], Ask(f"{pages.server.url}/healthz")),
        "anchor": partial(_longest, heavy["anchor"], Ask(f"{pages.anchor}?query=%7B__typename%7D")),
    }
    samples = await run_interleaved(sides, rounds)
    ours, stock = ([second * 1000 for second in samples[side]] for side in ("ours", "anchor"))
    title = f"longest stall while {LARGE:,} pods, {fields}, are asked for in a loop: {way.value}"
    return build_row(title, "ms", ours, stock, against="stock Strawberry and its router", goal=GOAL)


async def _longest(heavy: Iterator[Ask], light: Ask) -> float:
    async with _open_asking(list(islice(heavy, _MOST))):
        await time_answers([light] * 3)
        return (await run_load(repeat(light), 1, SECONDS)).longest


@asynccontextmanager
async def _open_asking(asks: Sequence[Ask]) -> AsyncIterator[None]:
    async with open_process(sys.executable, "-m", "bench.children.keep_asking", stdin=asyncio.subprocess.PIPE) as child:
        assert child.stdin is not None
        given = {"url": asks[0].url, "headers": dict(asks[0].headers), "bodies": [ask.body.decode() for ask in asks]}
        child.stdin.write(orjson.dumps(given) + b"\n")
        await asyncio.sleep(0.5)  # it starts, and asks for the first time
        try:
            yield
        finally:
            assert child.returncode is None, "who asks for much has ended"
            child.terminate()
