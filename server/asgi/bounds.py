"""What a caller's connection may cost before and beside its requests: time and size of a head, an unread body.

uvicorn bounds idle connections after their first answer only, and no head at all.
"""

import asyncio
import fcntl
import termios
from typing import Any, ClassVar

from uvicorn.protocols.http.httptools_impl import RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol

from fleet.aio.hang_up import HANG_UP
from server.asgi.client_certificates import ClientCertificates
from server.asgi.connections import Connections
from server.asgi.upgrade import UpgradeProtocol

HEAD_SECONDS = 15.0
"""From the connection, or from the first byte of a later request, until the head of the request is whole."""

MAX_HEAD_BYTES = 64 * 1024
"""Of a request's target and headers: four times what browsers and proxies send."""

MAX_HEADERS = 200
"""Lines of a head: browsers behind proxies send some thirty."""

MAX_CHUNK_BYTES = 64 * 1024
"""Of a body in chunks what is no body: extensions of chunks and trailers. The line of each chunk is not counted."""

_CHUNK_LINE = 16

LINGER_SECONDS = 5.0
"""How long the rest of a body is read, and thrown away, after the answer went out: who hangs up at once hides it."""


class BoundedProtocol(UpgradeProtocol):
    """HTTP for callers, with bounds. What breaks one is answered 408, 431 or 400, and its connection ended.

    So is one connection too many for the `book`, by 503.
    """

    book: ClassVar[Connections | None] = None
    certificates: ClassVar[ClientCertificates | None] = None

    _in_head = True
    _begun = False
    _size = 0
    _incomplete = _chunked = _switched = False
    _messages = _beside = 0
    _refusal: tuple[int, str] | None = None
    _timer: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        super().connection_made(transport)
        if self.certificates is not None and (found := self.certificates.read(transport)) is not None:
            # The WebSocket that this may become is given the same state.
            self.app_state = {**self.app_state, "client_certificate": found}
            self.certificates.holders.add(self)
        self._start_timer(HEAD_SECONDS, self._give_up)
        if self.book is not None and self.client is not None:
            refused = self.book.admit(self.transport, self, self.client[0])
            if refused is not None:
                self._refuse(503, refused)

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        if self.book is not None:
            self.book.leave(self.transport)
        super().connection_lost(exc)
        if self._is_answering() and (hang_up := self.cycle.scope["state"].get(HANG_UP)) is not None:
            hang_up()

    def data_received(self, data: bytes) -> None:
        """Bytes of the caller; a head that goes on for too long is refused."""
        goes_on = self._in_head
        before = self._messages - self._incomplete
        super().data_received(data)
        if self._chunked and self._messages - before == 1:  # of several in a read nobody knows whose is what
            self._beside += len(data)
            if self._beside > MAX_CHUNK_BYTES:
                self._refuse(400, "a body's chunks have too many bytes beside it")
        if not self._in_head:
            return
        if self._timer is None:
            self._start_timer(HEAD_SECONDS, self._give_up)
        if goes_on:  # what came before may be the end of another request
            self._size += len(data)
            if self._size > MAX_HEAD_BYTES:
                self._refuse(*_TOO_LONG)

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._begun = self._in_head = self._incomplete = True
        self._chunked = False
        self._messages += 1
        self._size = self._beside = 0

    def on_headers_complete(self) -> None:
        """The head is whole. Raises ValueError, which ends the parsing, where it is too long or for no one host."""
        self._in_head = False
        self._stop_timer()
        size, hosts = len(self.url), 0
        for name, value in self.headers:
            size += len(name) + len(value)
            if name == b"host":
                hosts += 1
            elif name == b"transfer-encoding":
                self._chunked = True
        if size > MAX_HEAD_BYTES:
            self._refusal = _TOO_LONG
        elif len(self.headers) > MAX_HEADERS:
            self._refusal = 431, f"the request has {len(self.headers)} headers, {MAX_HEADERS} at most are read"
        elif hosts > 1 or (hosts == 0 and self.parser.get_http_version() == "1.1"):
            self._refusal = 400, "a request has one Host header"
        if self._refusal is not None:
            raise ValueError(self._refusal[1])
        self.scope["state"]["arrived_at"] = self.loop.time()
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._beside -= len(body)
        super().on_body(body)

    def on_chunk_header(self) -> None:
        """Called by the parser, once a chunk."""
        self._beside -= _CHUNK_LINE

    def on_message_complete(self) -> None:
        """The request is whole, before or after its answer."""
        self._stop_timer()
        self._incomplete = False
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """The answer is out: a body that is still on its way is waited for, but not for long."""
        unread = not self.pipeline and self.cycle.more_body
        super().on_response_complete()
        if unread and not self.transport.is_closing():
            self._start_timer(LINGER_SECONDS, self.transport.close)

    @property
    def is_idle(self) -> bool:
        """Whether no request is being answered, nor the connection another's."""
        return not (self._switched or self._taken is not None or self.pipeline or self._is_answering())

    def handle_websocket_upgrade(self) -> None:
        self._switched = True
        super().handle_websocket_upgrade()

    def send_400_response(self, msg: str) -> None:
        """The answer to what is not HTTP, or breaks a bound."""
        status, text = self._refusal or (400, msg)
        body = f"{text}\n".encode()
        head = (
            f"HTTP/1.1 {status} {_PHRASES[status]}\r\ncontent-type: text/plain; charset=utf-8\r\n"
            f"content-length: {len(body)}\r\nconnection: close\r\n{_AGAIN if status == 503 else ''}\r\n"
        )
        if self._may_refuse():
            self.transport.write(head.encode() + body)
        if self.cycle is not None:
            self.cycle.disconnected = True  # nothing of it may follow what was written here
            self.cycle.message_event.set()
        self.transport.close()

    def shutdown(self) -> None:
        """Closes an idle connection, and lets one go on whose request is on its way: its answer closes it."""
        made = self.transport.get_extra_info("socket")
        waiting = made is not None and fcntl.ioctl(made.fileno(), termios.FIONREAD, bytes(4)) != bytes(4)
        if not (waiting or (self._begun and self._in_head)) or self.transport.is_closing():
            super().shutdown()

    def _may_refuse(self) -> bool:
        """Whether a refusal is read as the answer to what is refused, and not as one to an earlier request."""
        if not self._is_answering():
            return True
        broken = self.cycle.more_body and not self._in_head and not self.pipeline
        return broken and not self.cycle.response_started

    def _refuse(self, status: int, text: str) -> None:
        if self.transport.is_closing():
            return
        self._refusal = status, text
        self.send_400_response(text)

    def _give_up(self) -> None:
        """An idle connection is closed without a word: an answer would be taken for that of a later request."""
        if not self._begun:
            self.transport.close()
        elif self._is_answering():
            self._start_timer(HEAD_SECONDS, self._give_up)  # this server may have stopped to read meanwhile
        else:
            self._refuse(408, f"the request's head did not arrive within {HEAD_SECONDS:g} s")

    def _is_answering(self) -> bool:
        cycle: RequestResponseCycle | None = self.cycle
        return cycle is not None and not cycle.response_complete

    def _start_timer(self, seconds: float, call: Any) -> None:
        self._stop_timer()
        self._timer = self.loop.call_later(seconds, call)

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


_TOO_LONG = 431, "the request's target and headers are too long"
_AGAIN = "retry-after: 1\r\n"
_PHRASES = {
    400: "Bad Request",
    408: "Request Timeout",
    431: "Request Header Fields Too Large",
    503: "Service Unavailable",
}


class BoundedWebSocket(WebSocketsSansIOProtocol):
    """A WebSocket of the graph, which keeps the place that its connection got as HTTP."""

    book: ClassVar[Connections | None] = None

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        if self.book is not None:
            self.book.leave(self.transport)


def build_protocols(
    connections: Connections, certificates: ClientCertificates | None = None
) -> tuple[type[BoundedProtocol], type[BoundedWebSocket]]:
    """The protocols of a port whose connections are among these, and may bring certificates."""
    given = {"book": connections}
    http = type("Bounded", (BoundedProtocol,), given | {"certificates": certificates})
    return http, type("BoundedSocket", (BoundedWebSocket,), given)
