"""Callers that take nothing are cut off, here and at the member; those for whom nothing is there stay."""

import asyncio
import base64
import contextlib
import socket
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Any

import pytest
from aiohttp import web

from auth.authenticator import Authenticator
from fleet.aio.tasks import open_task
from fleet.kubernetes.connection import HttpConnection, Target
from server.asgi.bounds import build_protocols
from server.asgi.connections import ConnectionOptions, Connections
from tests.fakes.waiting import PATIENCE, until
from tests.fleet.kubernetes.servers import open_http_server
from tests.rest_compat.serving import Clusters, open_served
from tests.rest_compat.upstream import Upstream, streaming

POD = "/api/v1/namespaces/shop/pods/web"


@dataclass
class Slow:
    """A server that cuts off who takes nothing for a short time, and the member behind it."""

    connections: Connections
    upstream: Upstream
    port: int
    token: str

    @contextlib.asynccontextmanager
    async def ask(self, target: str, *headers: str) -> AsyncIterator[socket.socket]:
        """A request over a socket that has little room for its answer, of which nothing is read yet."""
        with socket.socket() as caller:
            caller.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            caller.setblocking(False)
            loop = asyncio.get_running_loop()
            await loop.sock_connect(caller, ("127.0.0.1", self.port))
            lines = [f"GET /clusters/cluster1{target} HTTP/1.1", "Host: h", f"Authorization: Bearer {self.token}"]
            await loop.sock_sendall(caller, "\r\n".join([*lines, *headers, "", ""]).encode())
            yield caller


@pytest.fixture
async def slow(authenticator: Authenticator, upstream: Upstream) -> AsyncIterator[Slow]:
    connections = Connections(ConnectionOptions(stall_seconds=0.3))
    token = await authenticator.login("openmcp", "keti")
    async with open_http_server(upstream.serve) as endpoint:
        connection = HttpConnection("cluster1", Target(endpoint))
        state = {
            "federation": Clusters({"cluster1": connection}),
            "authenticator": authenticator,
            "request_timeout": PATIENCE,
        }
        async with open_task("cut", connections.watch), open_served(state, http=build_protocols(connections)[0]) as url:
            yield Slow(connections, upstream, int(url.rpartition(":")[2]), token)
        await connection.close()


def pouring(prepare: Callable[[web.BaseRequest], Any]) -> Any:
    """Sends without an end."""

    async def answer(request: web.BaseRequest) -> web.StreamResponse:
        response = await prepare(request)
        while True:
            if isinstance(response, web.WebSocketResponse):
                await response.send_bytes(b"\x01" + b"x" * 65536)
            else:
                await response.write(b"x" * 65535 + b"\n")

    return answer


async def prepare_plain(request: web.BaseRequest) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    return response


async def prepare_socket(request: web.BaseRequest) -> web.StreamResponse:
    response = web.WebSocketResponse(protocols=("v4.channel.k8s.io",))
    await response.prepare(request)
    return response


UPGRADE = (
    "Connection: Upgrade",
    "Upgrade: websocket",
    "Sec-WebSocket-Version: 13",
    f"Sec-WebSocket-Key: {base64.b64encode(bytes(16)).decode()}",
    "Sec-WebSocket-Protocol: v4.channel.k8s.io",
)


@pytest.mark.parametrize(
    ("target", "prepare", "headers"),
    [
        ("/api/v1/pods", prepare_plain, ()),
        ("/api/v1/pods?watch=true", prepare_plain, ()),
        (f"{POD}/log?follow=true", prepare_plain, ()),
        (f"{POD}/exec?command=x", prepare_socket, UPGRADE),
    ],
)
async def test_who_takes_nothing_is_cut_off_here_and_at_the_member(
    slow: Slow, target: str, prepare: Any, headers: tuple[str, ...]
) -> None:
    slow.upstream.answers[target.partition("?")[0]] = pouring(prepare)
    async with slow.ask(target, *headers):
        await until(lambda: slow.upstream.begun == 1)
        await until(lambda: slow.upstream.ended == 1)
        await until(lambda: len(slow.connections) == 0)
    assert slow.connections.stalled == 1


async def test_silence_is_no_reason_and_slowness_neither(slow: Slow) -> None:
    pieces: asyncio.Queue[bytes | None] = asyncio.Queue()
    slow.upstream.answers["/api/v1/nodes"] = streaming(pieces)
    slow.upstream.answers["/api/v1/pods"] = pouring(prepare_plain)
    loop = asyncio.get_running_loop()
    async with slow.ask("/api/v1/nodes?watch=true") as silent, slow.ask("/api/v1/pods") as reading:

        async def read_slowly() -> None:
            while True:
                await loop.sock_recv(reading, 16 * 1024)
                await asyncio.sleep(0.02)

        async with open_task("reads", read_slowly), slow.ask("/api/v1/pods"):
            await until(lambda: slow.connections.stalled == 1)
            await until(lambda: len(slow.connections) == 2)
        pieces.put_nowait(b"{}\n")
        assert b"200 OK" in await loop.sock_recv(silent, 65536)
    assert slow.connections.stalled == 1
