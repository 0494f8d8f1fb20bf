"""One member's API server over HTTP: one pool, one credential, deadlines, and no exception of a library let through."""

import asyncio
import ssl
import zlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import aiohttp
from yarl import URL

from fleet.errors import ClusterAnswerInvalid, ClusterUnauthorized, ClusterUnreachable
from fleet.kubernetes.credentials import ANONYMOUS, Authorizer
from fleet.kubernetes.headers import build_request_headers, check_target, read_response_headers
from fleet.kubernetes.pipe import keep_alive_socket
from fleet.kubernetes.translate import FOREIGN, translate
from fleet.kubernetes.upgrade import Route, open_upgrade
from fleet.kubernetes.wire import DecodeError
from fleet.ports import Answer, Headers, StreamedAnswer, Upgraded
from fleet.recorder import calling

MAX_ANSWER_BYTES = 256 * 1024 * 1024

# Watches that callers hold open count too: far above what they hold, or the heartbeat would wait behind them.
_POOL_LIMIT = 4096
_KEEP_ALIVE_SECONDS = 60.0
_DNS_CACHE_SECONDS = 10
_READ_BUFFER_BYTES = 256 * 1024
_MAX_HEADER_BYTES = 64 * 1024
_GZIP_OR_ZLIB = 47  # zlib's wbits: 32 finds out which of the two it is, 15 is the largest window

Body = bytes | AsyncIterator[bytes] | None


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
    """The `Connection` port over aiohttp. To be made while an event loop runs, and closed by its owner.

    `max_answer_bytes` bounds what `request` reads, before and after decompression.
    """

    def __init__(
        self, cluster: str, target: Target, *, limit: int = _POOL_LIMIT, max_answer_bytes: int = MAX_ANSWER_BYTES
    ) -> None:
        self.cluster = cluster
        self._target = target
        self._endpoint = target.endpoint.rstrip("/")
        self._max_answer_bytes = max_answer_bytes
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(
                limit=limit,
                ssl=target.tls if target.tls is not None else True,
                keepalive_timeout=_KEEP_ALIVE_SECONDS,
                ttl_dns_cache=_DNS_CACHE_SECONDS,
                socket_factory=keep_alive_socket,
            ),
            # Deadlines are set around each call; trust_env would look into netrc and HTTP_PROXY on every request.
            timeout=aiohttp.ClientTimeout(total=None, connect=None, sock_connect=None, sock_read=None),
            trust_env=False,
            auto_decompress=False,
            cookie_jar=aiohttp.DummyCookieJar(),
            skip_auto_headers=("Accept", "Accept-Encoding", "Content-Type", "User-Agent"),
            read_bufsize=_READ_BUFFER_BYTES,
            max_line_size=_MAX_HEADER_BYTES,
            max_field_size=_MAX_HEADER_BYTES,
        )

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
        try:
            with calling(self.cluster):
                async with asyncio.timeout(timeout):
                    response = await self._send(method, path, query, headers, body)
                    try:
                        raw = await self._read_whole(response)
                    finally:
                        response.close()
            answered = dict(read_response_headers(response.raw_headers))
            content = _decompress(raw, answered.pop("content-encoding", ""), self._max_answer_bytes)
        except FOREIGN as error:
            raise translate(error, self.cluster, self._endpoint, timeout) from error
        if response.status == 401:
            raise ClusterUnauthorized(
                self.cluster, f"cluster {self.cluster}: {self._endpoint} refused this server's credential (401)"
            )
        return Answer(response.status, answered, content)

    @asynccontextmanager
    async def open_stream(
        self,
        method: str,
        path: str,
        *,
        query: str = "",
        headers: Headers = (),
        body: Body = None,
        timeout: float,
        idle_timeout: float | None = None,
    ) -> AsyncIterator[StreamedAnswer]:
        """Sends a request and hands over the answer as soon as its head is there. Leaving the `with` ends it at once.

        `body` may still be on its way up while the answer comes down. Raises as `request`, but a 401 is an answer.
        """
        try:
            with calling(self.cluster):
                async with asyncio.timeout(timeout):
                    response = await self._send(method, path, query, headers, body)
        except FOREIGN as error:
            raise translate(error, self.cluster, self._endpoint, timeout) from error
        try:
            yield _HttpStream(response, self.cluster, self._endpoint, idle_timeout)
        finally:
            # Closes the socket under an unfinished answer; a finished one is back in the pool already.
            response.close()

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
        await self._session.close()

    async def _send(self, method: str, path: str, query: str, headers: Headers, body: Body) -> aiohttp.ClientResponse:
        check_target(path, query)
        if self._session.closed:
            raise ClusterUnreachable(self.cluster, f"cluster {self.cluster}: the connection is closed")
        streamed = body is not None and not isinstance(body, bytes)
        authorization = await self._target.authorizer.authorization()
        response = await self._session.request(
            method,
            # `encoded`: what was given is what is sent, whatever yarl thinks of it.
            URL(f"{self._endpoint}{path}?{query}" if query else f"{self._endpoint}{path}", encoded=True),
            headers=build_request_headers(headers, authorization, streamed=streamed),
            data=body,
            allow_redirects=False,
            proxy=self._target.proxy,
            server_hostname=self._target.server_name,
        )
        if response.status == 401:
            self._target.authorizer.forget()
        return response

    async def _read_whole(self, response: aiohttp.ClientResponse) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while piece := await response.content.readany():
            pieces.append(piece)
            size += len(piece)
            if size > self._max_answer_bytes:
                raise _too_large(self.cluster, self._max_answer_bytes)
        return b"".join(pieces)


class _HttpStream:
    """The `StreamedAnswer` port over aiohttp."""

    def __init__(
        self, response: aiohttp.ClientResponse, cluster: str, endpoint: str, idle_timeout: float | None
    ) -> None:
        self.status = response.status
        self.headers = read_response_headers(response.raw_headers)
        self._content = response.content
        self._cluster = cluster
        self._endpoint = endpoint
        self._idle_timeout = idle_timeout

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body as it arrives. Raises ClusterError when it is cut off, ClusterTimeout when it falls silent."""
        while True:
            try:
                async with asyncio.timeout(self._idle_timeout):
                    chunk = await self._content.readany()
            except FOREIGN as error:
                raise translate(error, self._cluster, self._endpoint, self._idle_timeout) from error
            if not chunk:
                return
            yield chunk


def _too_large(cluster: str, limit: int) -> ClusterAnswerInvalid:
    return ClusterAnswerInvalid(cluster, f"cluster {cluster}: its answer is larger than {limit} bytes")


def _decompress(raw: bytes, encoding: str, limit: int) -> bytes:
    """Undoes a content encoding that was not asked for. Raises DecodeError."""
    if encoding.lower() in {"", "identity"} or not raw:
        return raw
    if encoding.lower() not in {"gzip", "x-gzip", "deflate"}:
        raise DecodeError(f"content encoding {encoding[:50]!r}")
    decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        content = decoder.decompress(raw, limit)
    except zlib.error as error:
        raise DecodeError(f"a broken {encoding} body: {error}") from error
    if not decoder.eof:
        raise DecodeError(f"a {encoding} body that is cut off or larger than {limit} bytes")
    return content
