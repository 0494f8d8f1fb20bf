"""WebSockets that cost the measuring side next to nothing: a thousand of them wait for one text."""

import asyncio
import base64
import os
import struct
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any, cast
from urllib.parse import urlsplit

import orjson

from bench.load import AnswerError
from bench.servers import Running

_SECONDS = 60.0


class PlainSocket(asyncio.Protocol):
    """One WebSocket (RFC 6455): sends texts, and notes when bytes arrive that hold what is waited for."""

    def __init__(self) -> None:
        self._transport: asyncio.Transport | None = None
        self._seen = bytearray()
        self._wanted = b""
        self._found: asyncio.Future[float] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._found is not None and not self._found.done():
            self._found.set_exception(AnswerError(f"the socket was closed: {exc}"))

    def data_received(self, data: bytes) -> None:
        self._seen += data
        if self._found is not None and not self._found.done() and self._wanted in self._seen:
            self._found.set_result(time.perf_counter())
        del self._seen[:-4096]

    def expect(self, wanted: bytes) -> "asyncio.Future[float]":
        """When bytes with this in them arrive; forgets what came before."""
        self._seen.clear()
        self._wanted = wanted
        self._found = asyncio.get_running_loop().create_future()
        return self._found

    def write(self, data: bytes) -> None:
        assert self._transport is not None
        self._transport.write(data)

    def say(self, message: Mapping[str, Any]) -> None:
        """Sends a text frame."""
        body, key = orjson.dumps(message), os.urandom(4)
        size = struct.pack("!B", 0x80 | len(body)) if len(body) < 126 else struct.pack("!BH", 0x80 | 126, len(body))
        self.write(b"\x81" + size + key + bytes(byte ^ key[i % 4] for i, byte in enumerate(body)))

    def close(self) -> None:
        if self._transport is not None:
            self._transport.abort()


async def open_acknowledged(server: Running) -> PlainSocket:
    """A socket that the server has acknowledged."""
    parts = urlsplit(server.url)
    assert parts.hostname is not None
    assert parts.port is not None
    loop = asyncio.get_running_loop()
    _, socket = await loop.create_connection(PlainSocket, parts.hostname, parts.port)
    key = base64.b64encode(os.urandom(16)).decode()
    upgraded = socket.expect(b"\r\n\r\n")
    socket.write(
        f"GET /graphql HTTP/1.1\r\nHost: {parts.netloc}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n"
        "Sec-WebSocket-Protocol: graphql-transport-ws\r\n\r\n".encode()
    )
    async with asyncio.timeout(_SECONDS):
        await upgraded
        acknowledged = socket.expect(b"connection_ack")
        socket.say({"type": "connection_init", "payload": {"Authorization": f"Bearer {server.token}"}})
        await acknowledged
    return socket


@asynccontextmanager
async def open_sockets(server: Running, count: int) -> AsyncIterator[list[PlainSocket]]:
    """So many sockets, opened a few at a time."""
    sockets: list[PlainSocket] = []
    try:
        for start in range(0, count, 50):
            opening = (open_acknowledged(server) for _ in range(min(50, count - start)))
            sockets += await asyncio.gather(*opening)
        yield sockets
    finally:
        for socket in sockets:
            socket.close()
