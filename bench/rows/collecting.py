"""How long the loop stands still while usage is collected, and what a question costs just after readiness."""

import asyncio
import time
from collections.abc import Iterator
from itertools import repeat
from statistics import mean

from bench.load import Ask, run_load, time_answers
from bench.questions import Question, Way
from bench.row import Row, amount, build_row, within
from bench.servers import Simulated, open_server, open_simulated, wait_pods

MEMBERS, PODS = 6, 1_100
STARTS = 3
_ALL = MEMBERS * PODS
_INTERVAL = 3
"""Seconds between two rounds of the collector while it is looked at; a round takes as long every 15 s."""
_SPAN, _EVERY = 15.0, 0.1
_QUESTION = Question(
    """query ($n: Int = 1000) { pods(first: $n, filter: {phases: [RUNNING]}) {
      items { @name cluster { name } node { name zone } usage { cpuCores memoryBytes } } } }""",
    lambda number: {"n": 1_000 + number},
)


async def measure(rounds: int) -> list[Row]:
    """The longest answer to a request of no work while kubelets are read; 1,000 pods with usage from readiness on."""
    async with open_simulated(MEMBERS, PODS) as fleet:
        return [await _measure_stall(fleet, rounds), *await _measure_start(fleet, min(rounds, STARTS))]


async def _measure_stall(fleet: Simulated, rounds: int) -> Row:
    async with open_server(fleet.kubeconfig, {"OPENMCP_COLLECT_INTERVAL": str(_INTERVAL)}) as server:
        await wait_pods(server, _ALL)
        light = Ask(f"{server.url}/healthz")
        await time_answers([light] * 3)
        longest = [1000 * (await run_load(repeat(light), 1, _INTERVAL)).longest for _ in range(rounds)]
    title = f"longest stall while the usage of {_ALL:,} pods is collected and written"
    return build_row(title, "ms", longest, goal=amount(10, "ms"))


async def _measure_start(fleet: Simulated, starts: int) -> list[Row]:
    """Each start is a server's; its first seconds are compared with those that follow."""
    spans: list[tuple[list[float], list[float]]] = []
    for _ in range(starts):
        async with open_server(fleet.kubeconfig, {"OPENMCP_COLLECT_INTERVAL": "15s"}) as server:
            asks = _QUESTION.iter_asks(Way.VARIABLES, server)
            spans.append((await _ask_for(asks, _SPAN), await _ask_for(asks, _SPAN)))
    name = f"1,000 pods with usage, each {_EVERY:g} s in the first {_SPAN:g} s after readiness"
    return [
        build_row(
            f"{name}: {words}",
            "ms",
            [of(first) for first, _ in spans],
            [of(later) for _, later in spans],
            against=f"in the next {_SPAN:g} s",
            goal=within(1.5, "later"),
        )
        for words, of in (("mean", mean), ("slowest", max))
    ]


async def _ask_for(asks: Iterator[Ask], seconds: float) -> list[float]:
    """Milliseconds of each answer."""
    times: list[float] = []
    ends = time.perf_counter() + seconds
    while time.perf_counter() < ends:
        times.append(1000 * await time_answers([next(asks)]))
        await asyncio.sleep(_EVERY)
    return times
