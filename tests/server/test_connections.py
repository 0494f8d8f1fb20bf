"""How many connections there may be, and of one address; who holds one without asking anything gives way."""

import asyncio
import contextlib
import os
import resource
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import Receive, Scope, Send

from fleet.aio.tasks import open_task
from server.asgi.bounds import MAX_CHUNK_BYTES, MAX_HEADERS, build_protocols
from server.asgi.connections import YOUNG_SECONDS, ConnectionOptions, Connections, count_most
from tests.fakes.waiting import until
from tests.fleet.kubernetes.certificates import Authority, server_context
from tests.processes import open_server
from tests.server.serving import open_serving
from tests.server.test_serve import environ

GET = b"GET / HTTP/1.1\r\nHost: h\r\n\r\n"
Ends = tuple[asyncio.StreamReader, asyncio.StreamWriter]


class Port:
    """A port whose connections are bounded; `open` leaves them open until the test ends."""

    def __init__(self, connections: Connections, port: int, stack: contextlib.AsyncExitStack) -> None:
        self.connections = connections
        self._port = port
        self._stack = stack

    async def open(self, sent: bytes = b"", *, host: str = "127.0.0.1") -> Ends:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._port, local_addr=(host, 0))
        self._stack.callback(writer.close)
        writer.write(sent)
        return reader, writer

    async def ask(self, sent: bytes = GET, *, host: str = "127.0.0.1") -> bytes:
        """The first bytes of the answer, over a connection of its own; empty where it is closed without one."""
        reader, writer = await self.open(sent, host=host)
        try:
            return await reader.read(4096)
        except ConnectionError:
            return b""
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def open_port(**options: Any) -> AsyncIterator[Port]:
    connections = Connections(ConnectionOptions(**options))
    http, ws = build_protocols(connections)
    async with (
        open_serving(PlainTextResponse("ok"), http=http, ws=ws) as url,
        contextlib.AsyncExitStack() as stack,
    ):
        yield Port(connections, int(url.rpartition(":")[2]), stack)


async def test_an_address_has_no_more_than_its_own() -> None:
    async with open_port(most_of_an_address=3) as port:
        held = [await port.open() for _ in range(3)]
        await until(lambda: len(port.connections) == 3)
        refused = await port.ask()
        assert refused.startswith(b"HTTP/1.1 503")
        assert b"retry-after: 1\r\n" in refused
        assert b"3 connections of your address" in refused
        assert (await port.ask(host="127.0.0.2")).startswith(b"HTTP/1.1 200")
        held[0][1].close()
        await until(lambda: len(port.connections) == 2)
        assert (await port.ask()).startswith(b"HTTP/1.1 200")


async def test_a_proxy_brings_as_many_as_it_has() -> None:
    async with open_port(most_of_an_address=2, proxies=["127.0.0.0/8"]) as port:
        for _ in range(5):
            await port.open()
        await until(lambda: len(port.connections) == 5)


@pytest.mark.parametrize("sent", [b"", b"GET / HT", GET], ids=["silent", "half a head", "kept after an answer"])
async def test_who_asks_nothing_gives_way_to_who_does(sent: bytes) -> None:
    async with open_port(most=10) as port:
        for _ in range(9):
            await port.open(sent)
        await until(lambda: len(port.connections) == 9)

        async def is_served() -> bool:
            return (await port.ask()).startswith(b"HTTP/1.1 200")

        await until(is_served, what=f"an unused connection older than {YOUNG_SECONDS:g} s to give way")
        assert port.connections.refused == 0 or len(port.connections) <= 10


async def test_descriptors_are_kept_for_members() -> None:
    assert [count_most(1024, 0), count_most(1024, 200), count_most(1024, 5000), count_most(64, 0)] == [480, 200, 480, 8]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"a: b\r\n" * 20_000 + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"a: b\r\n" * MAX_HEADERS + b"\r\n", b"431"),
        (b"GET / HTTP/1.1\r\nHost: h\r\n" + b"a: b\r\n" * (MAX_HEADERS - 1) + b"\r\n", b"200"),
    ],
)
async def test_headers_are_counted(sent: bytes, status: bytes) -> None:
    async with open_port() as port:
        assert (await port.ask(sent)).split(b" ")[1] == status


async def read_all(scope: Scope, receive: Receive, send: Send) -> None:
    while (await receive())["more_body"]:
        pass
    await PlainTextResponse("ok")(scope, receive, send)


POST = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"1;" + b"e" * 200_000 + b"\r\nx\r\n0\r\n\r\n", b"400"),
        (b"1;e=f\r\nx\r\n" * 20_000 + b"0\r\n\r\n", b"200"),
        (b"1;" + b"e" * 100 + b"\r\nx\r\n" * 20_000 + b"0\r\n\r\n", b"400"),
        (b"%x\r\n%b\r\n0\r\n\r\n" % (2 * MAX_CHUNK_BYTES, b"x" * 2 * MAX_CHUNK_BYTES), b"200"),
        (b"1\r\nx\r\n" * 50_000 + b"0\r\n\r\n", b"200"),
    ],
    ids=["one long extension", "many short ones", "garbage", "one long chunk", "many tiny chunks"],
)
async def test_bytes_beside_a_body_are_counted(body: bytes, status: bytes) -> None:
    http, ws = build_protocols(Connections())
    async with open_serving(read_all, http=http, ws=ws) as url:
        reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(POST + body)
        assert (await reader.read(4096)).split(b" ")[1] == status
        writer.close()


async def pour(scope: Scope, receive: Receive, send: Send) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": bytes(65536), "more_body": True})
        await asyncio.sleep(0)


async def test_who_takes_nothing_over_tls_is_cut_off_too(tmp_path: Path) -> None:
    connections = Connections(ConnectionOptions(stall_seconds=0.3))
    http, ws = build_protocols(connections)
    tls = server_context(Authority().issue("127.0.0.1"), tmp_path)
    trusting = ssl.create_default_context()
    trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
    async with open_task("cut", connections.watch), open_serving(pour, http=http, ws=ws, tls=tls) as url:
        _, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]), ssl=trusting, limit=1024)
        writer.write(GET)  # what then arrives is read until the reader's limit, and no further
        await until(lambda: connections.stalled == 1)
        await until(lambda: len(connections) == 0)
        writer.close()


async def test_a_process_without_descriptors_goes_on_when_there_are_again(tmp_path: Path) -> None:
    variables = environ(tmp_path)
    port = int(variables["OPENMCP_PORT"])
    async with open_server("serve", environment=variables, port=port, log=tmp_path / "log") as server:
        used = len(os.listdir(f"/proc/{server.pid}/fd"))  # noqa: PTH208 - of this test alone
        before = resource.prlimit(server.pid, resource.RLIMIT_NOFILE)
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, (used + 5, before[1]))
        async with contextlib.AsyncExitStack() as stack:
            for _ in range(40):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                stack.callback(writer.close)
            await until(lambda: "descriptors" in server.log.read_text() or "open files" in server.log.read_text())
        resource.prlimit(server.pid, resource.RLIMIT_NOFILE, before)

        async def is_served() -> bool:
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
            try:
                return b"200 OK" in await reader.read(4096)
            except ConnectionError:
                return False
            finally:
                writer.close()

        await until(is_served)
