"""A switch of protocols at a member: how it is reached and verified, what becomes of refusals and of the last bytes."""

import asyncio
import contextlib
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from fleet.kubernetes.auth.authorizers import bearer
from fleet.kubernetes.auth.tls import TlsMaterial, build_ssl_context
from fleet.kubernetes.connection import HttpConnection, Target
from fleet.model.errors import ClusterAnswerInvalid, ClusterTimeout, ClusterUnreachable
from fleet.model.told import detail_of
from fleet.ports import Call
from tests.fleet.kubernetes.certificates import Authority, server_context
from tests.fleet.kubernetes.servers import RawHandler, open_raw_server

OURS, OTHER = Authority("ours"), Authority("other")
SWITCHED = b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: SPDY/3.1\r\nX-Kept: 1\r\n\r\n"
CHUNKED = b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nTransfer-Encoding: chunked\r\n\r\n"
CHUNKED += b"4\r\ngone\r\n0\r\n\r\n"
MUCH = 5_000_000


async def read_head(reader: asyncio.StreamReader) -> bytes:
    return await reader.readuntil(b"\r\n\r\n")


async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    await read_head(reader)
    writer.write(SWITCHED + b"first ")
    while data := await reader.read(65_536):
        writer.write(data)
        await writer.drain()


async def flood(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Says much and leaves at once."""
    await read_head(reader)
    writer.write(SWITCHED + bytes(MUCH))
    await writer.drain()


def saying(answer: bytes) -> RawHandler:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_head(reader)
        writer.write(answer)
        await writer.drain()

    return say


@asynccontextmanager
async def open_tls(handler: RawHandler, name: str, folder: Path) -> AsyncIterator[str]:
    context = server_context(OURS.issue(name), folder)
    tasks: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            await handler(reader, writer)
        writer.close()
        tasks.discard(task)

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=context)
    try:
        yield f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in tuple(tasks):
            task.cancel()


@asynccontextmanager
async def connected(url: str, **target: object) -> AsyncIterator[HttpConnection]:
    connection = HttpConnection("cluster1", Target(url, authorizer=bearer("t"), **target))  # type: ignore[arg-type]
    try:
        yield connection
    finally:
        await connection.close()


async def talk(connection: HttpConnection) -> bytes:
    async with connection.open_upgrade(Call("POST", "/exec", query="a=b", upgrade="SPDY/3.1", timeout=5)) as member:
        assert member.status == 101
        assert (b"upgrade", b"SPDY/3.1") in member.headers
        seen = await member.read()
        await member.write(b"second")
        while not seen.endswith(b"second"):
            seen += await member.read()
        return seen


@pytest.mark.parametrize(
    ("name", "server_name"), [("127.0.0.1", None), ("api.example", "api.example")], ids=["address", "server name"]
)
async def test_a_verified_member_is_talked_to(name: str, server_name: str | None, tmp_path: Path) -> None:
    context = build_ssl_context(TlsMaterial(OURS.pem))
    async with (
        open_tls(echo, name, tmp_path) as url,
        connected(url, tls=context, server_name=server_name) as connection,
    ):
        assert await talk(connection) == b"first second"


@pytest.mark.parametrize(
    ("name", "authority", "words"),
    [("127.0.0.1", OTHER, "the CA bundle is not of the authority"), ("else.example", OURS, "for another host name")],
    ids=["other authority", "other name"],
)
async def test_a_member_that_is_not_verified_is_told_nothing(
    name: str, authority: Authority, words: str, tmp_path: Path
) -> None:
    heard: list[bytes] = []

    async def listen(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.read(100))

    context = build_ssl_context(TlsMaterial(authority.pem))
    async with open_tls(listen, name, tmp_path) as url, connected(url, tls=context) as connection:
        with pytest.raises(ClusterUnreachable, match=words):
            await talk(connection)
    assert not any(heard)


async def test_nothing_is_lost_when_a_member_leaves_while_nobody_reads(tmp_path: Path) -> None:
    context = build_ssl_context(TlsMaterial(OURS.pem))
    async with (
        open_tls(flood, "127.0.0.1", tmp_path) as url,
        connected(url, tls=context) as connection,
        connection.open_upgrade(Call("GET", "/exec", upgrade="websocket", timeout=5)) as member,
    ):
        size = 0
        while data := await member.read():
            size += len(data)
            await asyncio.sleep(0.001)  # slower than the member
        assert size == MUCH


async def test_a_proxy_is_asked_to_connect(tmp_path: Path) -> None:
    asked: list[bytes] = []

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await read_head(reader))
        found = re.search(rb"CONNECT 127\.0\.0\.1:(\d+)", asked[0])
        assert found is not None
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", int(found[1]))
        writer.write(b"HTTP/1.1 200 Connection established\r\n\r\n")
        try:
            await asyncio.gather(_copy(reader, up_writer), _copy(up_reader, writer))
        finally:
            up_writer.close()
            await up_writer.wait_closed()

    context = build_ssl_context(TlsMaterial(OURS.pem))
    async with open_tls(echo, "127.0.0.1", tmp_path) as url, open_raw_server(relay) as proxy:
        named = proxy.replace("http://", "http://ann:p%40ss@")
        async with connected(url, tls=context, proxy=named) as connection:
            assert await talk(connection) == b"first second"
    assert b"Proxy-Authorization: Basic YW5uOnBAc3M=\r\n" in asked[0]
    assert b"Bearer" not in asked[0]


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while data := await reader.read(65_536):
        writer.write(data)
    writer.close()


async def test_a_proxy_that_refuses_is_named() -> None:
    refusing = saying(b"HTTP/1.1 403 Forbidden\r\n\r\n")
    async with open_raw_server(refusing) as proxy, connected("http://127.0.0.1:1", proxy=proxy) as connection:
        with pytest.raises(ClusterUnreachable) as refused:
            await talk(connection)
        assert re.search(r"the proxy 127\.0\.0\.1:\d+ answered 'HTTP/1\.1 403 Forbidden'", detail_of(refused.value))


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\nContent-Length: 4\r\n\r\ngone",
        CHUNKED,
        b"HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n\r\ngone",
    ],
    ids=["with a length", "in chunks", "to the end"],
)
async def test_a_refusal_is_an_answer(answer: bytes) -> None:
    async with (
        open_raw_server(saying(answer)) as url,
        connected(url) as connection,
        connection.open_upgrade(Call("GET", "/exec", upgrade="websocket", timeout=5)) as member,
    ):
        assert (member.status, member.body) == (404, b"gone")
        assert dict(member.headers)[b"content-type"] == b"text/plain"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"SSH-2.0-OpenSSH\r\n\r\n", "answered nonsense"),
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\ncut", "answered nonsense"),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, "answered nonsense"),
        (b"HTTP/1.1 500 No\r\n\r\n" + bytes(2_000_000), "has no end"),
        (b"", "answered nonsense"),
    ],
    ids=["another protocol", "cut off", "endless head", "endless body", "nothing"],
)
async def test_nonsense_is_the_members_fault(answer: bytes, words: str) -> None:
    async with open_raw_server(saying(answer)) as url, connected(url) as connection:
        with pytest.raises(ClusterAnswerInvalid, match=words):
            await talk(connection)


async def test_silence_ends_at_the_deadline() -> None:
    async def hold(_reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await asyncio.Event().wait()

    async with open_raw_server(hold) as url:
        for endpoint, tls in ((url, None), (url.replace("http:", "https:"), ssl.create_default_context())):
            async with connected(endpoint, tls=tls) as connection:
                with pytest.raises(ClusterTimeout, match=r"within 0\.2 s"):
                    async with connection.open_upgrade(Call("GET", "/exec", upgrade="websocket", timeout=0.2)):
                        pass
