"""A small client that asks an API server what a test wants to know."""

import asyncio
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import aiohttp

from demo.simulator import SimulatedCluster
from tests.fakes.waiting import PATIENCE


@dataclass(frozen=True)
class Reply:
    """A status and a body, decoded where it is JSON."""

    status: int
    body: Any

    @property
    def names(self) -> list[str]:
        """The names of a list's items."""
        return [item["metadata"]["name"] for item in self.body["items"]]


class Events:
    """A running watch."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self.status = response.status

    async def line(self) -> bytes:
        """The next line as it came, empty where the stream ended."""
        return await self._response.content.readline()

    async def next(self, seconds: float = PATIENCE) -> dict[str, Any]:
        """The next event. Raises TimeoutError, and EOFError where the watch ended."""
        async with asyncio.timeout(seconds):
            line = await self._response.content.readline()
        if not line:
            raise EOFError
        event: dict[str, Any] = json.loads(line)
        return event

    async def rest(self, seconds: float) -> list[dict[str, Any]]:
        """All events until the watch ends. Raises TimeoutError where one takes longer than `seconds`."""
        seen = []
        while True:
            try:
                seen.append(await self.next(seconds))
            except EOFError:
                return seen

    async def fall_silent(self, seconds: float = 0.5, at_most: int = 5) -> None:
        """Returns once nothing comes for a time; a few events may still have been on their way."""
        for _ in range(at_most):
            try:
                await self.next(seconds)
            except TimeoutError:
                return
        raise AssertionError(f"{at_most} events came")

    async def of_type(self, wanted: str) -> dict[str, Any]:
        """The next event of a type."""
        while (event := await self.next())["type"] != wanted:
            pass
        return event


class Asker:
    """Asks one API server."""

    def __init__(self, session: aiohttp.ClientSession, url: str) -> None:
        self._session = session
        self._url = url

    async def ask(self, path: str, **query: str) -> Reply:
        """One read."""
        return await self.send(path, "GET", query=query)

    async def send(
        self,
        path: str,
        method: str,
        body: object = None,
        content_type: str = "application/json",
        *,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Reply:
        """One call; a text is sent as it is, anything else as JSON."""
        data = body if isinstance(body, str | None) else json.dumps(body)
        sent = {"Content-Type": content_type, **(headers or {})} if data is not None else headers
        async with self._session.request(method, self._url + path, params=query, data=data, headers=sent) as response:
            text = await response.text()
            is_json = response.content_type == "application/json"
            return Reply(response.status, json.loads(text) if is_json else text)

    @asynccontextmanager
    async def watch(self, path: str, **query: str) -> AsyncIterator[Events]:
        """A watch until the block ends."""
        async with self._session.get(self._url + path, params={"watch": "true", **query}) as response:
            yield Events(response)


@asynccontextmanager
async def open_asker(
    url: str, token: str | None, *, seconds: float = PATIENCE, ssl: Any = True
) -> AsyncIterator[Asker]:
    """A client with this token."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    timeout = aiohttp.ClientTimeout(total=None, sock_connect=seconds, sock_read=seconds)
    connector = aiohttp.TCPConnector(ssl=ssl)
    async with aiohttp.ClientSession(headers=headers, timeout=timeout, connector=connector) as session:
        yield Asker(session, url)


@asynccontextmanager
async def open_member_asker(member: SimulatedCluster, seconds: float = PATIENCE) -> AsyncIterator[Asker]:
    """A client of a simulated cluster, with its token."""
    async with open_asker(member.url, member.token, seconds=seconds) as asker:
        yield asker


def build_config_map(name: str, value: str = "1", labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    """A ConfigMap to write."""
    metadata = {"name": name, "labels": dict(labels or {})}
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"key": value}}
