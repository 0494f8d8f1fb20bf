"""In the place of an HTTP server: passes on to it, or answers as an ill one would."""

import asyncio
import contextlib
import os
import re
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

Answer = Callable[[asyncio.StreamWriter], Awaitable[None]]
Watch = Callable[[AsyncIterator[bytes]], AsyncIterator[list[bytes]]]
"""The events of a watch as they are sent, made of those that came; its end cuts the watch."""

_CHUNK = 64 * 1024
_LENGTH = re.compile(rb"(?i)\r\ncontent-length: *(\d+)")


def answer_status(status: int, *headers: str) -> Answer:
    """Always this status, as an API server says it."""
    body = b'{"kind":"Status","apiVersion":"v1","status":"Failure","message":"made up","code":%d}' % status
    return answer_bytes(_head(f"{status} Made-Up", "Content-Type: application/json", *headers, body=body))


def answer_bytes(data: bytes) -> Answer:
    """These bytes, then the end."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(data)
        await writer.drain()

    return answer


def answer_for_ever(first: bytes, again: bytes, pause: float = 0.0) -> Answer:
    """The same again and again, until the caller is gone."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(first)
        while True:
            writer.write(again)
            await writer.drain()
            await asyncio.sleep(pause)

    return answer


def _head(status: str, *headers: str, body: bytes) -> bytes:
    lines = [f"HTTP/1.1 {status}", *headers, f"Content-Length: {len(body)}", "Connection: close", "", ""]
    return "\r\n".join(lines).encode() + body


_JSON = "Content-Type: application/json"
_LIST = b'{"kind":"List","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":['
_ITEM = b'{"metadata":{"name":"a","namespace":"b","uid":"c"}},' * 1000
ANSWERS: dict[str, Answer] = {
    "cut mid-answer": answer_bytes(_head("200 OK", _JSON, body=_LIST + b" " * 5000)[:-4000]),
    "garbage": answer_bytes(os.urandom(4096)),
    "a page of HTML": answer_bytes(_head("200 OK", "Content-Type: text/html", body=b"<html>Sign in</html>")),
    "huge": answer_for_ever(
        b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: 68719476736\r\n\r\n" % _JSON.encode(), _LIST * 500
    ),
    "endless": answer_for_ever(
        b"HTTP/1.1 200 OK\r\n%b\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n"
        % (_JSON.encode(), len(_LIST), _LIST),
        b"%x\r\n%b\r\n" % (len(_ITEM), _ITEM),
    ),
    "slow": answer_for_ever(
        b"HTTP/1.1 200 OK\r\n%b\r\nContent-Length: 100000\r\n\r\n" % _JSON.encode(), b" ", pause=0.05
    ),
    "401": answer_status(401),
    "403": answer_status(403),
    "429": answer_status(429, "Retry-After: 1"),
    "500": answer_status(500),
    "503": answer_status(503),
}


class HttpFaults:
    """What is answered now: by the server behind, or by `answer`."""

    def __init__(self, url: str, upstream_tls: ssl.SSLContext | None) -> None:
        parts = urlsplit(url)
        self._target = (parts.hostname or "", parts.port or 443)
        self._upstream_tls = upstream_tls
        self.watch: Watch | None = None
        """What becomes of the events of watches, where something does."""
        self._answer: Answer | None = None
        self._tasks: set[asyncio.Task[None]] = set()

    def answer(self, answer: Answer | None) -> None:
        """From now on; what is under way is cut."""
        self._answer = answer
        self.cut()

    def cut(self) -> None:
        for task in self._tasks:
            task.cancel()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            with contextlib.suppress(OSError, asyncio.IncompleteReadError):
                if self._answer is None and self.watch is None:
                    await self._carry(reader, writer)
                    return
                head = await reader.readuntil(b"\r\n\r\n")
                if self._answer is None:
                    await self._carry(reader, writer, head)
                else:
                    if length := _LENGTH.search(head):
                        await reader.readexactly(int(length[1]))
                    await self._answer(writer)
        except asyncio.CancelledError:
            writer.transport.abort()
        finally:
            self._tasks.discard(task)
            writer.close()

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, head: bytes = b"") -> None:
        back, forth = await asyncio.open_connection(*self._target, ssl=self._upstream_tls)
        forth.write(head)
        down = self._change(self.watch, back, writer) if self.watch and b"watch=" in head else _copy(back, writer)
        copies = [asyncio.create_task(_copy(reader, forth)), asyncio.create_task(down)]
        try:
            await asyncio.wait(copies, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for copy in copies:
                copy.cancel()
            await asyncio.gather(*copies, return_exceptions=True)
            forth.close()

    async def _change(self, watch: Watch, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """The events of a watch, which an API server sends as a chunk each."""
        writer.write(await reader.readuntil(b"\r\n\r\n"))
        async for events in watch(_read_chunks(reader)):
            for event in events:
                writer.write(b"%x\r\n%b\r\n" % (len(event), event))
            await writer.drain()


async def _read_chunks(reader: asyncio.StreamReader) -> AsyncIterator[bytes]:
    while size := int(await reader.readuntil(b"\r\n"), 16):
        yield (await reader.readexactly(size + 2))[:-2]


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(_CHUNK):
        writer.write(chunk)
        await writer.drain()


@asynccontextmanager
async def open_http_faults(
    url: str, *, upstream_tls: ssl.SSLContext | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[str, HttpFaults]]:
    """In the place of the server at a URL; gives the URL to use instead, and what is answered there."""
    faults = HttpFaults(url, upstream_tls)
    server = await asyncio.start_server(faults.serve, "127.0.0.1", 0, ssl=tls)
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{server.sockets[0].getsockname()[1]}", faults
    finally:
        server.close()
        faults.answer(None)
        await server.wait_closed()
