"""`python -m bench.passing`: that passing through holds on to nothing. Ends with code 1 where it does.

Ten thousand calls with a connection each, a thousand wrong clusternames, a gigabyte each way and two thousand watches
at once: memory and descriptors of the server, and descriptors of the member, before and after.
"""

import argparse
import asyncio
import ssl
import sys
import tempfile
from collections.abc import AsyncIterator, Awaitable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeVar

import aiohttp
import uvloop
import yaml
from aiohttp import web

from bench.load import fetch
from bench.rows.pass_through import is_passed
from bench.servers import LOOPBACK, Running, load_tokens, open_process, open_server, wait_until
from realfleet.pki import build_cluster_files

T = TypeVar("T")

CALLS = 10_000
WRONG_NAMES = 1_000
WATCHES = 2_000
BODY_BYTES = 1024**3
MAX_GROWTH_MB = 12.0
"""Of the server's resident memory, by anything but open watches."""

MAX_MORE_DESCRIPTORS = 140
"""What a pool may keep, and a few."""

_AT_ONCE = 16
_PIECE = bytes(256 * 1024)
_BIG = "big"
_NAMESPACE = "/api/v1/namespaces/default"


@dataclass
class Process:
    """What a process holds."""

    name: str
    pid: int

    @property
    def megabytes(self) -> float:
        lines = Path(f"/proc/{self.pid}/status").read_text().splitlines()
        return int(next(line for line in lines if line.startswith("VmRSS:")).split()[1]) / 1024

    @property
    def descriptors(self) -> int:
        return len(list(Path(f"/proc/{self.pid}/fd").iterdir()))


@dataclass
class Passing:
    """The server, what it stands before, and what was found."""

    server: Running
    here: Process
    member: Process
    problems: list[str] = field(default_factory=list)

    async def watch_over(self, what: str, work: Awaitable[T]) -> T:
        """Does it; says, and judges, what it left behind and the most memory that it took meanwhile."""
        memory, ours, theirs = self.here.megabytes, self.here.descriptors, self.member.descriptors
        most = memory
        task = asyncio.ensure_future(work)
        while not task.done():
            await asyncio.wait([task], timeout=0.1)
            most = max(most, self.here.megabytes)
        done = await task
        after, more, more_there = (
            self.here.megabytes,
            self.here.descriptors - ours,
            self.member.descriptors - theirs,
        )
        print(
            f"{what}: {memory:.1f} MB before, {most:.1f} at most, {after:.1f} after; "
            f"descriptors {more:+d} here, {more_there:+d} on the member"
        )
        if most - memory > MAX_GROWTH_MB:
            self.problems.append(f"{what}: memory grew by {most - memory:.1f} MB")
        if max(more, more_there) > MAX_MORE_DESCRIPTORS:
            self.problems.append(f"{what}: descriptors stayed open")
        return done


class Big:
    """A member whose one object has a gigabyte, and which takes as much."""

    def __init__(self) -> None:
        self.taken = 0

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path != f"/api/v1/namespaces/{_BIG}":
            return web.Response(text="ok" if request.path == "/readyz" else "{}", content_type="application/json")
        if request.method == "POST":
            async for piece in request.content.iter_any():
                self.taken += len(piece)
            return web.Response(status=201)
        answer = web.StreamResponse(headers={"Content-Length": str(BODY_BYTES)})
        await answer.prepare(request)
        for _ in range(BODY_BYTES // len(_PIECE)):
            await answer.write(_PIECE)
        return answer


@asynccontextmanager
async def open_passing() -> AsyncIterator[tuple[Passing, Big]]:
    """The server before a simulated member in a process of its own, and a large one over TLS in this process."""
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="bench-")))
        command = ("-m", "demo.simulator", "--clusters=1", "--pods=10", "--churn=1e9")
        simulator = await stack.enter_async_context(
            open_process(sys.executable, *command, stdin=asyncio.subprocess.PIPE)
        )
        assert simulator.stdout is not None
        config = yaml.safe_load(await simulator.stdout.readline())
        kubeconfig = Path(config["kubeconfig"])
        big = Big()
        written = await stack.enter_async_context(_open_big(big, kubeconfig, folder))
        server = await stack.enter_async_context(open_server(written))
        ask = server.ask(f"{_NAMESPACE}?clustername=cluster1")
        await wait_until(lambda: is_passed(ask), "the member is reached")
        assert load_tokens(kubeconfig)
        yield Passing(server, Process("server", server.pid), Process("member", simulator.pid)), big


