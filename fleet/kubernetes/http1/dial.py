"""How an API server is reached: a TCP connection, through an HTTP or SOCKS proxy where there is one, and TLS on it."""

import asyncio
import base64
import socket
import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from urllib.parse import SplitResult, unquote, urlsplit

from fleet.kubernetes.http1.protocol import HttpProtocol
from fleet.kubernetes.http1.tls import Tls
from fleet.model.told import Told, foreign, tell

_MAX_PROXY_HEAD = 64 * 1024


class DialError(OSError):
    """The proxy on the way to the API server does not let through; the message says which and why."""


@dataclass(frozen=True)
class Route:
    """`tls` is None for plain HTTP, `proxy` the URL of an HTTP or SOCKS proxy on the way."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    server_name: str
    proxy: str | None = field(default=None, repr=False)


def build_route(endpoint: str, tls: ssl.SSLContext | None, server_name: str | None, proxy: str | None) -> Route:
    """The route to an endpoint's URL; without a `tls` of its own an https one is verified by the system's roots."""
    parts = urlsplit(endpoint)
    secure = parts.scheme == "https"
    host = parts.hostname or ""
    context = (tls or ssl.create_default_context()) if secure else None
    return Route(host, parts.port or (443 if secure else 80), context, server_name or host, proxy)


async def dial(route: Route, on_change: Callable[[HttpProtocol], None]) -> HttpProtocol:
    """A new connection that is fit for requests. Raises OSError, of which DialError and ssl.SSLError are some."""
    connection = await _connect(route, on_change)
    try:
        await connection.start(None if route.tls is None else Tls(route.tls, route.server_name))
    except BaseException:
        connection.close()
        raise
    return connection


async def _connect(route: Route, on_change: Callable[[HttpProtocol], None]) -> HttpProtocol:
    loop = asyncio.get_running_loop()
    if route.proxy is None:
        return (await loop.create_connection(lambda: HttpProtocol(on_change), route.host, route.port))[1]
    parts = urlsplit(route.proxy)
    port = parts.port or (1080 if parts.scheme == "socks5" else 80)
    at = Told("a proxy", f"the proxy {parts.hostname}:{port}")
    if parts.scheme == "socks5":
        through = await _connect_socks(route, parts, port, at)
        return (await loop.create_connection(lambda: HttpProtocol(on_change), sock=through))[1]
    try:
        _, connection = await loop.create_connection(lambda: HttpProtocol(on_change), parts.hostname or "", port)
    except OSError as error:
        raise DialError(tell("{} can't be reached: {}", at, foreign(error.strerror or str(error)))) from error
    try:
        connection.write(_build_connect(route, parts.username, parts.password))
        said = await _read_proxy_head(connection)
    except BaseException:
        connection.close()
        raise
    if said.split(b" ", 2)[1:2] != [b"200"]:
        connection.close()
        line = said.split(b"\r\n", 1)[0][:80].decode(errors="replace")
        raise DialError(tell("{} answered {}", at, foreign(repr(line))))
    return connection


async def _connect_socks(route: Route, proxy: SplitResult, port: int, at: str) -> socket.socket:
    """A connection that a SOCKS5 proxy (RFC 1928, RFC 1929) made, and which names it looked up, as with client-go."""
    # Only for who has such a proxy.
    from python_socks import ProxyError, ProxyType
    from python_socks.async_.asyncio import Proxy

    user, password = (unquote(text or "") for text in (proxy.username, proxy.password))
    host = proxy.hostname or ""
    try:
        return await Proxy(ProxyType.SOCKS5, host, port, user or None, password or None, rdns=True).connect(
            route.host, route.port
        )
    except OSError as error:
        raise DialError(tell("{} can't be reached: {}", at, foreign(error.strerror or str(error)))) from error
    except ProxyError as error:
        raise DialError(tell("{} refuses: {}", at, foreign(str(error)[:80]))) from error


async def _read_proxy_head(connection: HttpProtocol) -> bytearray:
    """Nothing follows it: the API server speaks second."""
    said = bytearray()
    while b"\r\n\r\n" not in said and len(said) < _MAX_PROXY_HEAD and (piece := await connection.reader.read(None)):
        said += piece
    return said


def _build_connect(route: Route, user: str | None, password: str | None) -> bytes:
    """Source: RFC 9110 section 9.3.6 (CONNECT)."""
    host = f"[{route.host}]" if ":" in route.host else route.host
    head = f"CONNECT {host}:{route.port} HTTP/1.1\r\nHost: {host}:{route.port}\r\n"
    if user is not None:
        pair = f"{unquote(user)}:{unquote(password or '')}"
        head += f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}\r\n"
    return f"{head}\r\n".encode()
