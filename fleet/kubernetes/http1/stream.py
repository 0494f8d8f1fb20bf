"""A connection as a pipe of bytes: each side waits for the other, and what has arrived is read before an error is."""

import asyncio
import contextlib
import socket
import ssl
from collections import deque
from typing import Any, cast

FLUSH_SECONDS = 5.0
"""What is already written has this long to leave when a connection is closed."""

_HIGH_WATER = 64 * 1024
# An end that is gone without a word is noticed within a minute: streams may be silent for hours.
_KEEP_ALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 60_000))


class Pipe(asyncio.Protocol):
    """Both directions of a connection.

    Not asyncio's streams, which forget what has arrived as soon as a write fails. And TLS is here, not the event
    loop's: uvloop's loses up to 256 KiB of what has arrived when the other side closes while reading is paused.
    """

    def __init__(self) -> None:
        self._tls: _Tls | None = None
        self._transport: asyncio.Transport
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._paused = False
        self._ended = False
        self._error: Exception | None = None
        self._news = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keeps the transport."""
        self._transport = cast("asyncio.Transport", transport)
        set_keep_alive(transport.get_extra_info("socket"))

    def data_received(self, data: bytes) -> None:
        """Takes what arrived; the other side waits while too much of it is unread."""
        try:
            plain = data if self._tls is None else self._tls.decrypt(data)
        except ssl.SSLError as error:
            self._transport.abort()
            self._end(error)
            return
        if plain:
            self._pieces.append(plain)
            self._size += len(plain)
        self._send_due()
        if self._tls is not None and self._tls.over:
            self._end(None)
        if self._size > _HIGH_WATER and not self._paused:
            self._paused = True
            self._transport.pause_reading()
        self._news.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Notes the end, and why."""
        self._end(exc)

    def pause_writing(self) -> None:
        """The other side does not read fast enough."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """It reads again."""
        self._writable.set()

    async def start_tls(self, context: ssl.SSLContext, server_hostname: str) -> None:
        """Goes on in TLS. Raises OSError, of which ssl.SSLError is one."""
        self._tls = _Tls(context, server_hostname)
        while not self._tls.shake_hands():
            self._send_due()
            self._news.clear()
            await self._news.wait()
            if self._ended:
                raise self._error or ConnectionResetError("the connection was closed during the TLS handshake")
        self._send_due()
        # What came in the same packet as the end of the handshake.
        self.data_received(b"")

    async def read(self) -> bytes:
        """Bytes as they arrive; empty at the end. Raises OSError where the end is none."""
        while not self._pieces and not self._ended:
            self._news.clear()
            await self._news.wait()
        if not self._pieces and self._error is not None:
            raise self._error if isinstance(self._error, OSError) else ConnectionResetError(str(self._error))
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        if self._paused and not self._ended:
            self._paused = False
            self._transport.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        """Sends, and waits while the other side does not read. Raises ConnectionResetError when it is gone."""
        if self._ended:
            raise ConnectionResetError("the connection is closed")
        if self._tls is None:
            self._transport.write(data)
        else:
            self._tls.encrypt(data)
            self._send_due()
        await self._writable.wait()

    def close(self) -> None:
        """Ends the connection; what is written may leave first, within a bound."""
        if self._tls is not None:
            self._tls.say_goodbye()
            self._send_due()
        self._transport.close()
        asyncio.get_running_loop().call_later(FLUSH_SECONDS, self._transport.abort)

    def _end(self, error: Exception | None) -> None:
        self._error = self._error or error
        self._ended = True
        self._news.set()
        self._writable.set()

    def _send_due(self) -> None:
        """Sends what TLS has to say, which is more than what was written."""
        if self._tls is not None and (due := self._tls.outgoing.read()) and not self._transport.is_closing():
            self._transport.write(due)


class _Tls:
    """TLS between bytes and bytes."""

    def __init__(self, context: ssl.SSLContext, server_hostname: str) -> None:
        self.outgoing = ssl.MemoryBIO()
        self.over = False
        """The other side said goodbye; it may wait for us to go before it closes."""
        self._incoming = ssl.MemoryBIO()
        self._ready = False
        self._object = context.wrap_bio(self._incoming, self.outgoing, server_hostname=server_hostname)

    def shake_hands(self) -> bool:
        """One more step; whether it was the last. Raises ssl.SSLError."""
        try:
            self._object.do_handshake()
        except ssl.SSLWantReadError:
            return False
        self._ready = True
        return True

    def decrypt(self, data: bytes) -> bytes:
        """All that can be read by now; nothing while hands are shaken. Raises ssl.SSLError."""
        self._incoming.write(data)
        pieces: list[bytes] = []
        try:
            while self._ready and not self.over:
                piece = self._object.read(_HIGH_WATER)
                pieces.append(piece)
                self.over = not piece
        except ssl.SSLWantReadError:
            pass  # the rest has not come yet
        return b"".join(pieces)

    def encrypt(self, data: bytes) -> None:
        """Puts what is to be sent into `outgoing`. Raises ssl.SSLError."""
        self._object.write(data)

    def say_goodbye(self) -> None:
        """Puts the end of TLS into `outgoing`."""
        with contextlib.suppress(ssl.SSLError):  # it waits for the other side's, which nobody will read
            self._object.unwrap()


def keep_alive_socket(address: tuple[Any, ...]) -> socket.socket:
    """A socket for an address of `getaddrinfo`, on which a silent end of the other side is noticed within a minute."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    set_keep_alive(made)
    return made


def set_keep_alive(made: socket.socket) -> None:
    """Lets the system ask a silent other side whether it is there."""
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE:
        if hasattr(socket, name):  # each system has its own of these
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
