"""A connection to a member that leaves HTTP: exec, attach, port-forward and whatever else asks to switch protocols.

After the member's 101 its bytes are the caller's, unread: WebSocket frames with whatever subprotocol and extensions the
two ends agreed on, or SPDY. Source: RFC 9110 section 7.8 (Upgrade), section 9.3.6 (CONNECT).
"""

import asyncio
import base64
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

import h11
from multidict import CIMultiDict

from fleet.errors import ClusterAnswerInvalid
from fleet.kubernetes.headers import read_response_headers

MAX_REFUSAL_BYTES = 1024 * 1024
"""Of the body with which a member refuses to switch."""

FLUSH_SECONDS = 5.0
"""What is already written has this long to leave when a connection is closed."""

_READ_BYTES = 64 * 1024
_MAX_HEAD_BYTES = 64 * 1024
# A member that is gone without a word is noticed within a minute: these streams may be silent for hours.
_KEEP_ALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3), ("TCP_USER_TIMEOUT", 60_000))


class UpgradeProblem(OSError):
    """The way to the member can't be taken; the message says where it ends."""


@dataclass(frozen=True)
class Route:
    """The way to an API server. `tls` is None for plain HTTP, `proxy` the URL of an HTTP proxy on the way."""

    endpoint: str
    tls: ssl.SSLContext | None
    server_name: str | None
    proxy: str | None = field(default=None, repr=False)


@dataclass(frozen=True)
class HttpUpgrade:
    """The `Upgraded` port. `body` is the whole body of a refusal, and empty after a 101."""

    status: int
    headers: list[tuple[str, str]]
    body: bytes
    _reader: asyncio.StreamReader
    _writer: asyncio.StreamWriter
    _rest: list[bytes]

    async def read(self) -> bytes:
        """Bytes as they arrive; empty at the end."""
        return self._rest.pop() if self._rest else await self._reader.read(_READ_BYTES)

    async def write(self, data: bytes) -> None:
        """Sends, and waits while the member does not read."""
        self._writer.write(data)
        await self._writer.drain()


@asynccontextmanager
async def open_upgrade(
    cluster: str, route: Route, method: str, target: str, headers: CIMultiDict[str], timeout: float
) -> AsyncIterator[HttpUpgrade]:
    """Asks for the switch; leaving the `with` ends the connection.

    `timeout` (s) bounds the wait for the answer. Raises OSError, TimeoutError, ClusterAnswerInvalid.
    """
    writer: asyncio.StreamWriter | None = None
    try:
        async with asyncio.timeout(timeout):
            reader, writer = await _dial(route)
            upgrade = await _ask(cluster, reader, writer, _build_request(route, method, target, headers))
        yield upgrade
    finally:
        if writer is not None:
            _close(writer)


def _close(writer: asyncio.StreamWriter) -> None:
    writer.close()
    # A member that no longer reads would hold what is written, and the socket, for ever.
    asyncio.get_running_loop().call_later(FLUSH_SECONDS, writer.transport.abort)


async def _dial(route: Route) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(route.endpoint)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    tls = (route.tls or ssl.create_default_context()) if parts.scheme == "https" else None
    name = route.server_name or host
    if route.proxy is None:
        server_hostname = name if tls is not None else None
        reader, writer = await asyncio.open_connection(host, port, ssl=tls, server_hostname=server_hostname)
        set_keep_alive(writer.get_extra_info("socket"))
        return reader, writer
    reader, writer = await _dial_through(route.proxy, host, port)
    try:
        if tls is not None:
            await writer.start_tls(tls, server_hostname=name)
    except BaseException:
        writer.close()
        raise
    return reader, writer


async def _dial_through(proxy: str, host: str, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    parts = urlsplit(proxy)
    if parts.scheme != "http":
        raise UpgradeProblem(f"streams pass through http proxies only, this one is {parts.scheme[:20]!r}")
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    head = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n"
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        head += f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}\r\n"
    reader, writer = await asyncio.open_connection(parts.hostname, parts.port or 80)
    try:
        set_keep_alive(writer.get_extra_info("socket"))
        writer.write(f"{head}\r\n".encode())
        answer = await reader.readuntil(b"\r\n\r\n")
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError) as error:
        writer.close()
        raise UpgradeProblem("the proxy answered nonsense") from error
    except BaseException:
        writer.close()
        raise
    status = answer.split(b" ", 2)[1:2]
    if status != [b"200"]:
        writer.close()
        said = answer.split(b"\r\n", 1)[0][:80].decode(errors="replace")
        raise UpgradeProblem(f"the proxy answered {said!r}")
    return reader, writer


def keep_alive_socket(address: tuple[Any, ...]) -> socket.socket:
    """A socket for an address of `getaddrinfo`, on which a silent end of the other side is noticed within a minute."""
    family, kind, protocol, *_ = address
    made = socket.socket(family, kind, protocol)
    set_keep_alive(made)
    return made


def set_keep_alive(made: socket.socket) -> None:
    """Lets the system ask a silent other side whether it is there."""
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEP_ALIVE:
        if hasattr(socket, name):  # each system has its own of these
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


def _build_request(route: Route, method: str, target: str, headers: CIMultiDict[str]) -> h11.Request:
    parts = urlsplit(route.endpoint)
    # The authority without a user: only a URL's host and port belong here.
    pairs = [("Host", parts.netloc.rpartition("@")[2]), *((name, value.strip()) for name, value in headers.items())]
    return h11.Request(method=method, target=f"{parts.path}{target}", headers=pairs)


async def _ask(
    cluster: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, request: h11.Request
) -> HttpUpgrade:
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)
    writer.write((http.send(request) or b"") + (http.send(h11.EndOfMessage()) or b""))
    await writer.drain()
    answer: h11.Response | None = None
    body = b""
    try:
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await reader.read(_READ_BYTES))
            elif isinstance(event, h11.InformationalResponse) and event.status_code == 101:
                rest = http.trailing_data[0]
                return HttpUpgrade(101, _switched_headers(event), b"", reader, writer, [rest] if rest else [])
            elif isinstance(event, h11.Response):
                answer = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) and answer is not None:
                return HttpUpgrade(answer.status_code, read_response_headers(answer.headers), body, reader, writer, [])
            if len(body) > MAX_REFUSAL_BYTES:
                raise ClusterAnswerInvalid(cluster, f"cluster {cluster}: its refusal to switch protocols has no end")
    except h11.RemoteProtocolError as error:
        message = f"cluster {cluster}: it answered nonsense when asked to switch protocols: {str(error)[:200]}"
        raise ClusterAnswerInvalid(cluster, message) from error


def _switched_headers(event: h11.InformationalResponse) -> list[tuple[str, str]]:
    """The headers of a 101, with the two that are about this switch and would go with the hop otherwise."""
    upgrade = next((value.decode("latin-1") for name, value in event.headers if name == b"upgrade"), "")
    return [("connection", "Upgrade"), ("upgrade", upgrade), *read_response_headers(event.headers)]
