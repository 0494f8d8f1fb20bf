"""Lets a route take a caller's connection over, as bytes, when the caller asks to switch protocols.

ASGI knows WebSocket messages only: whole in memory, and with subprotocol names that WebSocket libraries refuse
(`SPDY/3.1+portforward.k8s.io`). Here an upgrade below the prefixes of the Kubernetes API arrives as an ordinary request
with the extension `rest_compat.upgrades.EXTENSION`; an answer with status 101 makes the connection the route's, any
other answer ends it. WebSockets of the graph stay uvicorn's.

Every other offer is declined as RFC 9110, 7.8 has it: the request is answered as if it had not been made, body included
(stock Java clients and `curl --http2` offer `h2c` with each one). The parser throws the body of such a request away, so
its head is given to a new parser without the offer.
"""

import asyncio
import fcntl
import socket
import sys
import termios
from collections import deque
from typing import Any, cast

import httptools
import uvicorn
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from fleet.ports import Headers
from graph.http.router import GRAPH_PATHS
from rest_compat.headers import has_body
from rest_compat.upgrades import EXTENSION, PROTOCOLS, takes_upgrades
from server.asgi.cork import Corked

FLUSH_SECONDS = 30.0
"""What is already written has this long to arrive when a route is done."""

_GRAPH_PATHS = frozenset(path.encode() for path in GRAPH_PATHS)
_HIGH_WATER = 64 * 1024
_OFFER = frozenset({b"upgrade", b"http2-settings"})
_KEEP_ALIVE = (("TCP_KEEPIDLE", 60), ("TCP_KEEPINTVL", 15), ("TCP_KEEPCNT", 4))


