"""`make soak`: subscribers, queries, legacy calls and watches, while pods churn and members fall ill in turn.

No error but of a member that is ill. At the end every subscriber must hold what a fresh query gives, and that must be
what the API servers themselves list; no object was doubled or missed on the way, the server's memory is flat, and when
all have left no descriptor, thread or task is. Ends with code 1 where that is not so.
"""

import argparse
import asyncio
import random
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from typing import Any

import aiohttp
import orjson
import uvloop

from bench.live_clients import ILL, Question, Subscriber, ask_now, follow, now
from bench.servers import Running, load_tokens, open_process, open_server
from bench.soak_callers import Callers, Left, Memory, Owing, count_left

QUESTIONS = (
    Question("all pods", {}),
    Question("one namespace", {"namespaces": ["default"]}),
    Question("a label", {"labelSelector": "soak in (a,b)"}),
    Question("one cluster", {"clusters": ["cluster2"]}),
    Question("names alone", {"name": {"startsWith": "soak-"}}, "id namespace name cluster { name }"),
)
FAULTS = (
    ("hang", "resume", 12.0),
    ("drop_watches", "clear", 0.0),
    ("fail", "clear", 6.0),
    ("expire_versions", "clear", 0.0),
    ("refuse", "clear", 6.0),
    ("garble", "clear", 6.0),
    ("slow", "clear", 10.0),
    ("mute_watches", "clear", 12.0),
)
MAX_GROWTH = 1.05
"""Of the server's memory, from its second quarter to its last."""

_LEAVE_SECONDS = 100.0
"""Connections to members are kept for a minute after their last use."""

_FLAT_MINUTES = 2
"""A shorter run is all warm-up."""
_SETTLE_SECONDS = 30.0
_START_SECONDS = 60.0


@dataclass
class Fleet:
    """Simulated members in a process, which takes commands on its input."""

    process: Process
    kubeconfig: Path
    urls: dict[str, str]
    tokens: dict[str, str] = field(repr=False)

    @property
    def members(self) -> list[str]:
        return [name for name in self.urls if name != "openmcp"]

    async def command(self, cluster: str, fault: str) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(orjson.dumps({"cluster": cluster, "fault": fault}) + b"\n")
        await self.process.stdin.drain()
        answer = await asyncio.wait_for(self.process.stdout.readline(), _START_SECONDS)
        assert answer == b"ok\n", answer


@asynccontextmanager
async def open_fleet(members: int, pods: int) -> AsyncIterator[Fleet]:
    command = ("-m", "demo.simulator", f"--clusters={members}", f"--pods={pods}", "--churn=1e9")
    async with open_process(sys.executable, *command, stdin=PIPE) as process:
        assert process.stdout is not None
        started = orjson.loads(await asyncio.wait_for(process.stdout.readline(), _START_SECONDS))
        kubeconfig = Path(started["kubeconfig"])
        yield Fleet(process, kubeconfig, started["clusters"], load_tokens(kubeconfig))


class Churn:
    """Makes, changes and deletes pods of one member through its API."""

    def __init__(self, fleet: Fleet, cluster: str, session: aiohttp.ClientSession, seconds: float) -> None:
        self.changes = 0
        self._url = f"{fleet.urls[cluster]}/api/v1/namespaces/default/pods"
        self._headers = {"Authorization": f"Bearer {fleet.tokens[cluster]}"}
        self._session = session
        self._seconds = seconds
        self._random = random.Random(cluster)

    async def run(self) -> None:
        while True:
            await asyncio.sleep(self._seconds * self._random.uniform(0.2, 1.8))
            with suppress(aiohttp.ClientError, TimeoutError):
                async with asyncio.timeout(2.0):
                    self.changes += await self._change(f"soak-{self._random.randrange(40)}")

    async def _change(self, name: str) -> bool:
        labels = {"soak": self._random.choice("abc"), "turn": str(self._random.randrange(1000))}
        match self._random.randrange(5):
            case 0 | 1:
                body = {
                    "apiVersion": "v1",
                    "kind": "Pod",
                    "metadata": {"name": name, "labels": labels},
                    "spec": {"containers": [{"name": "c", "image": "none"}]},
                    "status": {"phase": "Pending"},  # a real API server says so itself
                }
                return await self._send("POST", self._url, body)
            case 2 | 3:
                return await self._send("PATCH", f"{self._url}/{name}", {"metadata": {"labels": labels}})
            case _:
                return await self._send("DELETE", f"{self._url}/{name}?gracePeriodSeconds=0", None)

    async def _send(self, method: str, url: str, body: Any) -> bool:
        kind = "application/merge-patch+json" if method == "PATCH" else "application/json"
        headers = {**self._headers, "Content-Type": kind}
        data = None if body is None else orjson.dumps(body)
        async with self._session.request(method, url, data=data, headers=headers) as answer:
            await answer.read()
            return answer.status < 300


