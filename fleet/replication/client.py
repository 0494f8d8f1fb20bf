"""The client of nats-py, where it would leave a connection open, wait for what is dead, or tell a password."""

import asyncio
import time
from collections import deque

from nats.aio.client import Client, Srv
from nats.aio.transport import TcpTransport
from nats.errors import Error


class NatsClient(Client):
    """Gives no credential to a server in plain text where TLS is wanted, and closes each connection it made."""

    def __init__(self, *, encrypted: bool) -> None:
        super().__init__()
        self._encrypted = encrypted
        self._trip = 0.0
        self._pinged: deque[float] = deque()

    @property
    def trip(self) -> float:
        """Seconds that the last ping took there and back, behind all that was on its way; or takes by now."""
        return max(self._trip, time.monotonic() - self._pinged[0] if self._pinged else 0.0)

    async def _send_ping(self, future: "asyncio.Future[bool] | None" = None) -> None:
        self._pinged.append(time.monotonic())
        await super()._send_ping(future)

    async def _process_pong(self) -> None:
        if self._pinged:
            self._trip = time.monotonic() - self._pinged.popleft()
        await super()._process_pong()

    def _connect_command(self) -> bytes:
        if self._encrypted and not self._server_info.get("tls_required"):
            raise Error("it speaks no TLS, though a CA, a certificate or a tls:// URL is set")
        return super()._connect_command()

    def abort(self) -> None:
        """Drops the connection with all that waits to be sent, which a frozen server would never take."""
        if isinstance(self._transport, TcpTransport) and self._transport._io_writer is not None:  # noqa: SLF001 - it has no other way
            self._transport._io_writer.transport.abort()  # noqa: SLF001

    async def _process_op_err(self, e: Exception) -> None:
        self.abort()
        await super()._process_op_err(e)

    async def _connect_to_server(self, s: Srv) -> None:
        self._pinged.clear()
        if self._transport is not None:
            self._transport.close()  # type: ignore[no-untyped-call]  # the library's own class has no types here
        await super()._connect_to_server(s)
