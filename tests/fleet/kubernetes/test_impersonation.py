"""Calls as somebody else: what goes out, whatever the caller's own headers say."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from typing import Any

import pytest

from fleet.kubernetes.connection import HttpConnection, Target
from fleet.kubernetes.impersonation import ImpersonatedConnection, check_subject
from fleet.model.errors import Forbidden
from fleet.model.rights import Subject
from fleet.ports import Call, Connection, Headers
from tests.fleet.kubernetes.servers import open_raw_server

ANN = Subject("ann@example.org", ("team-a", "Team B", "größe"))
SAID = [b"Impersonate-User: ann@example.org", *(f"Impersonate-Group: {name}".encode() for name in ANN.groups)]

Ask = Callable[[Connection, Headers], Coroutine[Any, Any, object]]


async def request(connection: Connection, headers: Headers) -> object:
    return await connection.request(Call("GET", "/api", 5.0, headers=headers))


async def stream(connection: Connection, headers: Headers) -> object:
    async with connection.open_stream(Call("POST", "/api", 5.0, headers=headers, body=b"{}")) as answer:
        return await answer.read()


async def upgrade(connection: Connection, headers: Headers) -> object:
    async with connection.open_upgrade(Call("GET", "/api", 5.0, headers=headers, upgrade="websocket")) as answer:
        return answer.status


@pytest.fixture
async def heads() -> AsyncIterator[tuple[HttpConnection, list[list[bytes]]]]:
    """A member, and the lines of each head that it was sent."""
    seen: list[list[bytes]] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append((await reader.readuntil(b"\r\n\r\n")).split(b"\r\n"))
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}")
        await writer.drain()

    async with open_raw_server(serve) as url:
        connection = HttpConnection("c1", Target(url))
        yield connection, seen
        await connection.close()


@pytest.mark.parametrize("ask", [request, stream, upgrade])
@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"connection", b"Impersonate-User, impersonate-group"), (b"x-other", b"1")],
        [(b"connection", b"close, impersonate-user"), (b"accept", b"*/*")],
    ],
)
async def test_each_call_names_the_subject(
    heads: tuple[HttpConnection, list[list[bytes]]], ask: Ask, headers: Headers
) -> None:
    connection, seen = heads
    await ask(ImpersonatedConnection(connection, ANN), headers)
    (head,) = seen
    assert [line for line in head if line.lower().startswith(b"impersonate")] == SAID


async def test_this_server_itself_is_nobody_else(heads: tuple[HttpConnection, list[list[bytes]]]) -> None:
    connection, seen = heads
    await request(connection, [])
    assert not any(b"impersonate" in line.lower() for line in seen[0])


@pytest.mark.parametrize(
    "name", ["", " ann", "ann ", "ann\t", "a\r\nImpersonate-Group: system:masters", "a\x00", "\ud800", "system:admin"]
)
def test_names_that_would_be_others_are_refused(name: str) -> None:
    with pytest.raises(Forbidden, match="can't be named to a cluster"):
        check_subject(Subject(name))


def test_clusters_own_groups_are_not_said() -> None:
    given = Subject("ann", ("system:masters", "team-a", "", "a\nb", " b", "system:"))
    assert check_subject(given) == Subject("ann", ("team-a",))


def test_more_groups_than_a_head_takes_are_refused() -> None:
    with pytest.raises(Forbidden, match="more groups than can be named"):
        check_subject(Subject("ann", tuple(f"group-{number}" for number in range(5_000))))
