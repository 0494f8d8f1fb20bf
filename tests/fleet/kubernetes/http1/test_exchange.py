"""What HTTP/1.1 leaves to a client: which connections are kept, what is sent again, and when an answer is whole."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from aiohttp import web

from fleet.kubernetes.auth.tls import TlsMaterial, build_ssl_context
from fleet.kubernetes.connection import HttpConnection, Target
from fleet.model.errors import ClusterAnswerInvalid, ClusterError, ClusterTimeout, ClusterUnreachable
from fleet.ports import Call
from tests.fakes.waiting import PATIENCE, until
from tests.fleet.kubernetes.certificates import Authority, server_context
from tests.fleet.kubernetes.servers import RawHandler, open_http_server, open_raw_server

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@dataclass
class Script:
    """Says the answers of a table, one a request, over all connections. `b""` and `cuts` close: unsaid, and said."""

    answers: list[bytes]
    cuts: bool = False
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        while self.answers:
            try:
                self.requests.append(await reader.readuntil(b"\r\n\r\n"))
            except asyncio.IncompleteReadError:
                return
            answer = self.answers.pop(0)
            if not answer:
                return
            writer.write(answer)
            await writer.drain()
            if self.cuts:
                return
        await reader.read()


@asynccontextmanager
async def open_client(handler: RawHandler, **options: int) -> AsyncIterator[HttpConnection]:
    async with open_raw_server(handler) as url:
        connection = HttpConnection("cluster1", Target(url), **options)
        try:
            yield connection
        finally:
            await connection.close()


async def ask(connection: HttpConnection, method: str = "GET", body: bytes | None = None) -> tuple[int, bytes]:
    async with connection.open_stream(Call(method, "/", body=body, timeout=5)) as answer:
        return answer.status, b"".join([piece async for piece in answer.chunks()])


async def test_an_idle_connection_that_was_closed_costs_a_reader_nothing() -> None:
    script = Script([OK, b"", OK])
    async with open_client(script.serve) as connection:
        assert [await ask(connection), await ask(connection)] == [(200, b"ok")] * 2
    assert (len(script.requests), script.connections) == (3, 2)


async def test_a_write_is_never_sent_twice() -> None:
    script = Script([OK, b"", OK])
    async with open_client(script.serve) as connection:
        await ask(connection)
        with pytest.raises(ClusterUnreachable, match="cut the connection off"):
            await ask(connection, "POST", b"{}")
    assert len(script.requests) == 2


async def test_a_new_connection_that_is_closed_is_an_error_at_once() -> None:
    script = Script([b"", OK])
    async with open_client(script.serve) as connection:
        with pytest.raises(ClusterUnreachable, match="cut the connection off"):
            await ask(connection)
    assert len(script.requests) == 1


WHOLE = {
    "length": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "chunks": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nhe\r\n3\r\nllo\r\n0\r\nT: t\r\n\r\n",
    "informational first": b"HTTP/1.1 103 Hint\r\nX: y\r\n\r\n" * 3
    + b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello",
}
NOT_KEPT = {
    "until the end": b"HTTP/1.1 200 OK\r\n\r\nhello",
    "asked to close": b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 5\r\n\r\nhello",
    "old": b"HTTP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nhello",
    "surplus": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello!",
    "two answers": b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello" + OK,
}


@pytest.mark.parametrize("name", [*WHOLE, *NOT_KEPT])
async def test_only_whole_and_orderly_answers_keep_their_connection(name: str) -> None:
    answer = (WHOLE | NOT_KEPT)[name]
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await reader.readuntil(b"\r\n\r\n"):
            writer.write(answer)
            if name == "until the end":
                return

    async with open_client(serve) as connection:
        for _ in range(3):
            assert await ask(connection) == (200, b"hello")
    assert connections == (1 if name in WHOLE else 3)


@pytest.mark.parametrize("name", ["length", "chunks", "until the end"])
async def test_every_cut_of_an_answer_is_an_error_or_tells_of_no_end(name: str) -> None:
    answer = (WHOLE | NOT_KEPT)[name]
    head = answer.index(b"\r\n\r\n") + 4
    for size in range(len(answer)):
        async with open_client(Script([answer[:size]], cuts=True).serve) as connection:
            if name == "until the end" and size >= head:
                assert await ask(connection) == (200, answer[head:size])
                continue
            with pytest.raises(ClusterError):
                await ask(connection)


BAD = {
    "two lengths": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    "length and chunks": b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "odd length": b"HTTP/1.1 200 OK\r\nContent-Length: +2\r\n\r\nab",
    "two codings": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n2\r\nab\r\n0\r\n\r\n",
    "coding twice": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "folded header": b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\nContent-Length: 0\r\n\r\n",
    "nul": b"HTTP/1.1 200 OK\r\nX: a\x00b\r\nContent-Length: 0\r\n\r\n",
    "bare newlines": b"HTTP/1.1 200 OK\nContent-Length: 0\n\n",
    "negative chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-2\r\nab\r\n0\r\n\r\n",
    "huge chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\nab\r\n",
    "long chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nabc\r\n0\r\n\r\n",
    "another protocol": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n",
    "http/2": b"HTTP/2.0 200 OK\r\nContent-Length: 2\r\n\r\nab",
    "status 999": b"HTTP/1.1 999 Odd\r\nContent-Length: 2\r\n\r\nab",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 20_000 + b"Content-Length: 0\r\n\r\n",
    "endless hints": b"HTTP/1.1 103 Hint\r\n\r\n" * 10_000,
    "endless line": b"HTTP/1.1 200 " + b"O" * 200_000,
    "endless trailers": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n" + b"X: y\r\n" * 20_000,
}


@pytest.mark.parametrize("name", BAD)
async def test_what_is_no_answer_is_never_taken_for_one(name: str) -> None:
    async with open_client(Script([BAD[name], OK]).serve) as connection:
        with pytest.raises(ClusterAnswerInvalid, match="answered nonsense"):
            await ask(connection)


@pytest.mark.parametrize("status", [204, 304])
async def test_answers_without_a_body_have_none_whatever_they_say(status: int) -> None:
    script = Script([b"HTTP/1.1 %d X\r\nContent-Length: 7\r\n\r\n" % status, OK])
    async with open_client(script.serve) as connection:
        assert [await ask(connection), await ask(connection)] == [(status, b""), (200, b"ok")]
    assert script.connections == 1


@pytest.mark.parametrize("framing", [b"Content-Length: 7", b"Transfer-Encoding: chunked"])
async def test_the_answer_to_head_ends_with_its_head(framing: bytes) -> None:
    script = Script([b"HTTP/1.1 200 OK\r\n%b\r\n\r\n" % framing, OK])
    async with open_client(script.serve) as connection:
        assert [await ask(connection, "HEAD"), await ask(connection)] == [(200, b""), (200, b"ok")]
    assert script.connections == 1


async def test_a_word_that_nobody_asked_for_ends_an_idle_connection() -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(OK)
        await writer.drain()
        await asyncio.sleep(0.05)  # apart from the answer: on its own in another packet
        writer.write(OK.replace(b"ok", b"no"))
        await reader.read()

    async with open_client(serve) as connection:
        assert await ask(connection) == (200, b"ok")
        await until(lambda: not connection._pool._idle, what="the end of the connection")
        assert await ask(connection) == (200, b"ok")
    assert connections == 2


async def test_an_early_answer_is_read_though_the_body_is_not() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 No\r\nContent-Length: 2\r\n\r\nno")
        await reader.read()

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 1000
            await asyncio.sleep(0)

    async with (
        open_client(refuse) as connection,
        connection.open_stream(Call("POST", "/", body=endless(), timeout=5)) as answer,
    ):
        assert (answer.status, await answer.read()) == (413, b"no")


@pytest.mark.parametrize(("length", "pieces"), [(b"5", [b"abc"]), (b"2", [b"abc"]), (b"4", [b"abc", b"de"])])
async def test_a_body_is_as_long_as_it_says_or_not_sent_whole(length: bytes, pieces: list[bytes]) -> None:
    got: list[bytes] = []

    async def collect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        got.append(await reader.read(int(length)) if length == b"5" else b"")
        await reader.read()

    async def body() -> AsyncIterator[bytes]:
        for piece in pieces:
            yield piece

    async with open_client(collect) as connection:
        with pytest.raises(ClusterUnreachable, match="Content-Length"):
            async with connection.open_stream(
                Call("POST", "/", headers=[(b"Content-Length", length)], body=body(), timeout=5)
            ):
                pass


async def test_a_slow_reader_holds_the_member_back_and_loses_nothing(tmp_path: Path) -> None:
    """Over TLS, from a member that closes as soon as all is written, while nobody reads."""
    authority, size = Authority(), 48 * 1024 * 1024  # more than what systems hold between the two
    sent = 0

    async def pour(request: web.BaseRequest) -> web.StreamResponse:
        nonlocal sent
        answer = web.StreamResponse(headers={"Content-Length": str(size), "Connection": "close"})
        await answer.prepare(request)
        for number in range(size // 65536):
            await answer.write(bytes([number % 256]) * 65536)
            sent += 65536
        return answer

    tls = server_context(authority.issue("127.0.0.1"), tmp_path)
    async with open_http_server(pour, tls=tls) as url:
        connection = HttpConnection("cluster1", Target(url, build_ssl_context(TlsMaterial(authority.pem))))
        async with connection.open_stream(Call("GET", "/", timeout=5, idle_timeout=5)) as answer:
            before = -1
            while before != sent:  # until the member waits for us
                before = sent
                await asyncio.sleep(0.1)
            assert sent < size
            got = b"".join([piece async for piece in answer.chunks()])
        await connection.close()
    assert got == b"".join(bytes([number % 256]) * 65536 for number in range(size // 65536))


@pytest.mark.parametrize("apart", [False, True])
async def test_an_end_of_tls_with_a_close_notify_is_the_end_at_once(tmp_path: Path, apart: bool) -> None:
    """Also where the member then waits for ours, as is its right, before it ends the connection."""
    authority, has_come = Authority(), asyncio.Event()

    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\nwhole")
        if apart:
            await has_come.wait()
        writer.close()

    tls = server_context(authority.issue("127.0.0.1"), tmp_path)
    async with await asyncio.start_server(say, "127.0.0.1", 0, ssl=tls, ssl_shutdown_timeout=2 * PATIENCE) as server:
        url = f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        connection = HttpConnection("cluster1", Target(url, build_ssl_context(TlsMaterial(authority.pem))))
        got = b""
        async with asyncio.timeout(PATIENCE), connection.open_stream(Call("GET", "/", timeout=PATIENCE)) as answer:
            async for piece in answer.chunks():
                got += piece
                has_come.set()
        await connection.close()
    assert got == b"whole"


async def test_an_end_of_tls_without_a_close_notify_is_a_cut(tmp_path: Path) -> None:
    authority = Authority()

    async def cut(request: web.BaseRequest) -> web.StreamResponse:
        answer = web.StreamResponse(headers={"Connection": "close"})
        answer._length_check = False
        assert request.transport is not None
        request.transport.write(b"HTTP/1.1 200 OK\r\n\r\nhalf")
        plain = request.transport.get_extra_info("socket")
        await asyncio.sleep(0.1)
        plain.shutdown(2)
        return answer

    tls = server_context(authority.issue("127.0.0.1"), tmp_path)
    async with open_http_server(cut, tls=tls) as url:
        connection = HttpConnection("cluster1", Target(url, build_ssl_context(TlsMaterial(authority.pem))))
        with pytest.raises(ClusterUnreachable, match="cut"):
            await ask(connection)
        await connection.close()


async def test_exchanges_beyond_the_limit_wait_for_their_turn() -> None:
    under_way = most = 0

    async def count(request: web.BaseRequest) -> web.Response:
        nonlocal under_way, most
        under_way += 1
        most = max(most, under_way)
        await asyncio.sleep(0.02)
        under_way -= 1
        return web.Response(text="ok")

    async with open_http_server(count) as url:
        connection = HttpConnection("cluster1", Target(url), limit=3)
        answers = await asyncio.gather(*(ask(connection) for _ in range(12)))
        assert (answers, most) == ([(200, b"ok")] * 12, 3)
        held = [connection.open_stream(Call("GET", "/", timeout=5)) for _ in range(3)]
        for stream in held:
            await stream.__aenter__()
        with pytest.raises(ClusterTimeout):
            async with connection.open_stream(Call("GET", "/", timeout=0.1)):
                pass
        for stream in held:
            await stream.__aexit__(None, None, None)
        assert await ask(connection) == (200, b"ok")
        await connection.close()


async def test_a_caller_that_gives_up_leaves_no_connection_behind() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with open_client(hang, limit=2) as connection:
        for _ in range(5):
            with pytest.raises(ClusterTimeout):
                await connection.request(Call("GET", "/", timeout=0.02))
        await until(lambda: not connection._pool._open, what="the end of all connections")
