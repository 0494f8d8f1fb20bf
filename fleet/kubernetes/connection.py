"""One member's API server over HTTP: one pool, one credential, deadlines, and no exception of a library let through."""

import asyncio
import logging
import ssl
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

from fleet.aio import tracing
from fleet.aio.bounded import read_bounded
from fleet.aio.budget import BudgetSpent, ByteBudget
from fleet.aio.counts import Calls
from fleet.aio.recorder import calling
from fleet.aio.request_context import VIA, current_request
from fleet.aio.timed import timed
from fleet.aio.tracing import UNTRACED, Span
from fleet.kubernetes.auth.authorizers import ANONYMOUS, Authorizer, FixedAuthorizer
from fleet.kubernetes.call_spans import CONTEXT, CallSpans, write_context
from fleet.kubernetes.errors import FOREIGN, translate
from fleet.kubernetes.http1.content import decompress
from fleet.kubernetes.http1.dial import build_route
from fleet.kubernetes.http1.exchange import Exchange
from fleet.kubernetes.http1.headers import build_request_head, check_target, select_response_headers
from fleet.kubernetes.http1.pool import Pool
from fleet.kubernetes.http1.upgrade import request_upgrade
from fleet.kubernetes.impersonation import build_impersonation
from fleet.kubernetes.streams import HttpStream
from fleet.model.errors import (
    ClusterAnswerTooLarge,
    ClusterError,
    ClusterUnauthorized,
    ClusterUnreachable,
    InvalidQuery,
)
from fleet.model.told import Told, tell
from fleet.ports import Answer, Call, Upgraded

logger = logging.getLogger(__name__)

MAX_ANSWER_BYTES = 96 << 20
"""Of a member, of all answers that are read at once."""

ALL_ANSWERS = ByteBudget(256 << 20)
"""Of all members of the process, as much as its memory is one: but what is small is always read."""

