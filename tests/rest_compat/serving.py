"""The legacy routes on a real server on loopback, in front of small honest parts."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import pytest
import uvicorn
from fastapi import FastAPI
from yarl import URL

from fleet.aio.stopping import Stopping
from fleet.kubernetes.discovery import Catalogs
from fleet.model.errors import ClusterNotFound, ClusterUnreachable, MetricsTooCostly, MetricsUnavailable
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import Kind, Point
from fleet.model.visibility import Scope
from fleet.ports import Connection
from rest_compat.platform import PlatformOptions
from rest_compat.router import build_legacy_apis
from server.asgi.fast_path import FastPath
from tests.declared import assert_declared
from tests.fakes.waiting import PATIENCE, until

IMPATIENT = pytest.mark.parametrize("request_timeout", [0.5])
"""For a test in which somebody does not answer in time: fixtures serve with a short bound."""
SILENT = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")


class Clusters:
    """The part of the federation that the legacy routes call. Cluster `down` can't be reached."""

    def __init__(self, connections: Mapping[str, Connection]) -> None:
        self._connections = connections
        self.catalogs = Catalogs()

    def resolve_name(self, scope: Scope, name: str) -> str:
        if not scope.sees_cluster(name) or name not in {*self._connections, "down"}:
            raise ClusterNotFound(name, tuple(filter(scope.sees_cluster, self._connections)))
        return name

    def get_cluster(self, scope: Scope, name: str) -> object:
        return self.get_connection(scope, name)

    def reaches(self, scope: Scope, name: str) -> bool:
        return scope.sees_cluster(name) and name in self._connections

    def get_connection(self, scope: Scope, cluster: str) -> Connection:
        if self.resolve_name(scope, cluster) == "down":
            raise ClusterUnreachable(cluster, "cluster down: no answer, 3 times in a row")
        return self._connections[cluster]


@dataclass
class Points:
    """The part of a metric store that the legacy routes call."""

    stored: dict[PodKey | NodeKey, list[Point]] = field(default_factory=dict)
    broken: bool = False
    costly: bool = False
    hung: bool = False
    waiting: int = 0

    async def points(
        self, kind: Kind, key: PodKey | NodeKey, *, start_ns: int | None, end_ns: int | None, limit: int
    ) -> list[Point]:
        if self.broken:
            raise MetricsUnavailable("InfluxDB can't be reached")
        if self.costly:
            raise MetricsTooCostly("a later `timeStart` would do")
        if self.hung:
            self.waiting += 1
            try:
                await asyncio.Event().wait()
            finally:
                self.waiting -= 1
        assert (kind is Kind.POD) == isinstance(key, PodKey)
        found = self.stored.get(key, [])
        if start_ns is None and end_ns is None:
            return found[-1:]
        low, high = start_ns or 0, end_ns if end_ns is not None else 2**63
        return [point for point in found if low <= point.time_ns < high][-limit:]


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def open_served(state: Mapping[str, Any], *, http: Any = "auto", **bounds: int) -> AsyncIterator[str]:
    """Serves the router with this state, the platform's defaults in it, on uvicorn's `http`; yields the base URL.

    `bounds` are those of `build_legacy_apis`.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[Mapping[str, Any]]:
        yield {"platform": PlatformOptions(), "stopping": Stopping(), **state}

    app = FastPath(FastAPI(lifespan=lifespan, redirect_slashes=False), {}, build_legacy_apis(**bounds))
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, http=http, timeout_graceful_shutdown=1)
    server = _Server(config)
    task = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started or task.done(), what="the server's start")
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


@dataclass(frozen=True)
class Answered:
    """A whole answer, its body undecoded."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Client:
    """Sends what it is told and nothing else: no Accept, no User-Agent, no Content-Type of its own, no redirects."""

    session: aiohttp.ClientSession
    url: str
    token: str

    async def ask(self, method: str, target: str, *, body: Any = None, token: str = "", **headers: str) -> Answered:
        async with self.open(method, target, body=body, token=token, **headers) as answer:
            if target != "/":  # which is served elsewhere
                assert_declared(method, target, answer.status, answer.headers.get("content-type"))
            return Answered(answer.status, answer.headers, await answer.read())

    def open(
        self, method: str, target: str, *, body: Any = None, token: str = "", **headers: str
    ) -> "contextlib.AbstractAsyncContextManager[aiohttp.ClientResponse]":
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.session.request(
            method,
            URL(self.url + target, encoded=True),
            data=body,
            headers={"Authorization": f"Bearer {token or self.token}"} | named,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(total=PATIENCE),
        )


@asynccontextmanager
async def open_client(url: str, token: str) -> AsyncIterator[Client]:
    """A client of the served routes."""
    async with aiohttp.ClientSession(
        auto_decompress=False, skip_auto_headers=SILENT, cookie_jar=aiohttp.DummyCookieJar()
    ) as session:
        yield Client(session, url, token)
