"""One request to an API server and its answer: sent, with its retry, and read as it comes.

Source: RFC 9112 section 7.1 (chunks).
"""

import asyncio
from collections.abc import AsyncIterator

from fleet.kubernetes.http1.framing import Framing
from fleet.kubernetes.http1.pool import Pool
from fleet.kubernetes.http1.protocol import HttpProtocol
from fleet.kubernetes.http1.reader import Reader
from fleet.kubernetes.http1.retry import may_retry

Body = bytes | AsyncIterator[bytes] | None


class BodyProblem(OSError):
    """The body to send is not as long as its header says."""


class Exchange:
    """One request and its answer. Whoever has opened it ends it with `end`, whatever happens."""

    __slots__ = ("_connection", "_pool", "_sending")

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._connection: HttpProtocol | None = None
        self._sending: asyncio.Task[None] | None = None

    @property
    def response(self) -> Framing:
        """The answer's status and headers, these as they came, names in lower case."""
        return self._used.response

    @property
    def reader(self) -> Reader:
        return self._used.reader

    async def send(self, method: str, head: bytes, body: Body, length: int | None, timeout: float) -> None:
        """Sends it and waits for the answer's head, `timeout` seconds at most for both.

        `length` is that of a body that is still arriving, None for one in chunks. Raises OSError, TimeoutError,
        AnswerProblem, and what the body raises.
        """
        connection = self._pool.take_idle()
        if connection is not None:
            self._connection = connection
            try:
                await self._send_on(connection, method, head, body, length, timeout)
            except ConnectionError:
                if not may_retry(method, body, connection):
                    raise
                self.end()
            else:
                return
        loop = asyncio.get_running_loop()
        deadline = loop.time() + timeout
        async with asyncio.timeout_at(deadline):
            connection = self._connection = await self._pool.dial()
        await self._send_on(connection, method, head, body, length, max(0.0, deadline - loop.time()))

    def end(self) -> None:
        """Ends it: its connection is kept where request and answer are whole, else closed."""
        connection, sending = self._connection, self._sending
        self._connection = self._sending = None
        if sending is not None and not sending.done():
            sending.cancel()
            if connection is not None:
                connection.close()
        if connection is not None:
            self._pool.release(connection)

    @property
    def _used(self) -> HttpProtocol:
        if self._connection is None:
            raise ConnectionResetError("the exchange has ended")
        return self._connection

    async def _send_on(
        self, connection: HttpProtocol, method: str, head: bytes, body: Body, length: int | None, timeout: float
    ) -> None:
        if body is None or isinstance(body, bytes):
            connection.send(head + body if body else head, head_only=method == "HEAD")
        else:
            connection.send(head, head_only=method == "HEAD")
            self._sending = asyncio.ensure_future(_send(connection, body, length))
        await connection.read_head(timeout)


async def _send(connection: HttpProtocol, body: AsyncIterator[bytes], length: int | None) -> None:
    """Sends a body as it arrives. What the body raises is what the answer's reader is told."""
    try:
        if length is None:
            await _send_chunks(connection, body)
        else:
            await _send_bytes(connection, body, length)
    except ConnectionError:
        return  # the answer may have come all the same; else its reader learns of the end
    except Exception as error:  # noqa: BLE001 - answered: half a body must not end as a whole one
        connection.abort(error)


async def _send_chunks(connection: HttpProtocol, body: AsyncIterator[bytes]) -> None:
    async for piece in body:
        if piece:
            connection.write(b"%x\r\n%b\r\n" % (len(piece), piece))
            await connection.drain()
    connection.write(b"0\r\n\r\n")


async def _send_bytes(connection: HttpProtocol, body: AsyncIterator[bytes], length: int) -> None:
    left = length
    async for piece in body:
        left -= len(piece)
        if left < 0:
            break
        if piece:
            connection.write(piece)
            await connection.drain()
    if left:
        raise BodyProblem(f"the body is {'longer' if left < 0 else 'shorter'} than its Content-Length")
