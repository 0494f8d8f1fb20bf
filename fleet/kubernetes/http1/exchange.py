"""One question to an API server over HTTP/1.1: sent, once more where that does no harm, its answer read as it comes.

Source: RFC 9110 section 9.2.2 (idempotent methods), RFC 9112 section 9.3.1 (retrying), section 7.1 (chunks).
"""

import asyncio
from collections.abc import AsyncIterator

from fleet.kubernetes.http1.pool import Pool
from fleet.kubernetes.http1.protocol import Wire
from fleet.ports import RawHeaders

Body = bytes | AsyncIterator[bytes] | None

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


class BodyProblem(OSError):
    """The body to send is not as long as its header says."""


class Question:
    """One question and its answer. Whoever has opened it ends it with `end`, whatever happens."""

    __slots__ = ("_pool", "_sending", "_wire")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._wire: Wire | None = None
        self._sending: asyncio.Task[None] | None = None

    @property
    def status(self) -> int:
        """Of the answer."""
        return self._answered.status

    @property
    def headers(self) -> RawHeaders:
        """Of the answer, as they came, names in lower case."""
        return self._answered.headers

    @property
    def is_whole(self) -> bool:
        """Whether the whole answer has arrived, read or unread."""
        return self._answered.is_whole

    async def ask(self, method: str, head: bytes, body: Body, length: int | None, timeout: float) -> None:
        """Sends it and waits for the answer's head, `timeout` seconds at most for both.

        `length` is that of a body that is still arriving, None for one in chunks. A kept connection that turns out to
        be closed before a byte of the answer came is given up for a new one where the method changes nothing. Raises
        OSError, TimeoutError, AnswerProblem, and what the body raises.
        """
        wire = self._pool.take_kept()
        if wire is not None:
            self._wire = wire
            try:
                await self._ask_on(wire, method, head, body, length, timeout)
            except ConnectionError:
                if method not in _SAFE or body is not None or not wire.is_untouched:
                    raise
                self.end()
            else:
                return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        async with asyncio.timeout_at(deadline):
            wire = self._wire = await self._pool.dial()
        await self._ask_on(wire, method, head, body, length, max(0.0, deadline - loop.time()))

    async def read(self, timeout: float | None) -> bytes:
        """The body's next bytes, empty at its end; `timeout` (s) bounds the silence. Raises as `ask`."""
        return await self._answered.read(timeout)

    def end(self) -> None:
        """Ends it: its connection is kept where question and answer are whole, else closed."""
        wire, sending = self._wire, self._sending
        self._wire = self._sending = None
        if sending is not None and not sending.done():
            sending.cancel()
            if wire is not None:
                wire.close()
        if wire is not None:
            self._pool.give_back(wire)

    @property
    def _answered(self) -> Wire:
        if self._wire is None:
            raise ConnectionResetError("the question has ended")
        return self._wire

    async def _ask_on(
        self, wire: Wire, method: str, head: bytes, body: Body, length: int | None, timeout: float
    ) -> None:
        if body is None or isinstance(body, bytes):
            wire.ask(head + body if body else head, head_only=method == "HEAD")
        else:
            wire.ask(head, head_only=method == "HEAD")
            self._sending = asyncio.ensure_future(_send(wire, body, length))
        await wire.read_head(timeout)


async def _send(wire: Wire, body: AsyncIterator[bytes], length: int | None) -> None:
    """Sends a body as it arrives. What the body raises is what the answer's reader is told."""
    try:
        if length is None:
            await _send_chunks(wire, body)
        else:
            await _send_bytes(wire, body, length)
    except ConnectionError:
        return  # the answer may have come all the same; else its reader learns of the end
    except Exception as error:  # noqa: BLE001 - answered: half a body must not end as a whole one
        wire.break_off(error)


async def _send_chunks(wire: Wire, body: AsyncIterator[bytes]) -> None:
    async for piece in body:
        if piece:
            wire.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await wire.drain()
    wire.write(b"0\r\n\r\n")


async def _send_bytes(wire: Wire, body: AsyncIterator[bytes], length: int) -> None:
    left = length
    async for piece in body:
        left -= len(piece)
        if left < 0:
            break
        if piece:
            wire.write(piece)
            await wire.drain()
    if left:
        raise BodyProblem(f"the body is {'longer' if left < 0 else 'shorter'} than its Content-Length")