_SMALL = 4 << 20

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
        self.calls = Calls()
        self.target = target
        self._endpoint = target.endpoint.rstrip("/")
        self.spans = CallSpans(cluster, self._endpoint)
        self._answers = ByteBudget(max_answer_bytes, ALL_ANSWERS, free=_SMALL)
        parts = urlsplit(self._endpoint)
        self._prefix = parts.path.encode()
        # Only a URL's host and port belong here.
        self._host_line = b" HTTP/1.1\r\nHost: " + parts.netloc.rpartition("@")[2].encode("ascii") + b"\r\n"
        self.route = build_route(self._endpoint, target.tls, target.server_name, target.proxy)
        self._pool = Pool(self.route, limit)

    async def request(self, call: Call) -> Answer:
        """Sends a request and reads the whole answer, decompressed if it came compressed.

        Raises ClusterUnauthorized for a 401, ClusterAnswerInvalid for an answer that is too large, other ClusterErrors
        where there is no answer, InvalidQuery for a path or header that can't be sent.
        """
        limit = min(call.most_bytes, self._answers.most)
        exchange = Exchange(self._pool)
        try:
            with (
                UNTRACED if tracing.tracer is None else self.spans.around(call) as span,
                calling(self.cluster),
                self._answers.share() as share,
            ):
                async with asyncio.timeout(call.timeout):
                    await self.send(exchange, call, span)
                    too_large = partial(_too_large, self.cluster, limit)
                    raw = await read_bounded(exchange.reader.chunks(), limit, too_large, share.take)
                status = exchange.response.status
                raw_headers = select_response_headers(exchange.response.headers)
                headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in raw_headers}
                content = decompress(raw, headers.pop("content-encoding", ""), limit, share.take)
        except BudgetSpent as error:
            message = f"cluster {self.cluster}: its answers, or all members', are more at once than are read"
            raise ClusterAnswerTooLarge(self.cluster, message) from error
        except FOREIGN as error:
            raise self.translate(error, call.timeout) from error
        finally:
            exchange.end()
        if status == 401:
            raise ClusterUnauthorized(
                self.cluster,
                tell(
                    "cluster {}: {} refused this server's credential (401)",
                    self.cluster,
                    Told("its API server", self._endpoint),
                ),
            )
        return Answer(status, headers, content)

    def open_stream(self, call: Call) -> HttpStream:
        """Sends a request and hands over the answer as soon as its head is there. Leaving the `with` ends it at once.

        The body may still be on its way up while the answer comes down. Raises as `request`, but a 401 is an answer.
        """
        return HttpStream(self, Exchange(self._pool), call)

    @asynccontextmanager
    async def open_upgrade(self, call: Call) -> AsyncIterator[Upgraded]:
        """Asks for a switch of protocols, on a connection of its own. Leaving the `with` ends it.

        Raises as `request`, but a 401 is an answer.
        """
        check_target(call.path, call.query)
        span = None if tracing.tracer is None else self.spans.begin(call)
        try:
            async with asyncio.timeout(call.timeout):
                framing = f"Connection: Upgrade\r\nUpgrade: {call.upgrade}\r\n".encode("latin-1")
                head = self._build_head(call, await self.target.authorizer.authorization(), framing, span)
                with timed(logger, f"{self.cluster}: {call.method} {call.path[:500]} asked for {call.upgrade}"):
                    upgraded = await request_upgrade(self.cluster, self.route, head)
        except BaseException as error:
            if span is not None:
                span.end(error)
            if isinstance(error, FOREIGN):
                raise self.translate(error, call.timeout) from error
            raise
        try:
            if span is not None:
                span.note_status(upgraded.status, 400)
            if upgraded.status == 401:
                self.target.authorizer.forget()
            yield upgraded
        finally:
            upgraded.close()
            if span is not None:
                span.end()

    def translate(self, error: BaseException, timeout: float | None) -> ClusterError:
        """The fleet's error for one of FOREIGN, which happened within `timeout` (s)."""
        failure = translate(error, self.cluster, self._endpoint, timeout)
        self.calls.note("failed")
        logger.debug("a call failed: %s", failure)
        return failure

    async def send(self, exchange: Exchange, call: Call, span: Span | None) -> None:
        """Asks, and waits for the answer's head. Raises FOREIGN, InvalidQuery, ClusterUnreachable."""
        check_target(call.path, call.query)
        if self._pool.closed:
            raise ClusterUnreachable(self.cluster, f"cluster {self.cluster}: the connection is closed")
        authorizer = self.target.authorizer
        if isinstance(authorizer, FixedAuthorizer):
            authorization = authorizer.value
        else:
            async with asyncio.timeout(call.timeout):
                authorization = await authorizer.authorization()
        framing, length = _build_framing(call)
        head = self._build_head(call, authorization, framing, span)
        begun = time.perf_counter()
        await exchange.send(call.method, head, call.body, length, call.timeout)
        took, status = time.perf_counter() - begun, exchange.response.status
        self.calls.note("ok" if status < 400 else "refused" if status < 500 else "error", took)
        if logger.isEnabledFor(logging.DEBUG):
            logger.debug("%s: %s %s: %d after %.1f ms", self.cluster, call.method, call.path[:500], status, took * 1000)
        if span is not None:
            span.note_status(status, 400)
        if status == 401:
            authorizer.forget()

    def _build_head(self, call: Call, authorization: str | None, framing: bytes, span: Span | None) -> bytes:
        path = f"{call.path}?{call.query}" if call.query else call.path
        line = b"%b %b%b%b" % (call.method.encode("ascii"), self._prefix, path.encode("ascii"), self._host_line)
        framing += b"Via: %b\r\n" % VIA
        if call.acting_for is not None:
            framing += build_impersonation(call.acting_for)
        if (request := current_request()) is not None:
            framing += b"Audit-ID: %b\r\n" % request.request_id.encode("ascii")
        if tracing.tracer is not None and (whose := span or tracing.current_span()) is not None:
            return build_request_head(line, call.headers, authorization, framing + write_context(whose), CONTEXT)
        return build_request_head(line, call.headers, authorization, framing)

    def count_connections(self) -> tuple[int, int]:
        """Those that are in use, and those that wait for a call."""
        return self._pool.count()

    async def close(self) -> None:
        """Closes the pool; answers that are still streamed end with ClusterUnreachable."""
        await self._pool.close()


def _build_framing(call: Call) -> tuple[bytes, int | None]:
    """The header that says how the body ends, and the length of one that is still arriving where it is known."""
    body = call.body
    if body is None:
        return (b"Content-Length: 0\r\n" if call.method in _WITH_BODY else b""), None
    if isinstance(body, bytes):
        return b"Content-Length: %d\r\n" % len(body), None
    for name, value in call.headers:
        if name.lower() == b"content-length":
            if not value.isdigit():
                raise InvalidQuery(f"the header Content-Length is {value.decode('latin-1')[:50]!r}, must be a number")
            return b"Content-Length: %b\r\n" % value, int(value)
    return b"Transfer-Encoding: chunked\r\n", None


def _too_large(cluster: str, limit: int) -> ClusterAnswerTooLarge:
    return ClusterAnswerTooLarge(cluster, f"cluster {cluster}: its answer is larger than {limit} bytes")
