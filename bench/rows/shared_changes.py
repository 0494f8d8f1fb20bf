"""Changes that reach a follower through the shared state: how late, how old its answers get, and what they cost it."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from statistics import median

import aiohttp
import orjson
from msgspec import Struct

from bench.changing import Changing, open_changing
from bench.children.changing_fleet import read_clock
from bench.live_clients import Question, Subscriber, follow
from bench.load import fetch
from bench.row import Row, amount, build_row, within
from bench.servers import Running, open_server, wait_pods, wait_until
from bench.shared_state import (
    FOLLOWS,
    Replicas,
    check_linux,
    open_nats,
    open_replicas,
    read_cpu,
    read_resident,
    share,
)
from fleet.aio.tasks import open_task
from realfleet.nats import NatsServer

MEMBERS, PODS = 5, 5_000
LATE_RATE, LATE_SECONDS = 500, 5.0
COST_RATE, COST_SECONDS = 1_000, 8.0
LONG_RATE, LONG_SECONDS, SETTLED_SECONDS = 2_000, 60.0, 20.0
_QUESTION = Question("all", {}, "id name restarts")
_EVERY = 0.1  # seconds between two looks at how old answers are
_WRITER = "a subscriber of the writer, same changes"
_ALONE = "a server that watches by itself, same changes"


async def measure(rounds: int) -> list[Row]:
    """Raises Skipped without a nats-server, or where the system does not say what a process takes."""
    check_linux()
    async with open_nats() as nats, open_changing(MEMBERS, PODS // MEMBERS) as fleet:
        async with open_replicas(fleet.kubeconfig, nats, PODS) as replicas:
            rows = [*await _measure_delay(fleet, replicas, rounds), *await _measure_cost(fleet, replicas, rounds)]
        return [*rows, *await _measure_long(fleet, nats)]


async def _measure_delay(fleet: Changing, replicas: Replicas, rounds: int) -> list[Row]:
    found: dict[str, list[list[float]]] = {"follower": [], "writer": []}
    async with (
        _subscribed(replicas.follower) as ours,
        _subscribed(replicas.writer) as anchor,
    ):
        for _ in range(rounds):
            for delays in (ours, anchor):
                delays.clear()
            async with _changing(fleet, LATE_RATE):
                await asyncio.sleep(LATE_SECONDS)
            found["follower"].append(sorted(ours))
            found["writer"].append(sorted(anchor))
    title = f"a change until a subscriber of a follower has it, {LATE_RATE} a second"
    parts: tuple[tuple[str, Callable[[list[float]], float], float], ...] = (
        ("half of them", median, 50),
        ("99 % of them", _longest_of_most, 250),
    )
    return [
        build_row(
            f"{title}: {words}",
            "ms",
            *([part(delays) for delays in found[side]] for side in ("follower", "writer")),
            against=_WRITER,
            goal=amount(goal, "ms"),
        )
        for words, part, goal in parts
    ]


def _longest_of_most(ordered: list[float], part: float = 0.99) -> float:
    return ordered[math.ceil(len(ordered) * part) - 1]


@asynccontextmanager
async def _subscribed(server: Running) -> AsyncIterator[list[float]]:
    """How late each change was told, in milliseconds, once the subscriber was told of all there is."""
    delays: list[float] = []
    subscriber = Subscriber(_QUESTION, "ws")
    async with aiohttp.ClientSession() as session:

        async def run() -> None:
            await follow(server, subscriber, session)

        async def has_all() -> bool:
            return len(subscriber.state) == PODS

        async with open_task("subscriber", run):
            await wait_until(has_all, "a subscriber has all pods")
            subscriber.on_event = lambda event: delays.append((read_clock() - event["pod"]["restarts"]) / 10)
            yield delays
            assert not subscriber.wrong, subscriber.wrong[:3]


@asynccontextmanager
async def _changing(fleet: Changing, rate: float) -> AsyncIterator[None]:
    await fleet.order(rate)
    try:
        yield
    finally:
        await fleet.order(0)


async def _measure_cost(fleet: Changing, replicas: Replicas, rounds: int) -> list[Row]:
    servers = {"ours": replicas.follower, "anchor": replicas.alone, "writer": replicas.writer}
    costs: dict[str, list[float]] = {name: [] for name in servers}
    for _ in range(rounds):
        before = {name: read_cpu(server.pid) for name, server in servers.items()}
        began = (await fleet.order(COST_RATE)).changes
        await asyncio.sleep(COST_SECONDS)
        changes = (await fleet.order(0)).changes - began
        await _wait_same(replicas.follower, replicas.alone)
        for name, server in servers.items():
            costs[name].append((read_cpu(server.pid) - before[name]) / changes * 1e6)
    title = f"CPU a change, {COST_RATE:,} a second"
    return [
        build_row(
            f"{title}: of a follower",
            "us",
            costs["ours"],
            costs["anchor"],
            against=_ALONE,
            goal=within(1, "the other's"),
        ),
        build_row(f"{title}: of the writer", "us", costs["writer"], costs["anchor"], against=_ALONE),
    ]


async def _wait_same(one: Running, other: Running) -> None:
    async def is_same() -> bool:
        query = "{ pods(first: 10000) { items { id restarts } } }"
        return await fetch(one.ask_graph(query)) == await fetch(other.ask_graph(query))

    await wait_until(is_same, "a follower has what another has")


class _Looked(Struct):
    """What was seen of a server under a long load: the oldest member of each answer, how often one was not OK, MiB."""

    server: Running
    ages: list[float] = []
    not_ok: int = 0
    settled: float = 0.0
    after: float = 0.0

    async def look(self) -> None:
        ask = self.server.ask_graph("{ pods(first: 0) { clusters { state ageSeconds } } }")
        clusters = orjson.loads(await fetch(ask))["data"]["pods"]["clusters"]
        self.ages.append(max(each["ageSeconds"] for each in clusters))
        self.not_ok += any(each["state"] != "OK" for each in clusters)
        self.after = read_resident(self.server.pid) / (1 << 20)


async def _measure_long(fleet: Changing, nats: NatsServer) -> list[Row]:
    """Of a follower and its writer: that one's ages are of the same machine at the same time."""
    async with AsyncExitStack() as stack:
        writer = _Looked(await stack.enter_async_context(open_server(fleet.kubeconfig, share(nats))))
        follower = _Looked(await stack.enter_async_context(open_server(fleet.kubeconfig, share(nats) | FOLLOWS)))
        both = (follower, writer)
        for each in both:
            await wait_pods(each.server, PODS)
        async with _changing(fleet, LONG_RATE):
            began = time.monotonic()
            while (passed := time.monotonic() - began) < LONG_SECONDS:
                for each in both:
                    await each.look()
                    if passed > SETTLED_SECONDS and not each.settled:
                        each.settled = each.after
                await asyncio.sleep(_EVERY)
        await _wait_same(follower.server, writer.server)
    title = f"{LONG_RATE:,} changes a second for {LONG_SECONDS:g} s"
    ages = [sorted(each.ages) for each in both]
    against = "the writer, at the same time"
    later = f"after {SETTLED_SECONDS:g} s"
    return [
        *(
            build_row(f"{title}: {words}", "s", *([part(each)] for each in ages), against=against, goal=amount(2, "s"))
            for words, part in (
                ("oldest answer of a follower", max),
                ("99.9 % of a follower's answers", partial(_longest_of_most, part=0.999)),
            )
        ),
        build_row(
            f"{title}: answers in which a member is not OK",
            "%",
            [100 * follower.not_ok / len(follower.ages)],
            goal=amount(0, "%"),
        ),
        *(
            build_row(
                f"{title}: memory of the {name}",
                "MiB",
                [each.after],
                [each.settled],
                against=later,
                goal=within(1.05, later),
            )
            for name, each in (("writer", writer), ("follower", follower))
        ),
    ]