async def fall_ill(fleet: Fleet, every: float, owing: Owing) -> None:
    """One member after the other has one fault after the other."""
    for number in range(10_000):
        await asyncio.sleep(every)
        fault, end, seconds = FAULTS[number % len(FAULTS)]
        cluster = fleet.members[number % len(fleet.members)]
        owing.begin(cluster)
        await fleet.command(cluster, fault)
        try:
            await asyncio.sleep(seconds)
        finally:
            await fleet.command(cluster, end)
            owing.end(cluster)


async def list_truth(fleet: Fleet, session: aiohttp.ClientSession) -> set[tuple[str, str, str]]:
    """Cluster, namespace and name of every pod, as the API servers list them."""
    found = set()
    for cluster, url in fleet.urls.items():
        headers = {"Authorization": f"Bearer {fleet.tokens[cluster]}"}
        async with session.get(f"{url}/api/v1/pods", headers=headers) as answer:
            items = (await answer.json())["items"]
        found |= {(cluster, item["metadata"]["namespace"], item["metadata"]["name"]) for item in items}
    return found


async def settle(
    fleet: Fleet, server: Running, subscribers: list[Subscriber], session: aiohttp.ClientSession
) -> list[str]:
    """Waits until all subscribers hold what a fresh query gives; what is still different then."""
    deadline = now() + _SETTLE_SECONDS
    while True:
        truth = await list_truth(fleet, session)
        fresh = {question.name: await ask_now(server, question, session) for question in QUESTIONS}
        pods = [pod for key, pod in fresh["all pods"].items() if key != ILL]
        everything = {(pod["cluster"]["name"], pod["namespace"], pod["name"]) for pod in pods}
        different = [one for one in subscribers if one.state != fresh[one.question.name]]
        if everything == truth and not different:
            return []
        if now() > deadline:
            problems = [f"{one.transport}, {one.question.name}: not the state of a fresh query" for one in different]
            return problems + _compare(everything, truth)
        await asyncio.sleep(0.5)


def _compare(everything: set[tuple[str, str, str]], truth: set[tuple[str, str, str]]) -> list[str]:
    surplus, lacking = sorted(everything - truth), sorted(truth - everything)
    if not surplus and not lacking:
        return []
    counts = f"{len(surplus)} more, {len(lacking)} less: {(surplus + lacking)[:3]}"
    return [f"a fresh query is not what the API servers list: {counts}"]


