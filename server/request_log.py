"""Around every request, as raw ASGI: an id, a log line, a few headers, and the answer when all else failed.

The log line is written at its end, of a stream or a WebSocket too. It has the path as it was sent but never its query
(`/token` carries a password there) and no header.
"""

import asyncio
import logging
import random
import re
import time
import uuid
from typing import TYPE_CHECKING

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleet.aio.request_context import RequestContext, begin_request
from fleet.aio.stopping import Stopping
from server.asgi.audit import read_sent_path
from server.asgi.requests import Routes
from server.errors import build_error_answer
from server.process_counts import ProcessCounts

if TYPE_CHECKING:
    from server.tracing.requests import RequestSpans

_log = logging.getLogger(__name__)
_GIVEN_ID = re.compile(rb"[A-Za-z0-9._-]{1,64}")

_HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
)
_NO_STORE = (b"cache-control", b"no-store")  # answers are one caller's; what may be kept says so itself
_ADDED = (*_HEADERS, _NO_STORE)
_CLOSE = (b"connection", b"close")
_STOPPED = "this server is shutting down, and the answer was not ready in time: ask again"


class RequestLog:
    """The outermost layer of the application. A caller's own `X-Request-ID` is kept where it is harmless."""

    def __init__(self, app: ASGIApp, routes: Routes | None = None, spans: "RequestSpans | None" = None) -> None:
        self._app = app
        self._routes = routes or Routes(())
        self._spans = spans

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        request = RequestContext(_request_id(scope))
        begin_request(request)
        answered = _Answered(send, request.request_id, scope.setdefault("state", {})["stopping"])
        if self._spans is None or (span := self._spans.begin(scope, request)) is None:
            await self._answer(scope, receive, answered, request)
            return
        with span:
            try:
                await self._answer(scope, receive, answered, request)
            finally:
                self._spans.describe(span, scope, answered.status)

    async def _answer(self, scope: Scope, receive: Receive, answered: "_Answered", request: RequestContext) -> None:
        try:
            if scope["type"] == "websocket":
                await self._app(scope, receive, answered.send_message)
            else:
                await self._serve(scope, receive, answered)
        finally:
            self._count(scope, answered)
            _write_line(scope, answered, request)

    def _count(self, scope: Scope, answered: "_Answered") -> None:
        counts: ProcessCounts | None = scope["state"].get("counts")
        if counts is not None and scope["type"] == "http":
            took = time.perf_counter() - answered.begun
            counts.requests.note(self._routes.find(scope["path"]), scope, answered.status, took)

    async def _serve(self, scope: Scope, receive: Receive, answered: "_Answered") -> None:
        try:
            await self._app(scope, receive, answered.send)
        except ClientDisconnect:
            answered.status = answered.status or 499  # the caller left; there is nobody to answer
        except asyncio.CancelledError:
            if not answered.stopping.begun:
                raise
            # The time that requests have after SIGTERM is over.
            if not answered.status:  # else half an answer is out: only a cut connection tells the caller
                answer = build_error_answer(scope, 503, "ServiceUnavailable", _STOPPED, {"Retry-After": "1"})
                await answer(scope, receive, answered.send)
        except Exception as error:  # the seam where what nobody expected becomes a masked answer
            _log.exception("request %s failed: %s", answered.request_id, type(error).__name__)
            if answered.status:
                raise  # half an answer is out: only a cut connection tells the caller
            message = f"something went wrong here; the server's log says what, under the id {answered.request_id}"
            await build_error_answer(scope, 500, "InternalError", message)(scope, receive, answered.send)


class _Answered:
    """What is sent of one answer: its status, and the bytes of its body or messages."""

    def __init__(self, send: Send, request_id: str, stopping: Stopping) -> None:
        self.status = 0
        self.bytes = 0
        self.request_id = request_id
        self.stopping = stopping
        self.begun = time.perf_counter()
        self._send = send

    async def send(self, message: Message) -> None:
        """Of HTTP."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            message["headers"] = _with_headers(message.get("headers", ()), self.request_id)
            if self.stopping.begun and self.status != 101:
                message["headers"].append(_CLOSE)
        else:
            self.bytes += len(message.get("body", b""))
        await self._send(message)

    async def send_message(self, message: Message) -> None:
        """Of a WebSocket, whose status is that of its close once there is one."""
        kind = message["type"]
        if kind == "websocket.send":
            self.bytes += len(message.get("text") or message.get("bytes") or b"")
        elif kind == "websocket.accept":
            self.status = 101
        else:
            self.status = message.get("code") or message.get("status") or self.status
        await self._send(message)


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _GIVEN_ID.fullmatch(value):
            return str(value.decode())
    # To tell requests apart is all that it is for: a secret would cost a system call.
    return str(uuid.UUID(int=random.getrandbits(128), version=4))  # nosec B311 - see above


def _with_headers(headers: list[tuple[bytes, bytes]], request_id: str) -> list[tuple[bytes, bytes]]:
    given = [name for name, _ in headers]
    added = [header for header in _ADDED if header[0] not in given]
    return [*headers, *added, (b"x-request-id", request_id.encode())]


def _write_line(scope: Scope, answered: _Answered, request: RequestContext) -> None:
    if not _log.isEnabledFor(logging.INFO):
        return
    path = read_sent_path(scope)
    method, took_ms = scope.get("method", "WEBSOCKET"), (time.perf_counter() - answered.begun) * 1000
    fields = {
        "method": method,
        "path": path,
        "status": answered.status,
        "took_ms": round(took_ms, 2),
        "bytes": answered.bytes,
        "user": request.user,
        "operation": request.operation or getattr(scope.get("route"), "path_format", None),
        "cluster": request.cluster,
        "client": scope["client"][0] if scope.get("client") else None,
        "trace_id": request.trace_id,
        "id": request.request_id,
    }
    known = {name: value for name, value in fields.items() if value is not None}
    _log.info("%s %s %d %.1fms", method, path, answered.status, took_ms, extra={"fields": known})
