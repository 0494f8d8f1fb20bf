"""1,000 pods with 8 fields, as fast as one caller and 16 at once ask for them: the form in which peers are measured."""

from collections.abc import Iterator, Mapping
from functools import partial

from bench.interleave import run_interleaved
from bench.load import Ask, fetch, run_load
from bench.questions import Way
from bench.row import Row, build_row
from bench.rows.pod_page import build_page, check_same, open_pages

PODS = 1_000
PAGE = build_page(PODS, "namespace @name uid phase status restarts createdAt nodeName")
CALLERS = (1, 16)
SECONDS = 0.6
"""How long each side is asked in a round."""


async def measure(rounds: int) -> list[Row]:
    """Lists a second, of half of a member's pods."""
    rows = []
    async with open_pages(1, 2 * PODS) as pages:
        for way in (Way.VARIABLES, Way.NEW_TEXT, Way.REMEMBERED):
            asks = pages.build_sides(PAGE, way)
            check_same([await fetch(next(side)) for side in asks.values()])
            rows += [await _measure(asks, callers, way, rounds) for callers in CALLERS]
    return rows


async def _measure(asks: Mapping[str, Iterator[Ask]], callers: int, way: Way, rounds: int) -> Row:
    sides = {side: partial(run_load, asks[side], callers, SECONDS) for side in asks}
    samples = await run_interleaved(sides, rounds)
    ours, stock = ([load.rate for load in samples[side]] for side in ("ours", "anchor"))
    title = f"{PODS:,} pods, 8 fields, {callers} caller{'s' * (callers > 1)}: {way.value}"
    return build_row(title, "/s", ours, stock, against="stock Strawberry and its router", higher_is_better=True)