async def soak(minutes: float, count: int, *, members: int = 3, pods: int = 60, pause: float = 0.3) -> list[str]:
    """Runs it and prints figures; what was wrong, none where all was well."""
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(open_fleet(members, pods))
        server = await stack.enter_async_context(open_server(fleet.kubeconfig))
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=30)
        connector = aiohttp.TCPConnector(limit=0)
        session = await stack.enter_async_context(aiohttp.ClientSession(timeout=timeout, connector=connector))
        subscribers = [
            Subscriber(
                QUESTIONS[number % len(QUESTIONS)],
                "ws" if number % 2 else "sse",
                0.15 if number % 50 in (7, 8) else 0.0,
            )
            for number in range(count)
        ]
        churns = [Churn(fleet, name, session, pause) for name in fleet.members]
        memory = Memory(server.pid)
        owing = Owing()
        callers = Callers(server, fleet.members, session, owing)
        before = await count_left(server, session)
        before = before._replace(descriptors=before.descriptors + len(fleet.urls))  # each has a heartbeat's, later on
        following = [asyncio.create_task(follow(server, one, session)) for one in subscribers]
        following.append(asyncio.create_task(callers.run()))
        work = [asyncio.create_task(churn.run()) for churn in churns]
        work.append(asyncio.create_task(memory.run()))
        illness = asyncio.create_task(fall_ill(fleet, min(20.0, minutes * 60 / 6), owing))
        started = now()
        try:
            await asyncio.wait([*following, *work, illness], timeout=minutes * 60, return_when=asyncio.FIRST_COMPLETED)
            await _end([illness, *work[:-1]])
            for name in fleet.members:
                await fleet.command(name, "clear")
            problems = await settle(fleet, server, subscribers, session)
        finally:
            broken = [task for task in following if task.done()]
            await _end([illness, *work, *following])
        left = await wait_left(server, session, before) if minutes >= _FLAT_MINUTES else before
        if is_more(left, before):
            problems.append(f"left behind: {left}, where it began with {before}")
        problems += [f"{count} x {what}" for what, count in callers.wrong.most_common()]
        problems += [f"a subscriber ended: {task.exception()!r}" for task in broken]
        problems += [f"{one.transport}, {one.question.name}: {what}" for one in subscribers for what in one.wrong[:3]]
        if minutes >= _FLAT_MINUTES and memory.growth > MAX_GROWTH:
            problems.append(f"memory grew by {memory.growth - 1:.0%}")
        print(f"{callers.answered:,} queries and legacy calls, {callers.owed:,} errors owed to faults; left: {left}")
        _report(subscribers, churns, memory, now() - started, problems)
        return problems


async def wait_left(server: Running, session: aiohttp.ClientSession, before: Left) -> Left:
    """What the server holds when all have left, as soon as it is no more than before."""
    deadline = now() + _LEAVE_SECONDS
    while True:
        left = await count_left(server, session)
        if now() > deadline or not is_more(left, before):
            return left
        await asyncio.sleep(1.0)


def is_more(left: Left, before: Left) -> bool:
    return any(held > then for held, then in zip(left, before, strict=True))


async def _end(tasks: list["asyncio.Task[None]"]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)


def _report(
    subscribers: list[Subscriber], churns: list[Churn], memory: Memory, seconds: float, problems: list[str]
) -> None:
    sockets = [one for one in subscribers if one.transport == "ws"]
    quarter = max(1, len(memory.seen) // 4)
    changes, messages = sum(churn.changes for churn in churns), sum(one.messages for one in subscribers)
    print(f"{len(sockets)} subscribers over WebSocket, {len(subscribers) - len(sockets)} over SSE, {seconds:.0f} s")
    print(f"{changes:,} changes of pods, {messages:,} messages")
    print(f"{sum(one.coalesced for one in subscribers):,} states skipped for slow subscribers, each told so")
    doubled, missed = (
        sum(what.startswith(kind) for one in subscribers for what in one.wrong) for kind in ("doubled", "missed")
    )
    print(f"{doubled} doubled, {missed} missed")
    before, after = mean(memory.seen[quarter : 2 * quarter]), mean(memory.seen[-quarter:])
    print(
        f"server memory: {before:.1f} MB in the second quarter, {after:.1f} MB in the last ({memory.growth - 1:+.1%})"
    )
    print("".join(f"WRONG: {problem}\n" for problem in problems[:20]), end="")
    print("all end with the state of a fresh query" if not problems else f"{len(problems)} things are wrong")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.soak", description="Subscribers under churn and faults.")
    parser.add_argument("--minutes", type=float, default=30.0)
    parser.add_argument("--subscribers", type=int, default=100)
    arguments = parser.parse_args()
    sys.exit(1 if uvloop.run(soak(arguments.minutes, arguments.subscribers)) else 0)


if __name__ == "__main__":
    main()
