"""Subscribers of a running server, over both transports."""

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import aiohttp
from websockets.asyncio.client import ClientConnection, connect
from websockets.typing import Subprotocol

from tests.fakes.waiting import PATIENCE
from tests.processes import RunningServer

Next = Callable[[], Awaitable[Any]]
"""Gives the next payload. Raises TimeoutError."""

WAIT = PATIENCE


@contextlib.asynccontextmanager
async def open_socket(
    server: RunningServer, token: str, query: str, **variables: Any
) -> AsyncIterator[ClientConnection]:
    """A WebSocket with one subscription, its id 1."""
    url = server.url.replace("http", "ws", 1) + "/graphql"
    async with connect(url, subprotocols=[Subprotocol("graphql-transport-ws")], max_size=None) as socket:
        payload: Any = {"Authorization": f"Bearer {token}"}
        await socket.send(json.dumps({"type": "connection_init", "payload": payload}))
        assert json.loads(await socket.recv()) == {"type": "connection_ack"}
        payload = {"query": query, "variables": variables}
        await socket.send(json.dumps({"type": "subscribe", "id": "1", "payload": payload}))
        yield socket


@contextlib.asynccontextmanager
async def over_websocket(server: RunningServer, token: str, query: str, **variables: Any) -> AsyncIterator[Next]:
    """The payloads of a subscription over WebSocket."""
    async with open_socket(server, token, query, **variables) as socket:

        async def take() -> Any:
            async with asyncio.timeout(WAIT):
                message = json.loads(await socket.recv())
            assert message["type"] == "next", message
            return message["payload"]

        yield take


@contextlib.asynccontextmanager
async def over_events(server: RunningServer, token: str, query: str, **variables: Any) -> AsyncIterator[Next]:
    """The payloads of a subscription over server-sent events."""
    headers = {"Authorization": f"Bearer {token}", "Accept": "text/event-stream"}
    async with (
        aiohttp.ClientSession(headers=headers, timeout=aiohttp.ClientTimeout(total=None)) as session,
        session.post(f"{server.url}/graphql", json={"query": query, "variables": variables}) as answer,
    ):
        assert answer.content_type == "text/event-stream", await answer.text()

        async def take() -> Any:
            async with asyncio.timeout(WAIT):
                while not (line := await answer.content.readline()).startswith(b"data: "):
                    assert line, "the stream ended"
            return json.loads(line[6:])

        yield take


class Held:
    """What a subscriber of `podEvents` knows, kept in a task; `wrong` has events that can't be."""

    def __init__(self, take: Next) -> None:
        self.pods: dict[tuple[str, str, str], Any] = {}
        self.wrong: list[str] = []
        self._take = take

    async def follow(self) -> None:
        while True:
            with contextlib.suppress(TimeoutError):
                self._note((await self._take())["data"]["podEvents"])

    def _note(self, event: Any) -> None:
        pod = event["pod"]
        key = (pod["cluster"]["name"], pod["namespace"], pod["name"])
        if (event["type"] == "ADDED") is (key in self.pods):
            self.wrong.append(f"{event['type']} of {key}")
        if event["type"] == "DELETED":
            self.pods.pop(key, None)
        else:
            self.pods[key] = pod
