"""A served graph whose members are clusters of this process, and clients of both transports."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
import uvicorn
from fastapi import FastAPI
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed
from websockets.typing import Subprotocol

from auth.certificates import Credential
from auth.errors import Unauthenticated
from auth.principal import Principal
from fleet.federation import Federation
from fleet.registry import FleetOptions, open_federation
from graph.http.router import build_graph_router
from graph.http.state import GraphState
from graph.limits.limits import DEFAULT_LIMITS, Limits
from graph.subscriptions.hub import Hub, LiveOptions, open_hub
from tests.fakes.graph import CountingStore, build_state
from tests.fakes.kubernetes import FakeCluster, FakeSource
from tests.fakes.waiting import PATIENCE, until
from tests.graph.conftest import ADMIN, OPTIONS, SHOPPER, build_cluster

PROTOCOL = Subprotocol("graphql-transport-ws")
WAIT = PATIENCE


class Users:
    """The part of the authenticator that is needed; a test may change who a token belongs to."""

    def __init__(self) -> None:
        self.known: dict[str, Principal] = {"ann": ADMIN, "sam": SHOPPER}

    async def authenticate(self, credential: Credential) -> Principal:
        if credential == "Bearer broken":
            raise RuntimeError("nobody expected this")
        found = self.known.get(str(credential).removeprefix("Bearer "))
        if found is None:
            raise Unauthenticated("no token, or one that does not count")
        return found


class Socket:
    """One WebSocket that speaks the protocol."""

    def __init__(self, connection: ClientConnection) -> None:
        self.connection = connection

    async def send(self, message: object) -> None:
        await self.connection.send(message if isinstance(message, str | bytes) else json.dumps(message))

    async def receive(self) -> Any:
        async with asyncio.timeout(WAIT):
            return json.loads(await self.connection.recv())

    async def init(self, who: str = "ann") -> None:
        await self.send({"type": "connection_init", "payload": {"Authorization": f"Bearer {who}"}})
        assert await self.receive() == {"type": "connection_ack"}

    async def subscribe(self, query: str, name: str = "1", **variables: object) -> None:
        payload = {"query": query, "variables": variables}
        await self.send({"type": "subscribe", "id": name, "payload": payload})

    async def next(self, name: str = "1") -> Any:
        """The payload of the next message, which is a `next` of that operation."""
        message = await self.receive()
        assert (message["type"], message["id"]) == ("next", name), message
        return message["payload"]

    async def take(self, count: int, field: str) -> list[Any]:
        """The data of so many messages."""
        return [(await self.next())["data"][field] for _ in range(count)]

    async def closing(self) -> tuple[int | None, str]:
        """How the server closes the socket, whatever it says before, but the end of an operation."""
        async with asyncio.timeout(WAIT):
            with contextlib.suppress(ConnectionClosed):
                while True:
                    assert json.loads(await self.connection.recv())["type"] not in ("error", "complete")
        return self.connection.close_code, self.connection.close_reason or ""


class Stream:
    """One stream of events."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self.answer = answer
        self.comments = 0
        self.said = ""

    async def event(self) -> tuple[str, Any]:
        """The name and the data of the next event."""
        async with asyncio.timeout(WAIT):
            name, data = "", ""
            while (line := (await self.answer.content.readline()).decode()) not in ("", "\n") or not name:
                if not line:
                    raise EOFError
                key, _, value = line.rstrip("\n").partition(":")
                if not key:
                    self.comments += line != "\n"
                    self.said = value.strip() or self.said
                elif key == "event":
                    name = value.strip()
                elif key == "data":
                    data = value.strip()
        return name, json.loads(data) if data else None

    async def next(self) -> Any:
        name, data = await self.event()
        assert name == "next", (name, data)
        return data

    async def ending(self) -> str:
        """What the last comment said, where the stream ends and no event comes before."""
        with pytest.raises(EOFError):
            await self.event()
        return self.said


class Live:
    """What a test asks, and what stands behind it."""

    def __init__(
        self, source: FakeSource, federation: Federation, store: CountingStore, users: Users, hub: Hub
    ) -> None:
        self.source = source
        self.federation = federation
        self.store = store
        self.users = users
        self.hub = hub
        self.url = ""

    def __getitem__(self, name: str) -> FakeCluster:
        return self.source.clusters[name]

    @contextlib.asynccontextmanager
    async def socket(self, *, protocol: str | None = PROTOCOL) -> AsyncIterator[Socket]:
        offered = None if protocol is None else [Subprotocol(protocol)]
        url = self.url.replace("http", "ws", 1) + "/graphql"
        async with connect(url, subprotocols=offered, max_size=None, compression=None) as connection:
            yield Socket(connection)

    @contextlib.asynccontextmanager
    async def ready(self, query: str | None = None, who: str = "ann", **variables: Any) -> AsyncIterator[Socket]:
        """A socket that is acknowledged, and subscribed to the query."""
        async with self.socket() as socket:
            await socket.init(who)
            if query is not None:
                await socket.subscribe(query, **variables)
            yield socket

    @contextlib.asynccontextmanager
    async def events(
        self, query: str, who: str = "ann", *, method: str = "POST", **variables: object
    ) -> AsyncIterator[Stream]:
        headers = {"Authorization": f"Bearer {who}", "Accept": "text/event-stream"}
        asked: Any = {"query": query, "variables": variables}
        options: Any = {"json": asked}
        if method == "GET":
            options = {"params": {"query": query, "variables": json.dumps(variables)}}
        async with (
            aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=60)) as session,
            session.request(method, f"{self.url}/graphql", **options) as answer,
        ):
            yield Stream(answer)


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def open_live(
    *names: str,
    pods: int = 4,
    options: LiveOptions | None = None,
    fleet: FleetOptions = OPTIONS,
    limits: Limits = DEFAULT_LIMITS,
) -> AsyncIterator[Live]:
    """Clusters `names` of so many pods each, served on loopback."""
    source, store, users = FakeSource(*(build_cluster(name, pods) for name in names)), CountingStore(), Users()
    async with open_federation(source, fleet) as federation:
        await federation.wait_synced(5)
        async with open_hub(federation, store, users, request_timeout=3.0, limits=limits, options=options) as hub:
            live = Live(source, federation, store, users, hub)
            async with serve(live):
                yield live


@contextlib.asynccontextmanager
async def serve(live: Live) -> AsyncIterator[None]:
    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[GraphState]:
        yield build_state(live.federation, live.store, live.users, live.hub, request_timeout=3.0)

    app = FastAPI(lifespan=lifespan)
    app.include_router(build_graph_router())
    config = uvicorn.Config(
        app,
        host="127.0.0.1",
        port=0,
        log_config=None,
        timeout_graceful_shutdown=1,
        ws="websockets-sansio",
        ws_per_message_deflate=False,
    )
    server = _Server(config)
    task = asyncio.create_task(server.serve())
    await until(lambda: server.started)
    live.url = f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    try:
        yield
    finally:
        live.hub.shut_down()
        server.should_exit = True
        await task
