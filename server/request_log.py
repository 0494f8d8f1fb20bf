"""Around every request, as raw ASGI: an id, a log line, a few headers, and the answer when all else failed.

The log line has the path as it was sent but never its query (`/token` carries a password there) and no header.
"""

import asyncio
import logging
import random
import re
import time
import uuid

from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from fleet.aio.request_context import RequestContext, begin_request
from fleet.aio.stopping import Stopping
from server.errors import build_error_answer

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

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in ("http", "websocket"):
            await self._app(scope, receive, send)
            return
        started = time.perf_counter()
        request_id = _request_id(scope)
        begin_request(RequestContext(request_id))
        if scope["type"] == "websocket":
            await self._app(scope, receive, send)
            return
        status = 0
        stopping: Stopping = scope["state"]["stopping"]

        async def send_on(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = _with_headers(message.get("headers", ()), request_id)
                if stopping.begun and status != 101:
                    message["headers"].append(_CLOSE)
            await send(message)

        try:
            await self._app(scope, receive, send_on)
        except ClientDisconnect:
            status = status or 499  # the caller left; there is nobody to answer
        except asyncio.CancelledError:
            if not stopping.begun:
                raise
            # The time that requests have after SIGTERM is over.
            if not status:  # else half an answer is out: only a cut connection tells the caller
                answer = build_error_answer(scope, 503, "ServiceUnavailable", _STOPPED, {"Retry-After": "1"})
                await answer(scope, receive, send_on)
        except Exception as error:  # the seam where what nobody expected becomes a masked answer
            _log.exception("request %s failed: %s", request_id, type(error).__name__)
            if status:
                raise  # half an answer is out: only a cut connection tells the caller
            message = f"something went wrong here; the server's log says what, under the id {request_id}"
            await build_error_answer(scope, 500, "InternalError", message)(scope, receive, send_on)
        finally:
            _write_line(scope, status, (time.perf_counter() - started) * 1000, request_id)


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


def _write_line(scope: Scope, status: int, took_ms: float, request_id: str) -> None:
    if not _log.isEnabledFor(logging.INFO):
        return
    path = (scope.get("raw_path") or scope["path"].encode()).decode("ascii", "backslashreplace")[:500]
    client = scope["client"][0] if scope.get("client") else "-"
    fields = {
        "method": scope["method"],
        "path": path,
        "status": status,
        "took_ms": round(took_ms, 2),
        "client": client,
        "id": request_id,
    }
    _log.info(
        "%s %s %d %.1fms %s %s", scope["method"], path, status, took_ms, client, request_id, extra={"fields": fields}
    )
