"""Answers of our own are compressed for who takes that: those that come whole, and are long enough to gain by it.

Streams are left alone, and what is coded already. A client that names no coding costs a look at its headers. Sources:
RFC 9110, section 12.5.3; RFC 9659 for zstd's window.
"""

import asyncio
import gzip
from collections.abc import Callable, Mapping
from typing import Final

import zstandard
from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from graph.http.coding import IDENTITY, pick_coding, refuses_identity

MIN_BYTES = 14_000
"""What a server sends at once, in ten segments (RFC 6928): of less, no byte arrives sooner for being compressed."""

THREAD_BYTES = 64 * 1024
"""From here on another thread compresses: less takes the loop a quarter of a millisecond."""

# The fastest levels: of a page of pods they leave a sixth, and the slower ones little less.
_CODERS: Final[Mapping[str, Callable[[bytes], bytes]]] = {
    "zstd": lambda body: zstandard.ZstdCompressor(level=1).compress(body),
    "gzip": lambda body: gzip.compress(body, 1, mtime=0),
}
_KINDS = (b"application/json", b"application/graphql-response+json", b"application/openmetrics-text", b"text/")
_WHOLE = frozenset({200, 400, 404, 500, 502, 503, 504})


class Compression:
    """An application whose answers are compressed."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, compressing(scope, send))


def compressing(scope: Scope, send: Send) -> Send:
    """`send`, or what compresses before it, for a request that takes any coding."""
    if scope["type"] == "http":
        for name, _ in scope["headers"]:
            if name == b"accept-encoding":
                return _Compressing(scope, send)
    return send


class _Compressing:
    def __init__(self, scope: Scope, send: Send) -> None:
        self._scope = scope
        self._send = send
        self._start: Message | None = None

    async def __call__(self, message: Message) -> None:
        """Holds the head of an answer back until its body is there."""
        if message["type"] == "http.response.start":
            if _may_gain(message):
                self._start = message
                return
        elif self._start is not None:
            start, self._start = self._start, None
            if not message.get("more_body", False):
                message = await self._compress(start, message)
            await self._send(start)
        await self._send(message)

    async def _compress(self, start: Message, message: Message) -> Message:
        accept = b", ".join(value for name, value in self._scope["headers"] if name == b"accept-encoding").decode(
            "latin-1"
        )
        body = message.get("body", b"")
        if len(body) < MIN_BYTES and not refuses_identity(accept):
            return message
        headers, coding = MutableHeaders(raw=start["headers"]), pick_coding(accept, tuple(_CODERS))
        headers.add_vary_header("accept-encoding")
        if coding == IDENTITY:
            return message
        code = _CODERS[coding]
        coded = await asyncio.to_thread(code, body) if len(body) > THREAD_BYTES else code(body)
        headers["content-encoding"], headers["content-length"] = coding, str(len(coded))
        start["headers"] = headers.raw
        return {"type": "http.response.body", "body": coded}


def _may_gain(start: Message) -> bool:
    """Whether an answer is a whole text of known length, coded by nobody yet and named by no strong entity tag."""
    found = dict(start.get("headers", ()))
    return (
        start["status"] in _WHOLE
        and b"content-length" in found
        and b"content-encoding" not in found
        and found.get(b"content-type", b"").startswith(_KINDS)
        and found.get(b"etag", b"W/").startswith(b"W/")
    )
