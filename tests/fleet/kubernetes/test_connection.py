"""The connection to one member, against small servers on loopback."""

import asyncio
import gzip
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from fleet.kubernetes.auth.authorizers import TokenFileAuthorizer, bearer
from fleet.kubernetes.connection import HttpConnection, Target
from fleet.model.errors import (
    ClusterAnswerInvalid,
    ClusterError,
    ClusterTimeout,
    ClusterUnauthorized,
    ClusterUnreachable,
    FleetError,
    InvalidQuery,
)
from fleet.ports import Call
from server.logs import TextLines
from tests.fakes.waiting import PATIENCE
from tests.fleet.kubernetes.servers import Handler, open_http_server, open_raw_server


@asynccontextmanager
async def open_connection(target: Target, **options: int) -> AsyncIterator[HttpConnection]:
    connection = HttpConnection("cluster1", target, **options)
    try:
        yield connection
    finally:
        await connection.close()


@asynccontextmanager
async def open_connected(handler: Handler, **options: int) -> AsyncIterator[HttpConnection]:
    async with open_http_server(handler) as url, open_connection(Target(url), **options) as connection:
        yield connection


async def echo(request: web.BaseRequest) -> web.Response:
    return web.json_response(
        {
            "line": f"{request.method} {request.raw_path}",
            "headers": [[name, value] for name, value in request.headers.items()],
            "body": (await request.read()).decode(),
        }
    )


def messages_of_members(caplog: pytest.LogCaptureFixture) -> list[str]:
    """Without those of asyncio about what other tests of the process have left."""
    line = TextLines()
    lines = [line.format(record) for record in caplog.records if record.name.startswith("fleet.kubernetes")]
    return [text.split(": ", 1)[1] for text in lines]


@pytest.mark.parametrize(("level", "lines"), [("INFO", 0), ("DEBUG", 1)])
async def test_a_call_is_a_line_at_debug_without_what_is_secret(
    caplog: pytest.LogCaptureFixture, level: str, lines: int
) -> None:
    caplog.set_level(level, "fleet.kubernetes")
    async with open_http_server(echo) as url, open_connection(Target(url, authorizer=bearer("hush"))) as connection:
        await connection.request(Call("GET", "/api/v1/pods", 5.0, query="token=hush"))
    told = messages_of_members(caplog)
    assert len(told) == lines
    assert not lines or re.fullmatch(r"cluster1: GET /api/v1/pods: 200 after \d+\.\d ms", told[0])


