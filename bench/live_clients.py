"""Subscribers over both transports that keep the state they were told, and count what can't be."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import aiohttp
import orjson
from websockets.asyncio.client import connect
from websockets.typing import Subprotocol

from bench.servers import Running

OPEN_SECONDS = 60.0
ILL = "!"  # no id is that


@dataclass
class Question:
    """A subscription to pods, and the query that gives the same pods at once."""

    name: str
    filter: Mapping[str, Any]
    selection: str = "id namespace name phase status nodeName labels { key value } cluster { name }"

    @property
    def subscription(self) -> dict[str, Any]:
        query = f"subscription Live($f: PodFilter) {{ podEvents(filter: $f) {{ type pod {{ {self.selection} }} }} }}"
        return {"query": query, "variables": {"f": dict(self.filter)}}

    @property
    def query(self) -> dict[str, Any]:
        query = (
            f"query Now($f: PodFilter) {{ pods(filter: $f, first: 10000) {{ items {{ {self.selection} }} "
            "clusters { name state } } }"
        )
        return {"query": query, "variables": {"f": dict(self.filter)}}


@dataclass
class Subscriber:
    """What one subscriber was told. `lazy` seconds pass before each message it takes."""

    question: Question
    transport: str
    lazy: float = 0.0
    state: dict[str, Any] = field(default_factory=dict)
    messages: int = 0
    coalesced: int = 0
    wrong: list[str] = field(default_factory=list)
    on_event: Callable[[Any], None] = lambda event: None

    def take(self, payload: Mapping[str, Any]) -> None:
        """Notes one message."""
        self.messages += 1
        self.coalesced += payload.get("extensions", {}).get("coalesced", 0)
        if payload.get("errors"):
            self.wrong.append(f"errors: {payload['errors']}")
            return
        event = payload["data"]["podEvents"]
        kind, pod = event["type"], event["pod"]
        self._check(kind, pod)
        if kind == "DELETED":
            self.state.pop(pod["id"], None)
        else:
            self.state[pod["id"]] = pod
        self.on_event(event)

    def _check(self, kind: str, pod: Mapping[str, Any]) -> None:
        known = self.state.get(pod["id"])
        if kind == "ADDED" and known is not None:
            self.wrong.append(f"doubled: {pod['name']}")
        if kind != "ADDED" and known is None:
            self.wrong.append(f"missed: {kind} of {pod['name']}")
        if kind == "MODIFIED" and known == pod:
            self.wrong.append(f"no change: {pod['name']}")


async def follow(server: Running, subscriber: Subscriber, session: aiohttp.ClientSession) -> None:
    """Takes messages until it is cancelled."""
    opened = (
        open_socket(server, subscriber) if subscriber.transport == "ws" else open_events(server, subscriber, session)
    )
    async with opened as payloads, aclosing(payloads):
        async for payload in payloads:
            subscriber.take(payload)
            if subscriber.lazy:
                await asyncio.sleep(subscriber.lazy)
    subscriber.wrong.append("the stream ended")


@asynccontextmanager
async def open_socket(server: Running, subscriber: Subscriber) -> AsyncIterator[Any]:
    """The payloads of a subscription over WebSocket."""
    async with connect(
        server.url.replace("http", "ws", 1) + "/graphql",
        subprotocols=[Subprotocol("graphql-transport-ws")],
        compression=None,
        max_size=None,
        open_timeout=OPEN_SECONDS,
        ping_interval=None,  # one who is lazy would take his own delay for a dead server
    ) as socket:
        await socket.send(
            orjson.dumps({"type": "connection_init", "payload": {"Authorization": f"Bearer {server.token}"}}).decode()
        )
        assert orjson.loads(await socket.recv()) == {"type": "connection_ack"}
        await socket.send(
            orjson.dumps({"type": "subscribe", "id": "1", "payload": subscriber.question.subscription}).decode()
        )

        async def payloads() -> AsyncIterator[Any]:
            async for text in socket:
                message = orjson.loads(text)
                assert message["type"] == "next", message
                yield message["payload"]

        yield payloads()


@asynccontextmanager
async def open_events(server: Running, subscriber: Subscriber, session: aiohttp.ClientSession) -> AsyncIterator[Any]:
    """The payloads of a subscription over server-sent events."""
    headers = {"Authorization": f"Bearer {server.token}", "Accept": "text/event-stream"}
    url = f"{server.url}/graphql"
    async with session.post(url, json=subscriber.question.subscription, headers=headers) as answer:
        assert answer.status == 200, await answer.text()

        async def payloads() -> AsyncIterator[Any]:
            async for line in answer.content:
                if line.startswith(b"data: "):
                    yield orjson.loads(line[6:])

        yield payloads()


async def ask_now(server: Running, question: Question, session: aiohttp.ClientSession) -> dict[str, Any]:
    """The state that a fresh query gives, by id; clusters that are not OK are under the key ILL."""
    headers = {"Authorization": f"Bearer {server.token}"}
    async with session.post(f"{server.url}/graphql", json=question.query, headers=headers) as answer:
        found = (await answer.json())["data"]["pods"]
    ill = [cluster for cluster in found["clusters"] if cluster["state"] != "OK"]
    return {pod["id"]: pod for pod in found["items"]} | ({ILL: ill} if ill else {})


def now() -> float:
    """Seconds of a clock that only goes on."""
    return time.perf_counter()