@asynccontextmanager
async def _open_big(big: Big, kubeconfig: Path, folder: Path) -> AsyncIterator[Path]:
    files = build_cluster_files(folder / "files", _BIG)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(files.serving_certificate, files.serving_key)
    runner = web.ServerRunner(web.Server(big.serve), shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, LOOPBACK, 0, ssl_context=tls).start()
        url = f"https://{LOOPBACK}:{runner.addresses[0][1]}"
        config = yaml.safe_load(await asyncio.to_thread(kubeconfig.read_text))
        config["clusters"].append({"name": _BIG, "cluster": {"server": url, "certificate-authority": str(files.ca)}})
        config["users"].append({"name": _BIG, "user": {"token": "x"}})
        config["contexts"].append({"name": _BIG, "context": {"cluster": _BIG, "user": _BIG}})
        written = folder / "kubeconfig"
        await asyncio.to_thread(written.write_text, yaml.safe_dump(config))
        yield written
    finally:
        await runner.cleanup()


async def call_many(server: Running, calls: int) -> None:
    """So many calls, each over a connection of its own."""
    ask = server.ask(f"{_NAMESPACE}?clustername=cluster1")
    ask = replace(ask, headers={**ask.headers, "Connection": "close"})

    async def call(count: int) -> None:
        for _ in range(count):
            await fetch(ask)

    await asyncio.gather(*(call(calls // _AT_ONCE) for _ in range(_AT_ONCE)))


async def call_wrong_names(server: Running, names: int, session: aiohttp.ClientSession) -> None:
    """A call for each of so many clusters that do not exist."""
    for number in range(names):
        ask = server.ask(f"{_NAMESPACE}?clustername=nowhere{number}")
        async with session.get(ask.url, headers=ask.headers) as answer:
            await answer.read()
            assert answer.status == 404, answer.status


async def get_big(server: Running, session: aiohttp.ClientSession) -> None:
    """A gigabyte down, read as slowly as Python does."""
    ask = server.ask(f"/api/v1/namespaces/{_BIG}?clustername={_BIG}")
    async with session.get(ask.url, headers=ask.headers) as answer:
        got = 0
        async for piece in answer.content.iter_any():
            got += len(piece)
    assert got == BODY_BYTES, got


async def send_big(server: Running, session: aiohttp.ClientSession, big: Big) -> None:
    """A gigabyte up, in chunks."""

    async def body() -> AsyncIterator[bytes]:
        for _ in range(BODY_BYTES // len(_PIECE)):
            yield _PIECE

    ask = server.ask(f"/api/v1/namespaces/{_BIG}?clustername={_BIG}")
    async with session.post(ask.url, headers=ask.headers, data=body()) as answer:
        assert answer.status == 201, answer.status
    assert big.taken == BODY_BYTES, big.taken


async def hold_watches(passing: Passing, count: int) -> None:
    """So many watches at once; says what each takes."""
    ask = passing.server.ask("/api/v1/pods?watch=true&resourceVersion=0&clustername=cluster1")
    before = passing.here.megabytes
    writers: list[asyncio.StreamWriter] = []
    try:
        for _ in range(count):
            host, _, port = ask.url.split("/")[2].partition(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            writers.append(writer)
            writer.write(ask.wire)
            line = await asyncio.wait_for(reader.readline(), 10)
            assert b" 200 " in line, line
        await asyncio.sleep(1.0)  # answers that are there at once are not watched over; these are by now
        each = (passing.here.megabytes - before) * 1024 / count
        print(f"{count} watches open: {each:.1f} KB each, {passing.here.descriptors} descriptors")
    finally:
        for writer in writers:
            writer.close()


async def run() -> list[str]:
    """All of it; what was wrong, none where all was well."""
    async with (
        open_passing() as (passing, big),
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None)) as session,
    ):
        server, mb = passing.server, 1024**2
        await call_many(server, CALLS // 10)  # what a first thousand leaves is no leak
        await passing.watch_over(f"{CALLS} calls, a connection each", call_many(server, CALLS))
        await passing.watch_over(f"{WRONG_NAMES} wrong names", call_wrong_names(server, WRONG_NAMES, session))
        await passing.watch_over(f"{BODY_BYTES // mb} MB down", get_big(server, session))
        await passing.watch_over(f"{BODY_BYTES // mb} MB up", send_big(server, session, big))
        open_here, open_there = passing.here.descriptors, passing.member.descriptors
        await hold_watches(passing, WATCHES)

        async def is_over() -> bool:
            more = max(passing.here.descriptors - open_here, passing.member.descriptors - open_there)
            return more <= MAX_MORE_DESCRIPTORS

        await wait_until(is_over, "all watches have ended, here and on the member")
        print(f"after them: {passing.here.megabytes:.1f} MB")
        return passing.problems


def main() -> None:
    argparse.ArgumentParser(
        prog="python -m bench.passing", description="What passing through holds on to."
    ).parse_args()
    problems = uvloop.run(run())
    for problem in problems:
        print(f"WRONG: {problem}")
    sys.exit(1 if problems else 0)


if __name__ == "__main__":
    main()
