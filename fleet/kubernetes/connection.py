"""One member's API server over HTTP: one pool, one credential, deadlines, and no exception of a library let through."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self
from urllib.parse import urlsplit

from msgspec import Struct

from fleet.aio.recorder import calling
from fleet.kubernetes.auth.authorizers import ANONYMOUS, Authorizer, FixedAuthorizer
from fleet.kubernetes.errors import FOREIGN, translate
from fleet.kubernetes.http1.content import decompress
from fleet.kubernetes.http1.exchange import Body, Question
from fleet.kubernetes.http1.headers import (
    build_request_head,
    build_request_headers,
    check_target,
    read_response_headers,
    select_response_headers,
)
from fleet.kubernetes.http1.pool import Pool, Way
from fleet.kubernetes.http1.upgrade import Route, open_upgrade
from fleet.model.errors import ClusterAnswerInvalid, ClusterError, ClusterUnauthorized, ClusterUnreachable, InvalidQuery
from fleet.ports import Answer, Headers, RawHeaders, Upgraded

MAX_ANSWER_BYTES = 256 * 1024 * 1024

# Watches that callers hold open count too: far above what they hold, or the heartbeat would wait behind them.
_POOL_LIMIT = 4096
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})


@dataclass(frozen=True)
class Target:
    """How to reach one API server.

    `endpoint` is its base URL without a trailing slash, `tls` None for plain HTTP, `server_name` the name its
    certificate is for where that is not the endpoint's host, `proxy` an HTTP proxy's URL.
    """

    endpoint: str
    tls: ssl.SSLContext | None = None
    authorizer: Authorizer = ANONYMOUS
    server_name: str | None = None
    proxy: str | None = field(default=None, repr=False)


class HttpConnection:
    """The `Connection` port over HTTP/1.1. To be made while an event loop runs, and closed by its owner.

    `max_answer_bytes` bounds what `request` reads, before and after decompression.
    """

    def __init__(
        self, cluster: str, target: Target, *, limit: int = _POOL_LIMIT, max_answer_bytes: int = MAX_ANSWER_BYTES
    ) -> None:
        self.cluster = cluster
        self._target = target
        self._endpoint = target.endpoint.rstrip("/")
        self._max_answer_bytes = max_answer_bytes
        parts = urlsplit(self._endpoint)
        self._prefix = parts.path.encode()
        # Only a URL's host and port belong here.
        self._host_line = b" HTTP/1.1\r\nHost: " + parts.netloc.rpartition("@")[2].encode("ascii") + b"\r\n"
        self._pool = Pool(_build_way(target), limit)

    async def request(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Headers = (),
        body: bytes | None = None,
        timeout: float,
    ) -> Answer:
        """Sends a request and reads the whole answer, decompressed if it came compressed.

        Raises ClusterUnauthorized for a 401, ClusterAnswerInvalid for an answer that is too large, other ClusterErrors
        where there is no answer, InvalidQuery for a path or header that can't be sent.
        """
        question = Question(self._pool)
        try:
            with calling(self.cluster):
                async with asyncio.timeout(timeout):
                    await self.send(question, Call(method, path, query, tuple(headers), body, timeout))
                    raw = await self._read_whole(question)
            answered = dict(read_response_headers(question.headers))
            status = question.status
            content = decompress(raw, answered.pop("content-encoding", ""), self._max_answer_bytes)
        except FOREIGN as error:
            raise translate(error, self.cluster, self._endpoint, timeout) from error
        finally:
            question.end()
        if status == 401:
            raise ClusterUnauthorized(
                self.cluster, f"cluster {self.cluster}: {self._endpoint} refused this server's credential (401)"
            )
        return Answer(status, answered, content)

    def open_stream(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Headers | RawHeaders = (),
        body: Body = None,
        timeout: float,
        idle_timeout: float | None = None,
    ) -> "HttpStream":
        """Sends a request and hands over the answer as soon as its head is there. Leaving the `with` ends it at once.

        `body` may still be on its way up while the answer comes down. Raises as `request`, but a 401 is an answer.
        """
        call = Call(method, path, query, tuple(headers), body, timeout)
        return HttpStream(self, Question(self._pool), call, idle_timeout)

    def translate(self, error: BaseException, timeout: float | None) -> ClusterError:
        """The fleet's error for one of FOREIGN, which happened within `timeout` (s)."""
        return translate(error, self.cluster, self._endpoint, timeout)

    async def send(self, question: Question, call: "Call") -> None:
        """Asks, and waits for the answer's head. Raises FOREIGN, InvalidQuery, ClusterUnreachable."""
        check_target(call.path, call.query)
        if self._pool.closed:
            raise ClusterUnreachable(self.cluster, f"cluster {self.cluster}: the connection is closed")
        authorizer = self._target.authorizer
        if isinstance(authorizer, FixedAuthorizer):
            authorization = authorizer.value
        else:
            async with asyncio.timeout(call.timeout):
                authorization = await authorizer.authorization()
        path = f"{call.path}?{call.query}" if call.query else call.path
        line = b"%b %b%b%b" % (call.method.encode("ascii"), self._prefix, path.encode("ascii"), self._host_line)
        framing, length = _build_framing(call)
        head = build_request_head(line, call.headers, authorization, framing)
        await question.ask(call.method, head, call.body, length, call.timeout)
        if question.status == 401:
            authorizer.forget()

    @asynccontextmanager
    async def open_upgrade(
        self, method: str, path: str, *, query: str = "", headers: Headers = (), upgrade: str, timeout: float
    ) -> AsyncIterator[Upgraded]:
        """Asks for a switch of protocols, on a connection of its own. Leaving the `with` ends it.

        Raises as `request`, but a 401 is an answer.
        """
        check_target(path, query)
        route = Route(self._endpoint, self._target.tls, self._target.server_name, self._target.proxy)
        try:
            sent = build_request_headers(headers, await self._target.authorizer.authorization(), streamed=False)
            sent["Connection"], sent["Upgrade"] = "Upgrade", upgrade
            opening = open_upgrade(self.cluster, route, method, f"{path}?{query}" if query else path, sent, timeout)
            async with AsyncExitStack() as stack:
                upgraded = await stack.enter_async_context(opening)
                opened = stack.pop_all()
        except FOREIGN as error:
            raise translate(error, self.cluster, self._endpoint, timeout) from error
        if upgraded.status == 401:
            self._target.authorizer.forget()
        async with opened:
            yield upgraded

    async def close(self) -> None:
        """Closes the pool; answers that are still streamed end with ClusterUnreachable."""
        await self._pool.close()

    async def _read_whole(self, question: Question) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while piece := await question.read(None):
            pieces.append(piece)
            size += len(piece)
            if size > self._max_answer_bytes:
                raise _too_large(self.cluster, self._max_answer_bytes)
        return b"".join(pieces)


