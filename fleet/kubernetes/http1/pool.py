"""The connections to one API server: dialled when needed, idle while they may serve again, closed at the end."""

import asyncio
from collections import deque

from fleet.kubernetes.http1.dial import Route, dial
from fleet.kubernetes.http1.protocol import CLOSED, IDLE, HttpProtocol

MAX_IDLE = 128
"""Connections kept idle; more are closed when their answer has ended."""

IDLE_SECONDS = 60.0
"""API servers close idle connections after 90 s or more: these are gone before."""

_SWEEP_SECONDS = 10.0


class Pool:
    """To be made while an event loop runs, and closed by its owner. `limit` bounds the exchanges under way."""

    def __init__(self, route: Route, limit: int) -> None:
        self.closed = False
        self._route = route
        self._permits = limit
        self._waiters: deque[asyncio.Future[None]] = deque()
        self._idle: list[HttpProtocol] = []
        self._open: set[HttpProtocol] = set()
        self._loop = asyncio.get_running_loop()
        self._sweeping: asyncio.TimerHandle | None = None

    def take_idle(self) -> HttpProtocol | None:
        """The connection that was used last, if one is idle and an exchange may begin."""
        if self._permits <= 0 or not self._idle:
            return None
        self._permits -= 1
        return self._idle.pop()

    async def dial(self) -> HttpProtocol:
        """A new connection, once an exchange may begin. Raises OSError."""
        while self._permits <= 0:
            await self._wait_permit()
        self._permits -= 1
        try:
            return await dial(self._route, self._note)
        except BaseException:
            self._return_permit()
            raise

    def release(self, connection: HttpProtocol) -> None:
        """The exchange has ended: the connection is kept where it can be, else closed at once."""
        self._return_permit()
        if not connection.release() or self.closed or len(self._idle) >= MAX_IDLE:
            connection.close()
            return
        connection.idle_since = self._loop.time()
        self._idle.append(connection)
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(_SWEEP_SECONDS, self._sweep)

    def count(self) -> tuple[int, int]:
        """Connections in use, and idle ones."""
        return len(self._open) - len(self._idle), len(self._idle)

    async def close(self) -> None:
        """Closes all connections; answers that are still arriving end with an error."""
        self.closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for connection in tuple(self._open):
            connection.close(gently=connection.state is IDLE)
        self._idle.clear()
        await asyncio.sleep(0)  # the sockets are closed in the loop's next turn

    async def _wait_permit(self) -> None:
        waiter = self._loop.create_future()
        self._waiters.append(waiter)
        try:
            await waiter
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                self._wake_waiter()
            raise

    def _return_permit(self) -> None:
        self._permits += 1
        self._wake_waiter()

    def _wake_waiter(self) -> None:
        while self._waiters:
            waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return

    def _note(self, connection: HttpProtocol) -> None:
        """A connection is open, or closed."""
        if connection.state is not CLOSED:
            self._open.add(connection)
            return
        self._open.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)

    def _sweep(self) -> None:
        """Closes what was not needed for a while; the longest idle come first."""
        oldest = self._loop.time() - IDLE_SECONDS
        idle = [connection for connection in self._idle if connection.idle_since < oldest]
        self._idle = self._idle[len(idle) :]
        for connection in idle:
            connection.close(gently=True)
        self._sweeping = self._loop.call_later(_SWEEP_SECONDS, self._sweep) if self._idle else None