async def test_a_call_that_fails_is_a_line_at_debug(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG", "fleet.kubernetes")
    async with open_connection(Target("http://127.0.0.1:9")) as connection:
        with pytest.raises(ClusterUnreachable):
            await connection.request(Call("GET", "/", 5.0))
    assert messages_of_members(caplog) == [
        "a call failed: cluster cluster1: no connection to http://127.0.0.1:9: Connection refused"
    ]


async def test_path_and_query_arrive_as_given() -> None:
    seen: list[str] = []

    async def remember(request: web.BaseRequest) -> web.Response:
        seen.append(request.raw_path)
        return web.Response()

    target = "/api/v1/namespaces/a%2Fb/services/x:%2580/proxy/c+d%20e/%7Eme", "labelSelector=a%3Db,c+in+(d)&x=%3F"
    async with open_connected(remember) as connection:
        await connection.request(Call("GET", target[0], query=target[1], timeout=5))
    assert seen == ["?".join(target)]


async def test_caller_credentials_and_hop_by_hop_headers_are_not_forwarded() -> None:
    given = [
        (b"Authorization", b"Bearer of-the-caller"),
        (b"Cookie", b"a=b"),
        (b"Connection", b"X-Secret"),
        (b"X-Secret", b"1"),
        (b"Host", b"elsewhere"),
        (b"Accept", b"application/yaml"),
    ]
    async with open_http_server(echo) as url, open_connection(Target(url, authorizer=bearer("ours"))) as connection:
        answer = await connection.request(Call("GET", "/", headers=given, timeout=5))
        host = url.removeprefix("http://")
    for line in ('["Authorization", "Bearer ours"]', f'["Host", "{host}"]', '["Accept", "application/yaml"]'):
        assert line in answer.body.decode()
    for word in ("of-the-caller", "Cookie", "X-Secret", "elsewhere"):
        assert word not in answer.body.decode()


async def test_only_own_headers_are_added() -> None:
    async with open_connected(echo) as connection:
        answer = await connection.request(Call("POST", "/", body=b"x", timeout=5))
    assert b'"Accept-Encoding", "identity"' in answer.body
    assert b'"User-Agent", "openmcp-apiserver"' in answer.body
    assert b"Content-Type" not in answer.body
    assert b'"Accept",' not in answer.body


@pytest.mark.parametrize("status", [200, 302, 403, 404, 409, 500])
async def test_statuses_are_answers(status: int) -> None:
    async def answer_status(request: web.BaseRequest) -> web.Response:
        return web.Response(status=status, text="said", headers={"Location": "http://elsewhere.invalid/", "X-A": "b"})

    async with open_connected(answer_status) as connection:
        answer = await connection.request(Call("GET", "/x", timeout=5))
    assert (answer.status, answer.body, answer.headers["x-a"]) == (status, b"said", "b")


async def test_401_is_raised_by_request_and_passed_by_stream() -> None:
    async def refuse(request: web.BaseRequest) -> web.Response:
        return web.Response(status=401, text="no")

    async with open_connected(refuse) as connection:
        with pytest.raises(ClusterUnauthorized, match="cluster1"):
            await connection.request(Call("GET", "/x", timeout=5))
        async with connection.open_stream(Call("GET", "/x", timeout=5)) as answer:
            assert answer.status == 401


async def test_token_file_is_read_again_after_a_refusal(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("old\n")

    async def accept_new(request: web.BaseRequest) -> web.Response:
        return web.Response(status=200 if request.headers["Authorization"] == "Bearer new" else 401)

    tokens = TokenFileAuthorizer(path, max_age=3600)
    async with open_http_server(accept_new) as url, open_connection(Target(url, authorizer=tokens)) as connection:
        with pytest.raises(ClusterUnauthorized):
            await connection.request(Call("GET", "/", timeout=5))
        path.write_text("new\n")
        assert (await connection.request(Call("GET", "/", timeout=5))).status == 200


async def test_compressed_answer_is_decompressed_within_bounds() -> None:
    async def compress(request: web.BaseRequest) -> web.Response:
        return web.Response(body=gzip.compress(b"0" * 100_000), headers={"Content-Encoding": "gzip"})

    async with open_connected(compress) as connection:
        answer = await connection.request(Call("GET", "/", timeout=5))
        assert answer.body == b"0" * 100_000
        assert "content-encoding" not in answer.headers
    async with open_connected(compress, max_answer_bytes=50_000) as connection:
        with pytest.raises(ClusterAnswerInvalid, match="larger"):
            await connection.request(Call("GET", "/", timeout=5))


async def test_too_large_an_answer_is_refused() -> None:
    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(body=b"0" * 100_000)

    async with open_connected(answer, max_answer_bytes=50_000) as connection:
        with pytest.raises(ClusterAnswerInvalid, match="larger than 50000 bytes"):
            await connection.request(Call("GET", "/", timeout=5))


async def test_bodies_stream_up_and_answers_stream_down_at_the_same_time() -> None:
    async def shout(request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        async for chunk in request.content.iter_any():
            await response.write(chunk.upper())
        return response

    words: asyncio.Queue[bytes | None] = asyncio.Queue()

    async def body() -> AsyncIterator[bytes]:
        while (word := await words.get()) is not None:
            yield word

    words.put_nowait(b"one")
    async with (
        open_connected(shout) as connection,
        connection.open_stream(Call("POST", "/", body=body(), timeout=5)) as answer,
    ):
        chunks = answer.chunks()
        assert await anext(chunks) == b"ONE"
        words.put_nowait(b"two")
        assert await anext(chunks) == b"TWO"
        words.put_nowait(None)
        assert [chunk async for chunk in chunks] == []


async def test_stream_is_not_decompressed() -> None:
    packed = gzip.compress(b"hello")

    async def compress(request: web.BaseRequest) -> web.Response:
        return web.Response(body=packed, headers={"Content-Encoding": "gzip"})

    async with open_connected(compress) as connection, connection.open_stream(Call("GET", "/", timeout=5)) as answer:
        assert b"".join([chunk async for chunk in answer.chunks()]) == packed
        assert (b"content-encoding", b"gzip") in answer.headers


async def test_leaving_a_stream_ends_it_upstream() -> None:
    ended = asyncio.Event()

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\none\r\n")
        await reader.read()
        ended.set()

    async with open_raw_server(drip) as url, open_connection(Target(url)) as connection:
        async with connection.open_stream(Call("GET", "/", timeout=5)) as answer:
            assert await anext(answer.chunks()) == b"one"
        async with asyncio.timeout(PATIENCE):
            await ended.wait()


async def test_many_open_streams_leave_room_for_a_request() -> None:
    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/readyz":
            return web.Response(text="ok")
        stream = web.StreamResponse()
        await stream.prepare(request)
        await asyncio.Event().wait()
        return stream

    async with open_connected(answer) as connection, AsyncExitStack() as watches:
        for _ in range(200):
            await watches.enter_async_context(connection.open_stream(Call("GET", "/watch", timeout=5)))
        assert (await connection.request(Call("GET", "/readyz", timeout=2))).status == 200


async def test_silence_in_a_stream_is_a_timeout() -> None:
    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\none")
        await reader.read()

    async with (
        open_raw_server(drip) as url,
        open_connection(Target(url)) as connection,
        connection.open_stream(Call("GET", "/", timeout=5, idle_timeout=0.1)) as answer,
    ):
        with pytest.raises(ClusterTimeout, match=r"within 0\.1 s"):
            assert [chunk async for chunk in answer.chunks()] == [b"one"]


async def test_connections_are_reused() -> None:
    ports: set[int] = set()

    async def remember(request: web.BaseRequest) -> web.Response:
        assert request.transport is not None
        ports.add(request.transport.get_extra_info("peername")[1])
        return web.Response(text="x")

    async with open_connected(remember) as connection:
        for _ in range(5):
            await connection.request(Call("GET", "/", timeout=5))
            async with connection.open_stream(Call("GET", "/", timeout=5)) as answer:
                assert [chunk async for chunk in answer.chunks()] == [b"x"]
    assert len(ports) == 1


FAULTS: dict[str, tuple[bytes, type[ClusterError]]] = {
    "no answer": (b"", ClusterUnreachable),
    "not http": (b"SSH-2.0-OpenSSH_9.2\r\n\r\n", ClusterAnswerInvalid),
    "cut head": (b"HTTP/1.1 200 OK\r\nContent-Le", ClusterUnreachable),
    "cut body": (b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nabc", ClusterUnreachable),
    "cut chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nabc", ClusterUnreachable),
    "bad chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc\r\n", ClusterError),
    "bad status": (b"HTTP/1.1 abc OK\r\n\r\n", ClusterAnswerInvalid),
    "endless head": (b"HTTP/1.1 200 OK\r\nX: " + b"a" * 200_000 + b"\r\n\r\n", ClusterAnswerInvalid),
    "bad gzip": (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", ClusterAnswerInvalid),
    "odd encoding": (b"HTTP/1.1 200 OK\r\nContent-Encoding: br\r\nContent-Length: 3\r\n\r\nabc", ClusterAnswerInvalid),
}


@pytest.mark.parametrize("fault", FAULTS)
async def test_no_foreign_exception_leaks(fault: str) -> None:
    said, expected = FAULTS[fault]

    async def misbehave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(said)
        await writer.drain()

    async with open_raw_server(misbehave) as url, open_connection(Target(url)) as connection:
        with pytest.raises(FleetError) as raised:
            await connection.request(Call("GET", "/", timeout=5))
        assert type(raised.value) is expected or expected is ClusterError


@pytest.mark.parametrize("fault", [name for name in FAULTS if "encoding" not in name and "gzip" not in name])
async def test_no_foreign_exception_leaks_from_a_stream(fault: str) -> None:
    async def misbehave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(FAULTS[fault][0])
        await writer.drain()

    async with open_raw_server(misbehave) as url, open_connection(Target(url)) as connection:
        with pytest.raises(ClusterError):
            async with connection.open_stream(Call("GET", "/", timeout=5)) as answer:
                assert [chunk async for chunk in answer.chunks()]


async def test_a_server_that_hangs_is_a_timeout() -> None:
    async def hang(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with open_raw_server(hang) as url, open_connection(Target(url)) as connection:
        with pytest.raises(ClusterTimeout, match=r"no answer from .* within 0\.2 s"):
            await connection.request(Call("GET", "/", timeout=0.2))
        with pytest.raises(ClusterTimeout):
            async with connection.open_stream(Call("GET", "/", timeout=0.2)):
                pass


@pytest.mark.parametrize(
    ("endpoint", "words"),
    [
        ("http://127.0.0.1:1", "Connection refused"),
        ("http://no-such-host.invalid", "can't be resolved"),
        ("https://127.0.0.1:1", "Connection refused"),
    ],
)
async def test_unreachable_says_why(endpoint: str, words: str) -> None:
    async with open_connection(Target(endpoint)) as connection:
        with pytest.raises(ClusterUnreachable, match=words):
            await connection.request(Call("GET", "/", timeout=20))


async def test_a_closed_connection_says_so() -> None:
    async with open_connection(Target("http://127.0.0.1:1")) as connection:
        await connection.close()
        with pytest.raises(ClusterUnreachable, match="closed"):
            await connection.request(Call("GET", "/", timeout=5))


@pytest.mark.parametrize(
    ("path", "query", "headers"),
    [
        ("api", "", ()),
        ("/a b", "", ()),
        ("/a#b", "", ()),
        ("/a?b", "", ()),
        ("/a\r\nX: y", "", ()),
        ("/a", "x=y z", ()),
        ("/a", "x=y\nz", ()),
        ("/a", "", [(b"X-A", b"b\r\nX-C: d")]),
        ("/a", "", [(b"X A", b"b")]),
    ],
)
async def test_what_can_not_be_sent_is_refused(path: str, query: str, headers: list[tuple[bytes, bytes]]) -> None:
    async with open_connection(Target("http://127.0.0.1:1")) as connection:
        with pytest.raises(InvalidQuery):
            await connection.request(Call("GET", path, query=query, headers=headers, timeout=5))


async def test_dot_segments_are_not_resolved() -> None:
    async with open_connected(echo) as connection:
        answer = await connection.request(Call("GET", "/a/%2e%2e/b/./c", timeout=5))
    assert b"GET /a/%2e%2e/b/./c" in answer.body
