"""1,000 subscribers on one pod list: what a subscriber costs, and how late a change of the API server reaches them.

The anchor of memory is an acknowledged WebSocket that follows nothing; that of the delay is a watch asked of the API
server directly, by one client.
"""

import asyncio
import math
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from statistics import median

import aiohttp
import orjson

from bench.row import Row, build_row
from bench.servers import Running, Simulated, open_server, open_simulated
from bench.skipped import Skipped
from bench.sockets import PlainSocket, open_sockets

SUBSCRIBERS = 1_000
PODS = 200
CHANGES = 5
"""Changes in a round."""

_QUERY = "subscription { podEvents { type pod { id name phase status nodeName labels { key value } } } }"
_PATH = "/api/v1/namespaces/default/pods"
_SECONDS = 60.0


async def measure(rounds: int) -> list[Row]:
    """Raises Skipped where the system does not say what is resident, or lets too few connections be open."""
    if sys.platform != "linux":
        raise Skipped("needs Linux, which says in /proc how much memory is resident")
    _check_files()
    async with open_simulated(1, PODS) as fleet, open_server(fleet.kubeconfig) as server:
        before = await _read_kib(server)
        async with open_sockets(server, SUBSCRIBERS) as sockets:
            idle = (await _read_kib(server) - before) / SUBSCRIBERS
            async with _open_writer(fleet) as writer:
                await _subscribe(sockets, writer)
                subscribed = (await _read_kib(server) - before) / SUBSCRIBERS
                half, last, direct = await _time_changes(sockets, writer, rounds)
    title = f"{SUBSCRIBERS:,} subscribers on one list of {PODS} pods"
    watched = "a watch asked directly, one client"
    return [
        build_row(f"{title}: memory each", "KiB", [subscribed], [idle], against="WebSocket that follows nothing"),
        build_row(f"{title}: delay, half of them", "ms", half, direct, against=watched),
        build_row(f"{title}: delay, 99 % of them", "ms", last, direct, against=watched),
    ]


class Writer:
    """Changes one pod of a simulated member, and watches it directly."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url
        self._turn = 0
        self._watching: asyncio.Future[float] | None = None
        self._wanted = b""

    async def change(self) -> tuple[bytes, float, "asyncio.Future[float]"]:
        """What the change is known by, when it was sent, and when the direct watch tells of it."""
        self._turn += 1
        self._wanted = f'"turn-{self._turn:06d}"'.encode()
        self._watching = asyncio.get_running_loop().create_future()
        return self._wanted, time.perf_counter(), self._watching

    async def send(self) -> None:
        """Carries the change out."""
        change = orjson.dumps({"metadata": {"labels": {"bench": self._wanted.decode().strip('"')}}})
        headers = {"Content-Type": "application/merge-patch+json"}
        async with self._session.patch(f"{self._url}/bench", data=change, headers=headers) as answer:
            assert answer.status == 200, await answer.text()

    async def create(self) -> None:
        """Makes the pod that is changed."""
        pod = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": "bench"},
            "spec": {"containers": [{"name": "c", "image": "none"}]},
            "status": {"phase": "Running"},
        }
        async with self._session.post(self._url, json=pod) as answer:
            assert answer.status == 201, await answer.text()

    async def watch(self) -> None:
        """Watches directly until it is cancelled."""
        async with self._session.get(f"{self._url}?watch=true&fieldSelector=metadata.name=bench") as answer:
            async for line in answer.content:
                if self._watching is not None and not self._watching.done() and self._wanted in line:
                    self._watching.set_result(time.perf_counter())


@asynccontextmanager
async def _open_writer(fleet: Simulated) -> AsyncIterator[Writer]:
    headers = {"Authorization": f"Bearer {fleet.tokens['cluster1']}"}
    timeout = aiohttp.ClientTimeout(total=None)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, read_bufsize=1 << 20) as session:
        writer = Writer(session, fleet.urls["cluster1"] + _PATH)
        await writer.create()
        watching = asyncio.create_task(writer.watch())
        try:
            yield writer
        finally:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)


async def _subscribe(sockets: list[PlainSocket], writer: Writer) -> None:
    """All of them, and until each was told of a change: then it has all there is."""
    for number, socket in enumerate(sockets):
        socket.say({"type": "subscribe", "id": "1", "payload": {"query": _QUERY}})
        if number % 50 == 49:
            await asyncio.sleep(0)
    async with asyncio.timeout(_SECONDS):
        waiting: list[asyncio.Future[float]] = [socket.expect(b'"name":"bench"') for socket in sockets]
        await asyncio.gather(*waiting)
    await _time_change(sockets, writer)


async def _time_change(sockets: list[PlainSocket], writer: Writer) -> tuple[list[float], float]:
    """How long a change took to each socket, and to the direct watch, in milliseconds."""
    wanted, started, direct = await writer.change()
    waiting = [socket.expect(wanted) for socket in sockets]
    await writer.send()
    async with asyncio.timeout(_SECONDS):
        seen = await asyncio.gather(*waiting)
        return [(moment - started) * 1000 for moment in seen], (await direct - started) * 1000


async def _time_changes(
    sockets: list[PlainSocket], writer: Writer, rounds: int
) -> tuple[list[float], list[float], list[float]]:
    half, last, direct = [], [], []
    for _ in range(rounds):
        samples = [await _time_change(sockets, writer) for _ in range(CHANGES)]
        half.append(median(median(delays) for delays, _ in samples))
        last.append(median(sorted(delays)[math.ceil(len(delays) * 0.99) - 1] for delays, _ in samples))
        direct.append(median(watched for _, watched in samples))
    return half, last, direct


async def _read_kib(server: Running) -> float:
    """What is resident once it has settled."""
    await asyncio.sleep(1.0)
    text = await asyncio.to_thread(Path(f"/proc/{server.pid}/status").read_text)
    return float(next(line.split()[1] for line in text.splitlines() if line.startswith("VmRSS:")))


def _check_files() -> None:
    import resource  # here, since only some systems have it

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    needed = SUBSCRIBERS + 200
    if soft < needed:
        if hard < needed:
            raise Skipped(f"needs {needed:,} open files, {hard:,} are allowed")
        resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
