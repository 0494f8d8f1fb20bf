"""One user asks ten times what the server can answer: what is still answered, how late, and what another user sees."""

import asyncio
import math
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from itertools import repeat
from pathlib import Path
from urllib.parse import urlsplit

import orjson

from auth.passwords import hash_password
from auth.users import User, save_users
from bench.load import Ask, fetch, run_load, time_answers
from bench.row import Row, amount, build_row, within
from bench.servers import Running, open_server, open_simulated
from fleet.aio.tasks import end_tasks
from fleet.model.visibility import Role, Scope

MEMBERS, PODS = 3, 100
CONNECTIONS = 1_600
AT_CAPACITY = 3
"""Connections that keep the server busy without a line: as many places as one user has."""
SECONDS = 8.0
OTHER = "vera"
PAUSE = 0.1
"""Seconds between two questions of the other user."""

_DEAR = """{ pods(first: 300) { items { name usage { cpuCores memoryBytes }
  history(last: "1h", step: "1m") { cpuCores memoryBytes } } } }"""
_HISTORY_SECONDS = 20.0


@dataclass
class _Flood:
    """Connections that ask again as soon as they are answered, whatever it is. `times` are of what is 200."""

    ask: Ask
    times: list[float] = field(default_factory=list)

    async def run(self) -> None:
        parts = urlsplit(self.ask.url)
        while True:
            try:
                await self._keep_asking(parts.hostname or "", parts.port or 80)
            except (OSError, asyncio.IncompleteReadError):
                await asyncio.sleep(0.1)

    async def _keep_asking(self, host: str, port: int) -> None:
        loop = asyncio.get_running_loop()
        reader, writer = await asyncio.open_connection(host, port)
        try:
            while True:
                begun = loop.time()
                writer.write(self.ask.wire)
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                length = head.partition(b"content-length: ")[2]
                await reader.readexactly(int(length.partition(b"\r")[0]))
                if head.startswith(b"http/1.1 200"):
                    self.times.append(loop.time() - begun)
        finally:
            writer.close()


async def measure(rounds: int) -> list[Row]:
    """Goodput against the peak, the 99th percentile of what is answered, another user's longest wait, and recovery."""
    peaks, rates, latest, others, again = [], [], [], [], []
    async with _open_asked() as (server, other):
        dear = server.ask_graph(_DEAR)
        for _ in range(max(1, rounds // 2)):
            alone = await time_answers([dear] * 3)
            before = (await run_load(repeat(dear), AT_CAPACITY, SECONDS)).rate
            flood = _Flood(dear)
            async with _open_flood(flood):
                await asyncio.sleep(1)
                flood.times.clear()
                longest = await _ask_now_and_then(other)
                times = sorted(flood.times)
            rates.append(len(times) / SECONDS)
            latest.append(times[math.ceil(len(times) * 0.99) - 1] * 1000)
            others.append(longest * 1000)
            again.append(await _time_recovery(dear, alone))
            # There is more history by the second, and so more to do.
            peaks.append((before + (await run_load(repeat(dear), AT_CAPACITY, SECONDS)).rate) / 2)
    what = f"{CONNECTIONS:,} connections of one user with a dear query"
    return [
        build_row(
            f"{what}: answered",
            "/s",
            rates,
            peaks,
            against=f"{AT_CAPACITY} connections",
            higher_is_better=True,
            goal=within(0.8, "the peak"),
        ),
        build_row(f"{what}: 99 % of what is answered", "ms", latest, goal=amount(1000, "ms")),
        build_row(f"{what}: another user's longest wait for clusters", "ms", others, goal=amount(1000, "ms")),
        build_row(f"{what}: until well again", "s", again, goal=amount(5, "s")),
    ]


@asynccontextmanager
async def _open_asked() -> AsyncIterator[tuple[Running, Ask]]:
    """A server with some history, and what another user asks it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        users = Path(folder) / "users.yaml"
        save_users(users, [User(OTHER, hash_password(OTHER), Scope(Role.VIEW))])
        more = {"OPENMCP_USERS_FILE": str(users), "OPENMCP_COLLECT_INTERVAL": "1s", "OPENMCP_LOG_LEVEL": "warning"}
        async with open_simulated(MEMBERS, PODS) as simulated, open_server(simulated.kubeconfig, more) as server:
            token = orjson.loads(await fetch(Ask(f"{server.url}/token?username={OTHER}&password={OTHER}")))["token"]
            await asyncio.sleep(_HISTORY_SECONDS)
            yield server, replace(server, token=token).ask_graph("{ clusters { name } }")


@asynccontextmanager
async def _open_flood(flood: _Flood) -> AsyncIterator[None]:
    tasks = [asyncio.create_task(flood.run()) for _ in range(CONNECTIONS)]
    try:
        yield
    finally:
        await end_tasks(*tasks)


async def _ask_now_and_then(ask: Ask) -> float:
    """The longest of the answers, s. What it asks is work as well: who asked all the time would have half of it."""
    loop = asyncio.get_running_loop()
    end, longest = loop.time() + SECONDS, 0.0
    while loop.time() < end:
        longest = max(longest, await time_answers([ask]))
        await asyncio.sleep(PAUSE)
    return longest


async def _time_recovery(dear: Ask, alone: float) -> float:
    """Seconds until the query takes no more than twice what it took before."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while await time_answers([dear]) > 2 * alone:
        pass
    return loop.time() - begun