class UpgradeProtocol(HttpToolsProtocol):
    """uvicorn's HTTP over httptools, with connections that routes can take over."""

    def __init__(
        self,
        config: uvicorn.Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.app = _TakingOver(self.app)
        self._taken: TakenConnection | None = None
        self._declined = False
        self._received = self._again = b""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # uvicorn's is the same
        super().connection_made(cast("asyncio.Transport", Corked(transport, self.loop)))

    def on_headers_complete(self) -> None:
        """Marks a request whose connection may be taken over, before its route is called."""
        if self.parser.should_upgrade() and self.parser.get_method() != b"CONNECT":
            if self._may_take():
                self._taken = TakenConnection(self)
                self.scope["extensions"] = {EXTENSION: self._taken}  # type: ignore[dict-item]  # not one of ASGI's own
            elif not self._should_upgrade():
                self._declined = True
                return
        super().on_headers_complete()
        if self._taken is not None:
            # What a refused caller sends on is not to be read as a request.
            self.cycle.keep_alive = False

    def on_message_complete(self) -> None:
        """The request is whole; one whose offer is declined only begins."""
        if not self._declined:
            super().on_message_complete()

    def data_received(self, data: bytes) -> None:
        """Bytes of the caller: of HTTP until a request asked for its connection."""
        while data and self._taken is None:
            self._received, self._again = data, b""
            super().data_received(data)
            data = self._again
        if data and self._taken is not None:
            self._taken.feed(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """The end of the caller's connection is the end of what a route reads."""
        super().connection_lost(exc)
        if self._taken is not None:
            self._taken.end()

    def _should_upgrade(self) -> bool:
        return (
            self._taken is None
            and not self._declined
            and self._may_switch()
            and self.url.partition(b"?")[0] in _GRAPH_PATHS
            and super()._should_upgrade()
        )

    def _may_take(self) -> bool:
        return takes_upgrades(self.url) and self._get_upgrade() in PROTOCOLS and self._may_switch()

    def _may_switch(self) -> bool:
        """Whether nothing of the request would be lost: what opens a stream is a GET or POST without a body."""
        return self.parser.get_method() in (b"GET", b"POST") and not has_body(self.headers)

    def _unsupported_upgrade_warning(self) -> None:
        """Called with the parser's exception, which says behind which byte of a head with an offer it stopped."""
        stopped = sys.exc_info()[1]
        if not self._declined or stopped is None:
            return
        self._declined = False
        head = [self.parser.get_method(), b" ", self.url, b" HTTP/", self.parser.get_http_version().encode(), b"\r\n"]
        for name, value in _without_offer(self.headers):
            head += [name, b": ", value, b"\r\n"]
        rest = self._received[stopped.args[0] :]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)  # as uvicorn does
        self._again = b"".join([*head, b"\r\n", rest])


def _without_offer(headers: Headers) -> Headers:
    """A request's headers without those of an upgrade that it offers."""
    kept = []
    for name, value in headers:
        if name == b"connection":
            value = b",".join(token for token in value.split(b",") if token.strip().lower() not in _OFFER)
        if name not in _OFFER:
            kept.append((name, value))
    return kept


class TakenConnection:
    """A caller's connection: `read` and `write` once an answer of 101 has gone out."""

    def __init__(self, protocol: UpgradeProtocol) -> None:
        self.switched = False
        self._finishing = False
        self._protocol = protocol
        self._transport = protocol.transport
        self._pieces: deque[bytes] = deque()
        self._size = 0
        self._ended = False
        self._news = asyncio.Event()

    async def read(self) -> bytes:
        """Bytes as they arrive; empty when the caller is gone."""
        while not self._pieces and not self._ended:
            self._news.clear()
            await self._news.wait()
        data = b"".join(self._pieces)
        self._pieces.clear()
        self._size = 0
        if not self._ended:
            self._protocol.flow.resume_reading()
        return data

    async def write(self, data: bytes) -> None:
        """Sends, and waits while the caller does not read. Raises ConnectionResetError when it is gone."""
        if self._ended:
            raise ConnectionResetError("the caller is gone")
        self._transport.write(data)
        await self._protocol.flow.drain()

    def feed(self, data: bytes) -> None:
        """Takes what arrived; the caller waits while too much of it is unread."""
        if self._finishing:
            return
        self._pieces.append(data)
        self._size += len(data)
        if self._size > _HIGH_WATER:
            self._protocol.flow.pause_reading()
        self._news.set()

    def end(self) -> None:
        self._ended = True
        self._news.set()

    def accept(self, headers: list[tuple[bytes, bytes]]) -> None:
        """Sends the 101; from here on this is no longer HTTP."""
        lines = [b"HTTP/1.1 101 Switching Protocols\r\n", *(b"%s: %s\r\n" % pair for pair in headers), b"\r\n"]
        cycle = self._protocol.cycle
        cycle.response_started = cycle.response_complete = self.switched = True
        made: socket.socket = self._transport.get_extra_info("socket")
        made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, value in _KEEP_ALIVE:
            if hasattr(socket, name):  # each system has its own of these
                made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
        self._transport.write(b"".join(lines))

    async def finish(self) -> None:
        """Ends the connection when what is written has arrived, or did not in time.

        A socket that is closed while bytes of the caller's are unread takes back what it has not delivered: so they are
        read, and thrown away, until nothing is on its way.
        """
        self._finishing = True
        self._protocol.flow.resume_reading()
        loop = asyncio.get_running_loop()
        deadline = loop.time() + FLUSH_SECONDS
        pause = 0.002
        try:
            while not self._ended and self._is_sending() and loop.time() < deadline:
                await asyncio.sleep(pause)
                pause = min(2 * pause, 0.1)
        finally:
            self._transport.close()
            loop.call_later(FLUSH_SECONDS, self._transport.abort)

    def _is_sending(self) -> bool:
        """Whether bytes are on their way that the caller's system has not confirmed; unknown but on Linux."""
        if self._transport.is_closing():
            return False
        if self._transport.get_write_buffer_size():
            return True
        if not sys.platform.startswith("linux"):
            return False
        made: socket.socket = self._transport.get_extra_info("socket")
        return fcntl.ioctl(made.fileno(), termios.TIOCOUTQ, bytes(4)) != bytes(4)


class _TakingOver:
    """The application, with answers of 101 turned into the taking over of the connection."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        taken: TakenConnection | None = scope.get("extensions", {}).get(EXTENSION)
        if taken is None:
            await self._app(scope, receive, send)
            return

        async def send_or_take(message: Message) -> None:
            if message["type"] == "http.response.start" and message["status"] == 101:
                taken.accept(list(message["headers"]))
            else:
                await send(message)

        try:
            await self._app(scope, receive, send_or_take)
        finally:
            if taken.switched:
                await taken.finish()
