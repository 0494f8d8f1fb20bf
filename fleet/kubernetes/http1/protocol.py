"""One HTTP/1.1 connection to an API server: one question after the other, each answer while it arrives.

An answer is whole only when its framing says so; whatever else ends it is an error. Source: RFC 9112 sections 6 and 8.
"""

import asyncio
import ssl
from collections.abc import Callable
from typing import cast

import httptools

from fleet.kubernetes.http1.stream import set_keep_alive
from fleet.kubernetes.http1.tls import Tls
from fleet.ports import RawHeaders

MAX_HEAD_BYTES = 64 * 1024
"""Of an answer's head, the informational ones before it included, and of what follows its body."""

_HIGH_WATER = 256 * 1024
_FLUSH_SECONDS = 5.0
_TOO_LARGE = f"its header is larger than {MAX_HEAD_BYTES} bytes"


class AnswerProblem(Exception):
    """What arrived is no answer; the message says why, in words of ours or the parser's."""


class Wire(asyncio.Protocol):
    """The protocol of a connection. `on_lost` is called once, when it is gone."""

    def __init__(self, on_lost: Callable[["Wire"], None]) -> None:
        self.status = 0
        self.headers: RawHeaders = []
        self.is_whole = False
        self.is_untouched = True
        self.kept_since = 0.0
        self._loop = asyncio.get_running_loop()
        self._on_lost = on_lost
        self._transport: asyncio.Transport
        self._tls: Tls | None = None
        self._ready = False  # past the TLS handshake: what arrives is HTTP
        self._parser = httptools.HttpResponseParser(self)
        self._asked = False
        self._head_only = False
        self._has_head = False
        self._to_the_end = False
        self._keeps = False
        self._trailer_bytes = self._fed = 0
        self._quiet_bytes = 0
        self._moved = False
        self._pieces: list[bytes] = []
        self._size = 0
        self._reading_paused = False
        self._lost = False
        self._error: Exception | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._writable: asyncio.Future[None] | None = None

    # What the owner of a question calls.

    async def start(self, tls: Tls | None) -> None:
        """Makes it fit for questions, in TLS where there is one. Raises OSError, of which ssl.SSLError is one."""
        if tls is not None:
            self._tls = tls
            try:
                while not tls.shake_hands():
                    self._send_due()
                    await self._wait(None)
                    if self._lost:
                        raise self._error or ConnectionResetError("the connection was closed in the TLS handshake")
            finally:
                self._send_due()  # the last word may be the alert that says what is wrong
        self._ready = True
        self.data_received(b"")  # what came in the same packet as the end of the handshake

    async def read_plain(self, end: bytes, limit: int) -> bytes:
        """What arrives before HTTP begins, until `end` or `limit`: a proxy's answer. Raises OSError."""
        while (said := b"".join(self._pieces)).find(end) < 0 and len(said) < limit and not self._lost:
            await self._wait(None)
        self._pieces.clear()
        self._size = 0
        return said

    def ask(self, question: bytes, *, head_only: bool) -> None:
        """Sends a question, or its first part; the answer to HEAD is a head only. Raises ConnectionResetError."""
        self.is_untouched, self.is_whole = True, False
        self.status, self.headers = 0, []
        self._asked, self._head_only, self._has_head = True, head_only, False
        self._to_the_end = self._keeps = False
        self._trailer_bytes = self._quiet_bytes = 0
        self.write(question)

    def write(self, data: bytes) -> None:
        """Sends. Raises ConnectionResetError where the connection is gone."""
        if self._lost or self._transport.is_closing():
            raise self._error or ConnectionResetError("the connection is closed")
        self._transport.write(data if self._tls is None else self._tls.encrypt(data))

    async def drain(self) -> None:
        """Waits while the other side does not read. Raises ConnectionResetError where it is gone."""
        if self._writable is not None:
            await self._writable
        if self._lost:
            raise ConnectionResetError("the connection is closed")

    async def read_head(self, timeout: float) -> None:
        """Until `status` and `headers` are there, `timeout` (s) at most. Raises OSError, AnswerProblem."""
        while not self._has_head:
            if self._error is not None:
                raise self._error
            await self._wait(timeout)

    async def read(self, timeout: float | None) -> bytes:
        """The body's next bytes; empty at its end. `timeout` (s) bounds the silence before them. Raises as above."""
        while not self._pieces:
            if self.is_whole:
                return b""
            if self._error is not None:
                raise self._error
            await self._wait(timeout)
        pieces = self._pieces
        self._pieces = []
        self._size = 0
        if self._reading_paused and not self._lost:
            self._reading_paused = False
            self._transport.resume_reading()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def break_off(self, error: Exception) -> None:
        """Ends the connection under a question that can't be ended; the answer's reader gets the error."""
        self._fail(error)

    def finish(self) -> bool:
        """Ends the question; whether another can be asked."""
        self._asked = False
        self._pieces = []
        self._size = 0
        if self._reading_paused and not self._lost:
            self._reading_paused = False
            self._transport.resume_reading()
        if self._head_only:
            self._parser = httptools.HttpResponseParser(self)  # it waits for a body that does not come
        return self.is_whole and self._keeps and not self._lost and not self._transport.is_closing()

    def close(self, *, gently: bool = False) -> None:
        """Ends the connection: at once, or after what is written has left, within a bound."""
        if not gently:
            self._transport.abort()
            return
        self._transport.close()
        if not self._lost:
            self._loop.call_later(_FLUSH_SECONDS, self._transport.abort)

    # asyncio's callbacks.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self._transport = cast("asyncio.Transport", transport)
        set_keep_alive(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        """Takes what arrived."""
        if not self._ready:
            if self._tls is None:
                self._pieces.append(data)
            else:
                self._tls.receive(data)
            self._wake()
            return
        if self._tls is None:
            if data:
                self._take(data)
            return
        try:
            self._tls.decrypt(data, self._take)
        except ssl.SSLError as error:
            self._fail(error)
        self._send_due()
        if self._tls.said_goodbye:
            self._transport.close()

    def eof_received(self) -> None:
        """The end of what the other side says is the end of the connection."""

    def connection_lost(self, exc: Exception | None) -> None:
        """Notes the end, and what it means for the answer."""
        self._lost = True
        if not self.is_whole and self._error is None:
            # Without a goodbye, the end of TLS may be a cut that somebody on the way made.
            on_purpose = exc is None and (self._tls is None or self._tls.said_goodbye)
            if self._has_head and self._to_the_end and on_purpose:
                self.is_whole = True
            else:
                self._error = exc if isinstance(exc, OSError) else ConnectionResetError("it was closed")
        self.resume_writing()
        self._wake()
        self._on_lost(self)

    def pause_writing(self) -> None:
        """The other side does not read fast enough."""
        if self._writable is None:
            self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        """It reads again."""
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    # httptools' callbacks.

    def on_message_begin(self) -> None:
        """A second answer to one question is surplus."""
        if self.is_whole:
            self._keeps = False

    def on_header(self, name: bytes, value: bytes) -> None:
        """Takes one field, in which the parser lets no control character but a tab pass; after the body, counts it."""
        if not self._has_head:
            self.headers.append((name.lower(), value))
            return
        self._trailer_bytes += len(name) + len(value) + 4
        if self._trailer_bytes > MAX_HEAD_BYTES:
            raise AnswerProblem(_TOO_LARGE)

    def on_headers_complete(self) -> None:
        """Takes the head, unless it is informational; decides how the body ends."""
        if self.is_whole:
            return
        if self._quiet_bytes + self._fed > MAX_HEAD_BYTES and _measure(self.headers) > MAX_HEAD_BYTES:
            raise AnswerProblem(_TOO_LARGE)
        status = self._parser.get_status_code()
        if status < 200:
            self.headers = []
            if status == 101:
                raise AnswerProblem("it switches protocols, which was not asked for")
            return
        if status > 599 or self._parser.get_http_version() not in ("1.1", "1.0"):
            raise AnswerProblem(f"it is HTTP/{self._parser.get_http_version()} with status {status}")
        self.status = status
        self._has_head = True
        framed = _read_framing(self.headers)
        bodiless = self._head_only or status in (204, 304)
        self._to_the_end = not framed and not bodiless
        self._keeps = (framed or bodiless) and self._parser.should_keep_alive()
        if self._head_only:
            self.is_whole = True
        self._wake()

    def on_body(self, data: bytes) -> None:
        """Takes a piece; the other side waits while too much is unread."""
        self._moved = True
        if self.is_whole:
            self._keeps = False
            return
        self._pieces.append(data)
        self._size += len(data)
        if self._size > _HIGH_WATER and not self._reading_paused:
            self._reading_paused = True
            self._transport.pause_reading()
        self._wake()

    def on_message_complete(self) -> None:
        """The framing says that it is whole."""
        if self._has_head:
            self.is_whole = True
            self._wake()

    # Inside.

    def _take(self, data: bytes | memoryview) -> None:
        if not self._asked:
            self.close()  # nobody asked: whatever it says, the next answer on this connection could be another's
            return
        self.is_untouched = self._moved = False
        had_head = self._has_head
        self._fed = len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(AnswerProblem("it switches protocols, which was not asked for"))
        except httptools.HttpParserCallbackError as error:
            cause = error.__context__
            self._fail(cause if isinstance(cause, AnswerProblem) else AnswerProblem(str(error)))
        except httptools.HttpParserError as error:
            self._fail(AnswerProblem(str(error)))
        if self._moved or (self._has_head and not had_head):
            self._quiet_bytes = 0
            return
        # The parser tells of whole fields only: one without an end is noticed by what arrives and says nothing.
        self._quiet_bytes += len(data)
        if self._quiet_bytes > MAX_HEAD_BYTES:
            self._fail(AnswerProblem(_TOO_LARGE))

    def _fail(self, error: Exception) -> None:
        if self.is_whole:
            self._keeps = False  # the answer is whole: only what came after it is odd
        elif self._error is None:
            self._error = error
            self._wake()
        self._transport.abort()

    def _send_due(self) -> None:
        if self._tls is not None and (due := self._tls.due) and not self._lost and not self._transport.is_closing():
            self._transport.write(due)

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self, timeout: float | None) -> None:
        waiter = self._waiter = self._loop.create_future()
        timer = None if timeout is None else self._loop.call_later(timeout, _expire, waiter)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()


def _expire(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())


def _measure(headers: RawHeaders) -> int:
    return sum(len(name) + len(value) + len(": \r\n") for name, value in headers)


def _read_framing(headers: RawHeaders) -> bool:
    """Whether the head says where the body ends; else the connection's end is its end. Raises AnswerProblem."""
    framed = False
    for name, value in headers:
        if name == b"transfer-encoding":
            if framed or value.strip().lower() != b"chunked":
                raise AnswerProblem(f"its transfer encoding is {value[:50]!r}")
            framed = True
        elif name == b"content-length":
            framed = True
    return framed
