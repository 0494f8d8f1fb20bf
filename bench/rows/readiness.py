"""How soon a server knows its fleet, and what a member that hangs costs those who ask."""

import asyncio
import time
from contextlib import AsyncExitStack
from functools import partial

import orjson

from bench.load import fetch, time_answers
from bench.row import Row, amount, build_row
from bench.servers import Running, open_server, open_simulated, wait_until
from demo.child import ChildFleet, open_child_fleet

MEMBERS = 10
PODS = 1_000
READY_SECONDS = 5.0
MEMBER_TIMEOUT = 5.0
"""The server's default; a goal of it and 0.1 s more."""

_QUERY = "{ pods(first: 100) { totalCount clusters { name state } items { name namespace phase } } }"
_ILL = "cluster1"
_PAGES = 30


async def measure(rounds: int) -> list[Row]:
    """From the start of the process until all is in memory; the longest answer while a member hangs, and after."""
    return [await _measure_start(rounds), *await _measure_hanging(rounds)]


async def _measure_start(rounds: int) -> Row:
    seconds: list[float] = []
    async with open_simulated(MEMBERS, PODS) as fleet:
        for _ in range(rounds):
            began = time.perf_counter()
            async with open_server(fleet.kubeconfig) as server:
                await wait_until(partial(_holds, server, MEMBERS * PODS), "all pods are in memory")
                seconds.append(time.perf_counter() - began)
    title = f"{MEMBERS} members of {PODS:,} pods: start to all in memory"
    return build_row(title, "s", seconds, goal=amount(READY_SECONDS, "s"))


async def _measure_hanging(rounds: int) -> list[Row]:
    longest: list[float] = []
    well: list[float] = []
    cut_off: list[float] = []
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(open_child_fleet(3, 100))
        server = await stack.enter_async_context(open_server(fleet.kubeconfig))
        for _ in range(rounds):
            await wait_until(partial(_is, server, "OK"), f"{_ILL} is well")
            well.append(await _time_page(server))
            longest.append(await _time_longest(fleet, server))
            cut_off.append(await _time_page(server))
            await fleet.set_fault(_ILL, "resume")
    return [
        build_row("a member hangs: longest answer", "s", longest, goal=amount(MEMBER_TIMEOUT + 0.1, "s")),
        build_row("a member is cut off: page of 100", "ms", cut_off, well, against="all members well"),
    ]


async def _time_longest(fleet: ChildFleet, server: Running) -> float:
    """The longest answer from the moment a member hangs until its breaker has cut it off."""
    await fleet.set_fault(_ILL, "hang")
    longest, state = 0.0, "OK"
    while state != "UNREACHABLE":
        began = time.perf_counter()
        state = await _state(server)
        longest = max(longest, time.perf_counter() - began)
        await asyncio.sleep(0.02)
    return longest


async def _time_page(server: Running) -> float:
    """Milliseconds of a page, the median."""
    return 1000 * await time_answers([server.ask_graph(_QUERY)] * _PAGES)


async def _is(server: Running, state: str) -> bool:
    return await _state(server) == state


async def _state(server: Running) -> str:
    answer = orjson.loads(await fetch(server.ask_graph(_QUERY)))
    states = {outcome["name"]: outcome["state"] for outcome in answer["data"]["pods"]["clusters"]}
    return str(states[_ILL])


async def _holds(server: Running, pods: int) -> bool:
    answer = orjson.loads(await fetch(server.ask_graph("{ pods(first: 1) { totalCount } }")))
    return bool(answer["data"]["pods"]["totalCount"] >= pods)
