"""A connection to a member that leaves HTTP: exec, attach, port-forward and whatever else asks to switch protocols.

After the member's 101 its bytes are the caller's, unread: WebSocket frames with whatever subprotocol and extensions the
two ends agreed on, or SPDY. Source: RFC 9110 section 7.8 (Upgrade), section 9.3.6 (CONNECT).
"""

import asyncio
import base64
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit

import h11
from multidict import CIMultiDict

from fleet.kubernetes.http1.headers import read_response_headers
from fleet.kubernetes.http1.stream import Pipe
from fleet.model.errors import ClusterAnswerInvalid

MAX_REFUSAL_BYTES = 1024 * 1024
"""Of the body with which a member refuses to switch."""

_MAX_HEAD_BYTES = 64 * 1024


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
    _pipe: Pipe
    _rest: list[bytes]

    async def read(self) -> bytes:
        """Bytes as they arrive; empty at the end."""
        return self._rest.pop() if self._rest else await self._pipe.read()

    async def write(self, data: bytes) -> None:
        """Sends, and waits while the member does not read."""
        await self._pipe.write(data)


@asynccontextmanager
async def open_upgrade(
    cluster: str, route: Route, method: str, target: str, headers: CIMultiDict[str], timeout: float
) -> AsyncIterator[HttpUpgrade]:
    """Asks for the switch; leaving the `with` ends the connection.

    `timeout` (s) bounds the wait for the answer. Raises OSError, TimeoutError, ClusterAnswerInvalid.
    """
    pipe: Pipe | None = None
    try:
        async with asyncio.timeout(timeout):
            pipe = await _dial(route)
            upgrade = await _ask(cluster, pipe, _build_request(route, method, target, headers))
        yield upgrade
    finally:
        if pipe is not None:
            pipe.close()


async def _dial(route: Route) -> Pipe:
    parts = urlsplit(route.endpoint)
    host = parts.hostname or ""
    port = parts.port or (443 if parts.scheme == "https" else 80)
    tls = (route.tls or ssl.create_default_context()) if parts.scheme == "https" else None
    if route.proxy is None:
        _, pipe = await asyncio.get_running_loop().create_connection(Pipe, host, port)
    else:
        pipe = await _dial_through(route.proxy, host, port)
    try:
        if tls is not None:
            await pipe.start_tls(tls, route.server_name or host)
    except BaseException:
        pipe.close()
        raise
    return pipe


async def _dial_through(proxy: str, host: str, port: int) -> Pipe:
    parts = urlsplit(proxy)
    if parts.scheme != "http":
        raise UpgradeProblem(f"streams pass through http proxies only, this one is {parts.scheme[:20]!r}")
    authority = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    head = f"CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n"
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        head += f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}\r\n"
    _, pipe = await asyncio.get_running_loop().create_connection(Pipe, parts.hostname or "", parts.port or 80)
    try:
        await pipe.write(f"{head}\r\n".encode())
        answer = b""
        # Nothing follows the proxy's head: the member speaks second.
        while b"\r\n\r\n" not in answer and len(answer) < _MAX_HEAD_BYTES and (data := await pipe.read()):
            answer += data
    except BaseException:
        pipe.close()
        raise
    if answer.split(b" ", 2)[1:2] != [b"200"]:
        pipe.close()
        said = answer.split(b"\r\n", 1)[0][:80].decode(errors="replace")
        raise UpgradeProblem(f"the proxy answered {said!r}")
    return pipe


def _build_request(route: Route, method: str, target: str, headers: CIMultiDict[str]) -> h11.Request:
    parts = urlsplit(route.endpoint)
    # The authority without a user: only a URL's host and port belong here.
    pairs = [("Host", parts.netloc.rpartition("@")[2]), *((name, value.strip()) for name, value in headers.items())]
    return h11.Request(method=method, target=f"{parts.path}{target}", headers=pairs)


async def _ask(cluster: str, pipe: Pipe, request: h11.Request) -> HttpUpgrade:
    http = h11.Connection(h11.CLIENT, max_incomplete_event_size=_MAX_HEAD_BYTES)
    await pipe.write((http.send(request) or b"") + (http.send(h11.EndOfMessage()) or b""))
    answer: h11.Response | None = None
    body = b""
    try:
        while True:
            event = http.next_event()
            if event is h11.NEED_DATA:
                http.receive_data(await pipe.read())
            elif isinstance(event, h11.InformationalResponse) and event.status_code == 101:
                rest = http.trailing_data[0]
                return HttpUpgrade(101, _switched_headers(event), b"", pipe, [rest] if rest else [])
            elif isinstance(event, h11.Response):
                answer = event
            elif isinstance(event, h11.Data):
                body += bytes(event.data)
            elif isinstance(event, h11.EndOfMessage) and answer is not None:
                return HttpUpgrade(answer.status_code, read_response_headers(answer.headers), body, pipe, [])
            if len(body) > MAX_REFUSAL_BYTES:
                raise ClusterAnswerInvalid(cluster, f"cluster {cluster}: its refusal to switch protocols has no end")
    except h11.RemoteProtocolError as error:
        message = f"cluster {cluster}: it answered nonsense when asked to switch protocols: {str(error)[:200]}"
        raise ClusterAnswerInvalid(cluster, message) from error


def _switched_headers(event: h11.InformationalResponse) -> list[tuple[str, str]]:
    """The headers of a 101, with the two that are about this switch and would go with the hop otherwise."""
    upgrade = next((value.decode("latin-1") for name, value in event.headers if name == b"upgrade"), "")
    return [("connection", "Upgrade"), ("upgrade", upgrade), *read_response_headers(event.headers)]
