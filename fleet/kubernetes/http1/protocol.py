"""One HTTP/1.1 connection to an API server: its transport, TLS and state. One exchange after the other uses it."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from enum import Enum
from typing import cast

from fleet.kubernetes.http1.framing import HEAD, SWITCHED, UNTIL_CLOSE, AnswerProblem, Framing
from fleet.kubernetes.http1.reader import Reader
from fleet.kubernetes.http1.tls import Tls

_FLUSH_SECONDS = 5.0
# An end that is gone without a word is noticed within a minute: streams may be silent for hours.
_KEEP_ALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 60_000))


class ClosedEarly(ConnectionResetError):
    """The other side closed in order, before its answer was whole."""


class State(Enum):
    """What a connection is for now."""

    NEW = 0
    """Bytes are a proxy's."""
    HANDSHAKE = 1
    IDLE = 2
    ACTIVE = 3
    """Between a request and the end of its exchange."""
    UPGRADED = 4
    """Bytes are another protocol's."""
    CLOSED = 5


NEW, HANDSHAKE, IDLE, ACTIVE, UPGRADED, CLOSED = State


class HttpProtocol(asyncio.Protocol):
    """`on_change` is called when the connection is open and when it is closed, once each."""

    def __init__(self, on_change: Callable[["HttpProtocol"], None]) -> None:
        self.state = NEW
        self.idle_since = 0.0
        self._loop = asyncio.get_running_loop()
        self.reader = Reader(self._loop)
        self.response = Framing(self.reader)
        self._on_change = on_change
        self._transport: asyncio.Transport
        self._tls: Tls | None = None
        self._writable: asyncio.Future[None] | None = None

    # What the owner of an exchange calls.

    async def start(self, tls: Tls | None) -> None:
        """Makes it fit for requests, in TLS where there is one. Raises OSError, of which ssl.SSLError is one."""
        if self.state is CLOSED:
            raise ClosedEarly("it was closed")
        self.reader.restart()
        if tls is not None:
            self._tls = tls
            self.state = HANDSHAKE
            try:
                while not tls.handshake():
                    self._send_due()
                    await self.reader.wait(None)
                    if self.reader.error is not None:
                        raise self.reader.error
            finally:
                self._send_due()  # the last word may be the alert that says what is wrong
        self.state = IDLE
        if tls is not None:
            self.data_received(b"")  # what came in the same packet as the end of the handshake

    @property
    def peer_certificate(self) -> bytes | None:
        """In DER; None in plain HTTP."""
        return None if self._tls is None else self._tls.peer_certificate

    def send(self, request: bytes, *, head_only: bool = False, may_switch: bool = False) -> None:
        """Sends a request, or its first part; the answer to HEAD is a head only. Raises ConnectionResetError."""
        self.response.begin(head_only=head_only, may_switch=may_switch)
        self.state = ACTIVE
        self.write(request)

    def write(self, data: bytes) -> None:
        """Sends. Raises ConnectionResetError where the connection is gone."""
        if self.state is CLOSED or self._transport.is_closing():
            raise self.reader.error or ConnectionResetError("the connection is closed")
        self._transport.write(data if self._tls is None else self._tls.encrypt(data))

    async def drain(self) -> None:
        """Waits while the other side does not read. Raises ConnectionResetError where it is gone."""
        if self._writable is not None:
            await self._writable
        if self.state is CLOSED:
            raise ConnectionResetError("the connection is closed")

    async def read_head(self, timeout: float | None) -> None:
        """Until `response` has a status, `timeout` (s) at most. Raises OSError, AnswerProblem."""
        while self.response.part is HEAD:
            if self.reader.error is not None:
                raise self.reader.error
            await self.reader.wait(timeout)

    def abort(self, error: Exception) -> None:
        """Ends the connection under an exchange that can't be ended; the answer's reader gets the error.

        Where the answer is whole, the error is in what came after it, and is nobody's.
        """
        self.response.keeps_alive = False
        self.reader.end(error)
        self._transport.abort()

    def release(self) -> bool:
        """Ends the exchange; whether another can begin."""
        reusable = (
            self.state is ACTIVE
            and self.reader.is_ended
            and self.response.keeps_alive
            and not self._transport.is_closing()
        )
        if reusable:
            self.state = IDLE
            self.reader.restart()
        return reusable

    def close(self, *, gently: bool = False) -> None:
        """Ends the connection: at once, or after what is written has left, within a bound."""
        if not gently:
            self._transport.abort()
            return
        if self._tls is not None and self.state is not HANDSHAKE:
            self._tls.send_close_notify()
            self._send_due()
        self._transport.close()
        self._loop.call_later(_FLUSH_SECONDS, self._transport.abort)

    # asyncio's callbacks.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = self.reader.transport = cast("asyncio.Transport", transport)
        _set_keep_alive(transport.get_extra_info("socket"))
        self._on_change(self)

    def data_received(self, data: bytes) -> None:
        if self._tls is None:
            self._take(data)
            return
        if self.state is HANDSHAKE:
            self._tls.receive(data)
            self.reader.wake()
            return
        try:
            self._tls.decrypt(data, self._take)
        except ssl.SSLError as error:
            self.abort(error)
        self._send_due()
        if self._tls.received_close_notify:
            self.close(gently=True)
            self.connection_lost(None)  # the transport says so only when all that is written has left

    def connection_lost(self, exc: Exception | None) -> None:
        """Notes the end, and what it means for the answer."""
        if self.state is CLOSED:
            return
        state, self.state = self.state, CLOSED
        # Without a close_notify, the end of TLS may be a cut that somebody on the way made.
        orderly = exc is None and (self._tls is None or self._tls.received_close_notify)
        if state is NEW or (orderly and self.response.part is UNTIL_CLOSE):
            self.reader.end()
        elif state is UPGRADED:
            self.reader.end(exc)  # the other protocol knows its own end
        else:
            self.reader.end(exc if isinstance(exc, OSError) else ClosedEarly("it was closed"))
        self.resume_writing()
        self._on_change(self)

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = self._loop.create_future()

    def resume_writing(self) -> None:
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    def _take(self, data: bytes | memoryview) -> None:
        if self.state is ACTIVE:
            try:
                size = self.response.feed(data)
            except AnswerProblem as error:
                self.abort(error)
                return
            if self.response.part is not SWITCHED:
                return
            self.state = UPGRADED
            data = data[size:]
        if self.state is UPGRADED or self.state is NEW:
            if data:
                self.reader.feed(bytes(data))
        elif self.state is IDLE:
            self.close()  # nobody asked: whatever it says, the next answer on this connection could be another's

    def _send_due(self) -> None:
        if self._tls is not None and (due := self._tls.due) and not self._transport.is_closing():
            self._transport.write(due)


def _set_keep_alive(made: socket.socket) -> None:
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE:
        if hasattr(socket, name):  # each system has its own of these
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
