"""The connections to one API server: dialled when needed, kept while they may serve again, closed at the end."""

import asyncio
import base64
import ssl
from collections import deque
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

from fleet.kubernetes.http1.protocol import Wire
from fleet.kubernetes.http1.tls import Tls

MAX_KEPT = 128
"""Connections kept idle; more are closed when their answer has ended."""

KEPT_SECONDS = 60.0
"""API servers close idle connections after 90 s or more: these are gone before."""

_SWEEP_SECONDS = 10.0
_MAX_PROXY_HEAD = 64 * 1024


class DialError(OSError):
    """The way to the API server can't be taken; the message says where it ends."""


@dataclass(frozen=True)
class Way:
    """The way to an API server. `tls` is None for plain HTTP, `proxy` the URL of an HTTP proxy on the way."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    server_name: str
    proxy: str | None = field(default=None, repr=False)


class Pool:
    """To be made while an event loop runs, and closed by its owner. `limit` bounds the questions under way."""

    def __init__(self, way: Way, limit: int) -> None:
        self.closed = False
        self._way = way
        self._free = limit
        self._turns: deque[asyncio.Future[None]] = deque()
        self._kept: list[Wire] = []
        self._open: set[Wire] = set()
        self._loop = asyncio.get_running_loop()
        self._sweeping: asyncio.TimerHandle | None = None

    def take_kept(self) -> Wire | None:
        """The connection that was used last, if one is kept and a question may begin."""
        if self._free <= 0 or not self._kept:
            return None
        self._free -= 1
        return self._kept.pop()

    async def dial(self) -> Wire:
        """A new connection, once a question may begin. Raises OSError."""
        while self._free <= 0:
            await self._wait_turn()
        self._free -= 1
        wire = None
        try:
            wire = await self._connect()
            tls = self._way.tls
            await wire.start(None if tls is None else Tls(tls, self._way.server_name))
        except BaseException:
            self._end_turn()
            if wire is not None:
                wire.close()
            raise
        return wire

    def give_back(self, wire: Wire) -> None:
        """The question has ended: the connection is kept where it can be, else closed at once."""
        self._end_turn()
        if not wire.finish() or self.closed or len(self._kept) >= MAX_KEPT:
            wire.close()
            return
        wire.kept_since = self._loop.time()
        self._kept.append(wire)
        if self._sweeping is None:
            self._sweeping = self._loop.call_later(_SWEEP_SECONDS, self._sweep)

    async def close(self) -> None:
        """Closes all connections; answers that are still arriving end with an error."""
        self.closed = True
        if self._sweeping is not None:
            self._sweeping.cancel()
        for wire in tuple(self._open):
            wire.close(gently=wire in self._kept)
        self._kept.clear()
        await asyncio.sleep(0)  # the sockets are closed in the loop's next turn

    async def _connect(self) -> Wire:
        way = self._way
        if way.proxy is not None:
            return await self._connect_through(way.proxy)
        return await self._open_socket(way.host, way.port)

    async def _open_socket(self, host: str, port: int) -> Wire:
        _, wire = await self._loop.create_connection(lambda: Wire(self._forget), host, port)
        self._open.add(wire)
        return wire

    async def _connect_through(self, proxy: str) -> Wire:
        """Source: RFC 9110 section 9.3.6 (CONNECT)."""
        parts = urlsplit(proxy)
        at = f"{parts.hostname}:{parts.port or (443 if parts.scheme == 'https' else 80)}"
        if parts.scheme != "http":
            raise DialError(f"the proxy {at} must be an http proxy, not {parts.scheme[:20]}")
        host = f"[{self._way.host}]" if ":" in self._way.host else self._way.host
        head = f"CONNECT {host}:{self._way.port} HTTP/1.1\r\nHost: {host}:{self._way.port}\r\n"
        if parts.username is not None:
            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            head += f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}\r\n"
        try:
            wire = await self._open_socket(parts.hostname or "", parts.port or 80)
        except OSError as error:
            raise DialError(f"the proxy {at} can't be reached: {error.strerror or error}") from error
        try:
            wire.write(f"{head}\r\n".encode())
            # Nothing follows the proxy's head: the API server speaks second.
            said = await wire.read_plain(b"\r\n\r\n", _MAX_PROXY_HEAD)
        except BaseException:
            wire.close()
            raise
        if said.split(b" ", 2)[1:2] != [b"200"]:
            wire.close()
            line = said.split(b"\r\n", 1)[0][:80].decode(errors="replace")
            raise DialError(f"the proxy {at} answered {line!r}")
        return wire

    async def _wait_turn(self) -> None:
        turn = self._loop.create_future()
        self._turns.append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            if turn.done() and not turn.cancelled():
                self._pass_turn()
            raise

    def _end_turn(self) -> None:
        self._free += 1
        self._pass_turn()

    def _pass_turn(self) -> None:
        while self._turns:
            turn = self._turns.popleft()
            if not turn.done():
                turn.set_result(None)
                return

    def _forget(self, wire: Wire) -> None:
        self._open.discard(wire)
        if wire in self._kept:
            self._kept.remove(wire)

    def _sweep(self) -> None:
        """Closes what was not needed for a while; the longest kept come first."""
        oldest = self._loop.time() - KEPT_SECONDS
        idle = [wire for wire in self._kept if wire.kept_since < oldest]
        self._kept = self._kept[len(idle) :]
        for wire in idle:
            wire.close(gently=True)
        self._sweeping = self._loop.call_later(_SWEEP_SECONDS, self._sweep) if self._kept else None
