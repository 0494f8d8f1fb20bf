"""What has arrived on a connection and was not read yet, with back-pressure on whoever sends it."""

import asyncio
from collections.abc import AsyncIterator

HIGH_WATER = 256 * 1024


class Reader:
    """One reader waits at a time. The transport is paused while more than `high_water` bytes are unread."""

    __slots__ = ("_loop", "_paused", "_pieces", "_size", "_waiter", "error", "high_water", "is_ended", "transport")

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.transport: asyncio.Transport
        self.high_water = HIGH_WATER
        self._loop = loop
        self._waiter: asyncio.Future[None] | None = None
        self._paused = False
        self.restart()

    def restart(self) -> None:
        """Forgets what was not read: the next byte is the first of another answer."""
        self.is_ended = False
        self.error: Exception | None = None
        self._pieces: list[bytes] = []
        self._size = 0
        if self._paused:
            self._resume()

    def feed(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._size += len(piece)
        if self._size > self.high_water and not self._paused:
            self._paused = True
            self.transport.pause_reading()
        self.wake()

    def end(self, error: Exception | None = None) -> None:
        """Nothing more arrives, by an `error` or as it should. The first end counts."""
        if self.is_ended or self.error is not None:
            return
        self.error = error
        self.is_ended = error is None
        self.wake()

    async def read(self, timeout: float | None) -> bytes:
        """The next bytes; empty at the end. `timeout` (s) bounds the silence before them. Raises the end's error."""
        while not self._pieces:
            if self.is_ended:
                return b""
            if self.error is not None:
                raise self.error
            await self.wait(timeout)
        pieces = self._pieces
        self._pieces = []
        self._size = 0
        if self._paused:
            self._resume()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def chunks(self) -> AsyncIterator[bytes]:
        """All that `read` gives, without a bound on silence."""
        while piece := await self.read(None):
            yield piece

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def wait(self, timeout: float | None) -> None:
        """Until something happens on the connection, `timeout` (s) at most. Raises TimeoutError."""
        waiter = self._waiter = self._loop.create_future()
        timer = None if timeout is None else self._loop.call_later(timeout, _expire, waiter)
        try:
            await waiter
        finally:
            self._waiter = None
            if timer is not None:
                timer.cancel()

    def _resume(self) -> None:
        self._paused = False
        if not self.transport.is_closing():
            self.transport.resume_reading()


def _expire(waiter: "asyncio.Future[None]") -> None:
    if not waiter.done():
        waiter.set_exception(TimeoutError())