class Call(Struct, frozen=True):
    """What is asked. `timeout` (s) bounds the wait for the answer's head."""

    method: str
    path: str
    query: str
    headers: tuple[tuple[str, str] | tuple[bytes, bytes], ...]
    body: Body
    timeout: float


class HttpStream:
    """The `StreamedAnswer` port over HTTP/1.1, and the `with` around it."""

    __slots__ = ("_call", "_connection", "_idle_timeout", "_question", "raw_headers", "status")

    def __init__(self, connection: HttpConnection, question: Question, call: Call, idle_timeout: float | None) -> None:
        self.status = 0
        self.raw_headers: RawHeaders = []
        self._connection = connection
        self._question = question
        self._call = call
        self._idle_timeout = idle_timeout

    async def __aenter__(self) -> Self:
        question = self._question
        try:
            with calling(self._connection.cluster):
                await self._connection.send(question, self._call)
            self.status = question.status
            self.raw_headers = select_response_headers(question.headers)
        except FOREIGN as error:
            question.end()
            raise self._connection.translate(error, self._call.timeout) from error
        except BaseException:
            question.end()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        # Closes the socket under an unfinished answer; that of a finished one goes back to the pool.
        self._question.end()

    @property
    def headers(self) -> list[tuple[str, str]]:
        """Without those of the member's own connection, names in lower case."""
        return [(name.decode("latin-1"), value.decode("latin-1")) for name, value in self.raw_headers]

    @property
    def is_whole(self) -> bool:
        """Whether nothing more will arrive but what `read` gives next."""
        return self._question.is_whole

    async def read(self) -> bytes:
        """The body's next bytes; empty at its end.

        Raises ClusterError when it is cut off, ClusterTimeout when it falls silent.
        """
        try:
            return await self._question.read(self._idle_timeout)
        except FOREIGN as error:
            raise self._connection.translate(error, self._idle_timeout) from error

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises as `read`."""
        while chunk := await self.read():
            yield chunk


def _build_way(target: Target) -> Way:
    parts = urlsplit(target.endpoint)
    secure = parts.scheme == "https"
    host = parts.hostname or ""
    return Way(
        host=host,
        port=parts.port or (443 if secure else 80),
        tls=(target.tls or ssl.create_default_context()) if secure else None,
        server_name=target.server_name or host,
        proxy=target.proxy,
    )


def _build_framing(call: Call) -> tuple[bytes, int | None]:
    """The header that says how the body ends, and the length of one that is still arriving where it is known."""
    body = call.body
    if body is None:
        return (b"Content-Length: 0\r\n" if call.method in _WITH_BODY else b""), None
    if isinstance(body, bytes):
        return b"Content-Length: %d\r\n" % len(body), None
    for name, value in call.headers:
        if name.lower() in ("content-length", b"content-length"):
            text = value if isinstance(value, str) else value.decode("latin-1")
            if not (text.isascii() and text.isdecimal()):
                raise InvalidQuery(f"the header Content-Length is {text[:50]!r}, must be a number")
            return f"Content-Length: {text}\r\n".encode("ascii"), int(text)
    return b"Transfer-Encoding: chunked\r\n", None


def _too_large(cluster: str, limit: int) -> ClusterAnswerInvalid:
    return ClusterAnswerInvalid(cluster, f"cluster {cluster}: its answer is larger than {limit} bytes")
