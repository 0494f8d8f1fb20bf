"""A small load generator: keep-alive connections over raw sockets, one request after the other on each."""

import asyncio
import math
import ssl
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import chain, islice
from statistics import median
from typing import cast
from urllib.parse import urlsplit

_ANSWER_SECONDS = 30.0


@dataclass(frozen=True)
class Ask:
    """A request that is sent again and again. `tls` is None for plain HTTP."""

    url: str
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    tls: ssl.SSLContext | None = None

    @cached_property
    def wire(self) -> bytes:
        """What goes over the wire: a POST where there is a body, else a GET."""
        parts = urlsplit(self.url)
        target = f"{parts.path}?{parts.query}" if parts.query else parts.path
        headers = {"Host": parts.netloc, **self.headers}
        if self.body:
            headers["Content-Length"] = str(len(self.body))
        lines = [f"{'POST' if self.body else 'GET'} {target} HTTP/1.1", *(f"{k}: {v}" for k, v in headers.items())]
        return "\r\n".join(lines).encode() + b"\r\n\r\n" + self.body


@dataclass(frozen=True)
class Load:
    """What a span of load gave: answers a second, and the times in seconds that half, 99 % and all stayed within."""

    rate: float
    p50: float
    p99: float
    longest: float


def build_load(times: list[float], seconds: float) -> Load:
    """Of the times of all answers within a span. Raises ValueError where there was none."""
    if not times:
        raise ValueError("nothing was answered")
    ordered = sorted(times)
    most = ordered[math.ceil(len(ordered) * 0.99) - 1]
    return Load(rate=len(ordered) / seconds, p50=median(ordered), p99=most, longest=ordered[-1])


class AnswerError(Exception):
    """An answer that was not 200, or none: then there is nothing to measure."""


class _Exchange(asyncio.Protocol):
    """One connection. `ask` sends and waits for the whole answer's body."""

    def __init__(self) -> None:
        self._transport: asyncio.WriteTransport | None = None
        self._buffer = bytearray()
        self._body_at = 0
        self._end: int | None = None
        self._waiting: asyncio.Future[bytes] | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.WriteTransport", transport)  # uvloop's does not say that it is one

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        if not self._body_at and (head := self._buffer.find(b"\r\n\r\n")) >= 0:
            self._body_at = head + 4
            self._end = self._read_head(bytes(self._buffer[:head]).lower())
        if self._body_at and self._is_whole():
            self._finish()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(AnswerError(f"the connection was closed before the answer ended: {exc}"))

    async def ask(self, request: bytes) -> bytes:
        """The body of the answer. Raises AnswerError."""
        assert self._transport is not None
        self._waiting = asyncio.get_running_loop().create_future()
        self._transport.write(request)
        return await self._waiting

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def _read_head(self, head: bytes) -> int | None:
        """Where the answer ends; None where its chunks say so."""
        if b" 200 " not in head[:16]:
            self._fail(head[:200])
        length = head.find(b"\r\ncontent-length:")
        if length < 0:
            return None
        return self._body_at + int(head[length + 17 :].split(b"\r\n", 1)[0])

    def _is_whole(self) -> bool:
        return self._buffer.endswith(b"\r\n0\r\n\r\n") if self._end is None else len(self._buffer) >= self._end

    def _finish(self) -> None:
        body = bytes(self._buffer[self._body_at :])
        chunked = self._end is None
        self._buffer.clear()
        self._body_at, self._end = 0, None
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_result(_join_chunks(body) if chunked else body)

    def _fail(self, head: bytes) -> None:
        if self._waiting is not None and not self._waiting.done():
            self._waiting.set_exception(AnswerError(head.decode("latin-1")))


def _join_chunks(body: bytes) -> bytes:
    whole = bytearray()
    at = 0
    while size := int(body[at : (line := body.index(b"\r\n", at))], 16):
        whole += body[line + 2 : line + 2 + size]
        at = line + 4 + size
    return bytes(whole)


@asynccontextmanager
async def open_exchange(ask: Ask) -> AsyncIterator[_Exchange]:
    """A connection to where the request goes."""
    parts = urlsplit(ask.url)
    assert parts.hostname is not None
    assert parts.port is not None
    loop = asyncio.get_running_loop()
    _, exchange = await loop.create_connection(_Exchange, parts.hostname, parts.port, ssl=ask.tls)
    try:
        yield exchange
    finally:
        exchange.close()


async def fetch(ask: Ask) -> bytes:
    """One answer's body. Raises AnswerError."""
    async with open_exchange(ask) as exchange, asyncio.timeout(_ANSWER_SECONDS):
        return await exchange.ask(ask.wire)


async def time_answers(asks: Sequence[Ask]) -> float:
    """The median time of an answer, one after the other on one connection, in seconds. Raises AnswerError."""
    times = []
    async with open_exchange(asks[0]) as exchange, asyncio.timeout(_ANSWER_SECONDS + len(asks)):
        for ask in asks:
            request = ask.wire
            started = time.perf_counter()
            await exchange.ask(request)
            times.append(time.perf_counter() - started)
    return median(times)


async def time_together(asks: Sequence[Sequence[Ask]]) -> float:
    """As `time_answers`, of requests that are sent at once, each on a connection of its own, until all are answered."""
    times = []
    async with AsyncExitStack() as stack, asyncio.timeout(_ANSWER_SECONDS + len(asks)):
        exchanges = [await stack.enter_async_context(open_exchange(ask)) for ask in asks[0]]
        for together in asks:
            requests = [ask.wire for ask in together]
            started = time.perf_counter()
            await asyncio.gather(*(exchange.ask(wire) for exchange, wire in zip(exchanges, requests, strict=True)))
            times.append(time.perf_counter() - started)
    return median(times)


async def time_next(asks: Iterator[Ask], count: int) -> float:
    """As `time_answers`, of so many more requests."""
    return await time_answers(list(islice(asks, count)))


async def run_load(asks: Iterable[Ask], connections: int, seconds: float) -> Load:
    """Asks on all connections at once for a span of time, each time the next of endless requests to one place.

    Raises AnswerError.
    """
    coming = iter(asks)
    first = next(coming)
    coming = chain([first], coming)
    times: list[float] = []

    async def keep_asking(exchange: _Exchange, until: float) -> None:
        while time.perf_counter() < until:
            request = next(coming).wire
            started = time.perf_counter()
            await exchange.ask(request)
            times.append(time.perf_counter() - started)

    async with AsyncExitStack() as stack:
        exchanges = [await stack.enter_async_context(open_exchange(first)) for _ in range(connections)]
        started = time.perf_counter()
        async with asyncio.timeout(seconds + _ANSWER_SECONDS), asyncio.TaskGroup() as group:
            for exchange in exchanges:
                group.create_task(keep_asking(exchange, started + seconds))
        return build_load(times, time.perf_counter() - started)
