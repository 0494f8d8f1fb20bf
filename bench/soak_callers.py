"""Callers of the soak: queries, legacy calls and watches at half of what the server takes, and which of them failed.

An error is owed to a fault where it names a cluster that is ill, or was a moment ago; every other is wrong.
"""

import asyncio
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from math import inf
from pathlib import Path
from statistics import mean
from typing import Any, NamedTuple

import aiohttp
import orjson

from bench.live_clients import now
from bench.servers import Running

CALLERS = 3
"""As many requests of one user as are worked on at once however busy the server is: none may be refused."""

RECOVERY_SECONDS = 30.0
"""After the end of a fault its cluster may still be ill for so long."""

PEAK_SECONDS = 5.0
QUERIES = (
    "{ pods(first: 50) { items { name labels { key value } node { name } } clusters { name state } } }",
    "{ workloads(first: 20) { items { name namespace } clusters { name state } } }",
    "{ nodes(first: 10) { items { name pods(first: 3) { items { name } } } clusters { name state } } }",
    '{ search(text: "soak", first: 10) { hits { name cluster } clusters { name state } } }',
    "{ clusters { name health requested { cpuCores } } }",
)


class Owing:
    """Which clusters errors may be owed to."""

    def __init__(self) -> None:
        self._until: dict[str, float] = {}

    def begin(self, cluster: str) -> None:
        self._until[cluster] = inf

    def end(self, cluster: str) -> None:
        self._until[cluster] = now() + RECOVERY_SECONDS

    def covers(self, cluster: str, since: float) -> bool:
        """Whether it was ill at some time since then."""
        return self._until.get(cluster, 0.0) >= since


class Left(NamedTuple):
    """What a process holds on to."""

    descriptors: int
    threads: int
    tasks: int


@dataclass
class Callers:
    """Of one server in front of these members."""

    server: Running
    members: list[str]
    session: aiohttp.ClientSession
    owing: Owing
    answered: int = 0
    owed: int = 0
    wrong: Counter[str] = field(default_factory=Counter)
    pause: float = 0.0

    async def run(self) -> None:
        """Finds out how much the server takes, then asks half as much, and watches, until it is cancelled."""
        self.pause = await self._measure_pause()
        async with asyncio.TaskGroup() as group:
            for number in range(CALLERS):
                group.create_task(self._call(number))
            for member in self.members:
                group.create_task(self._watch(member))

    async def _measure_pause(self) -> float:
        began, before = now(), self.answered
        calling = [asyncio.create_task(self._call(number)) for number in range(CALLERS)]
        await asyncio.wait(calling, timeout=PEAK_SECONDS)
        for task in calling:
            task.cancel()
        await asyncio.gather(*calling, return_exceptions=True)
        return CALLERS * (now() - began) / max(1, self.answered - before)

    async def _call(self, number: int) -> None:
        turn = number
        while True:
            query, member = QUERIES[turn % len(QUERIES)], self.members[turn % len(self.members)]
            paths = (
                f"/api/v1/namespaces/default/pods?clustername={member}",
                f"/clusters/{member}/api/v1/nodes",
                f"/apis/apps/v1/deployments?clustername={member}",
            )
            if turn % 2:
                await self._ask("/graphql", {"query": query})
            else:
                await self._ask(paths[turn // 2 % len(paths)], None, member)
            turn += 1
            await asyncio.sleep(self.pause)

    async def _ask(self, path: str, body: Any, *asked: str) -> None:
        since = now()
        headers = {"Authorization": f"Bearer {self.server.token}", "Accept": "application/json"}
        try:
            method = "GET" if body is None else "POST"
            async with self.session.request(method, self.server.url + path, json=body, headers=headers) as answer:
                text = await answer.read()
        except (aiohttp.ClientError, TimeoutError) as error:
            self._judge(f"{path}: {error!r}", asked, since)
            return
        self.answered += 1
        if answer.status != 200:
            self._judge(f"{path}: {answer.status} {text[:200]!r}", asked, since)
        elif body is not None:
            said = orjson.loads(text)
            if ill := {name for name, state in _list_outcomes(said.get("data")) if state != "OK"}:
                self._judge(f"{body}: {sorted(ill)} are ill", tuple(ill), since)
            elif "errors" in said:
                self._judge(f"{body}: {said['errors']}"[:300], (), since)

    async def _watch(self, member: str) -> None:
        url = f"{self.server.url}/clusters/{member}/api/v1/pods?watch=true"
        headers = {"Authorization": f"Bearer {self.server.token}"}
        while True:
            since = now()
            try:
                async with self.session.get(url, headers=headers) as answer:
                    async for _ in answer.content:
                        since = now()
                    if answer.status != 200:
                        self._judge(f"watch of {member}: {answer.status}", (member,), since)
            except (aiohttp.ClientError, TimeoutError) as error:
                self._judge(f"watch of {member}: {error!r}", (member,), since)
            await asyncio.sleep(0.5)

    def _judge(self, what: str, clusters: tuple[str, ...], since: float) -> None:
        if clusters and all(self.owing.covers(cluster, since) for cluster in clusters):
            self.owed += 1
        else:
            self.wrong[what] += 1


def _list_outcomes(value: object) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        if "state" in value and "name" in value:
            yield value["name"], value["state"]
        for part in value.values():
            yield from _list_outcomes(part)
    elif isinstance(value, list):
        for part in value:
            yield from _list_outcomes(part)


@dataclass
class Memory:
    """Resident megabytes of a process, as time goes by."""

    pid: int
    seen: list[float] = field(default_factory=list)

    async def run(self) -> None:
        while True:
            text = await asyncio.to_thread(Path(f"/proc/{self.pid}/status").read_text)
            line = next(line for line in text.splitlines() if line.startswith("VmRSS:"))
            self.seen.append(int(line.split()[1]) / 1024)
            await asyncio.sleep(1.0)

    @property
    def growth(self) -> float:
        """Of the last quarter to the second one: the first one is the start."""
        quarter = max(1, len(self.seen) // 4)
        return mean(self.seen[-quarter:]) / mean(self.seen[quarter : 2 * quarter])


async def count_left(server: Running, session: aiohttp.ClientSession) -> Left:
    """What the server's process holds now, the question for it left out."""
    async with session.get(f"{server.ops_url}/metrics") as answer:
        text = await answer.text()
    tasks = next(line.split()[1] for line in text.splitlines() if line.startswith("openmcp_process_tasks "))
    process = Path(f"/proc/{server.pid}")
    counts = await asyncio.to_thread(lambda: [len(list((process / part).iterdir())) for part in ("fd", "task")])
    return Left(counts[0], counts[1], round(float(tasks)))
