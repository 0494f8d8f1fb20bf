"""Who takes compressed answers gets them, where that is worth it; on the server as `serve` starts it, byte for byte."""

import asyncio
import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import aiohttp
import pytest
import zstandard

from tests.clients.serving import open_quiet_server
from tests.processes import RunningServer

LONG = {"query": "{ pods(first: 60) { items { id name uid namespace status node { name id } labels { key value } } } }"}
SHORT = {"query": "{ viewer { name } }"}
BROWSER = "gzip, deflate, br, zstd"


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    async with open_quiet_server(tmp_path_factory.mktemp("compressing")) as running:
        yield running


@pytest.fixture
async def session(server: RunningServer) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {await server.sign_in()}"}
    skipped = ("Accept-Encoding",)
    async with aiohttp.ClientSession(
        server.url, headers=headers, auto_decompress=False, skip_auto_headers=skipped
    ) as opened:
        yield opened


async def ask(
    session: aiohttp.ClientSession, asked: dict[str, Any], accept: str | None
) -> tuple[aiohttp.ClientResponse, bytes]:
    headers = {} if accept is None else {"Accept-Encoding": accept}
    async with session.post("/graphql", json=asked, headers=headers) as answer:
        return answer, await answer.read()


def decode(coding: str | None, body: bytes) -> bytes:
    if coding == "gzip":
        return gzip.decompress(body)
    return zstandard.ZstdDecompressor().decompress(body) if coding else body


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        (BROWSER, "zstd"),
        ("gzip", "gzip"),
        ("gzip, deflate", "gzip"),
        ("zstd;q=0.1, gzip;q=0.2", "gzip"),
        ("*", "zstd"),
        ("zstd;q=0, *;q=0.5", "gzip"),
        ("GZIP", "gzip"),
        ("gzip;q=0.5, identity;q=0.9", None),
        ("identity", None),
        ("br, deflate", None),
        ("gzip;q=0", None),
        ("*;q=0", None),
        ("gzip;q=x", None),
        (", ,;q=1", None),
        ("", None),
        (None, None),
    ],
)
async def test_a_long_answer_comes_as_the_client_takes_it(
    session: aiohttp.ClientSession, accept: str | None, coding: str | None
) -> None:
    _, plain = await ask(session, LONG, None)
    answer, body = await ask(session, LONG, accept)
    assert (answer.status, answer.headers.get("content-encoding")) == (200, coding)
    assert decode(coding, body) == plain
    assert int(answer.headers["content-length"]) == len(body)
    assert answer.headers.get("vary") == (None if accept is None else "accept-encoding")
    assert len(plain) > 14_000
    assert coding is None or len(body) < len(plain) / 3


@pytest.mark.parametrize(
    ("accept", "coding"),
    [(BROWSER, None), ("gzip;q=0.5", None), ("gzip, identity;q=0", "gzip"), ("zstd, *;q=0", "zstd")],
)
async def test_a_short_answer_is_compressed_for_who_takes_nothing_else(
    session: aiohttp.ClientSession, accept: str, coding: str | None
) -> None:
    answer, body = await ask(session, SHORT, accept)
    assert answer.headers.get("content-encoding") == coding
    assert json.loads(decode(coding, body))["data"]["viewer"]["name"] == "openmcp"
    assert "vary" not in answer.headers or coding


async def test_streams_are_never_compressed(session: aiohttp.ClientSession) -> None:
    for asked, accept in (({"query": "subscription { podEvents { type } }"}, "text/event-stream"), (LONG, "text/csv")):
        headers = {"Accept-Encoding": BROWSER, "Accept": accept}
        async with session.post("/graphql", json=asked, headers=headers) as answer:
            assert "content-encoding" not in answer.headers
            assert await answer.content.readany()


async def test_what_a_member_answers_is_left_alone(session: aiohttp.ClientSession) -> None:
    headers = {"Accept-Encoding": "zstd"}
    for path in ("/api/v1/pods?clustername=cluster1", "/clusters/cluster1/api/v1/pods"):
        async with session.get(path, headers=headers) as answer:
            assert len(await answer.read()) > 14_000
            assert "content-encoding" not in answer.headers


async def test_other_answers_of_our_own_are_compressed_too(session: aiohttp.ClientSession) -> None:
    async with session.get("/schema.graphql", headers={"Accept-Encoding": "gzip"}) as answer:
        assert (answer.headers["content-encoding"], answer.headers["vary"]) == ("gzip", "accept-encoding")
        assert b"type Query" in gzip.decompress(await answer.read())
        known = {"If-None-Match": answer.headers["etag"], "Accept-Encoding": "zstd"}
    async with session.get("/schema.graphql", headers=known) as again:
        assert (again.status, "content-encoding" in again.headers) == (304, False)


async def test_many_at_once_each_get_their_own(session: aiohttp.ClientSession) -> None:
    asked = [
        {"query": f"{{ {name}: pods(first: 60) {{ items {{ id uid name a{name}: id }} }} }}"} for name in "abcdefgh"
    ]
    answers = await asyncio.gather(*(ask(session, one, "gzip") for one in asked * 4))
    assert [next(iter(json.loads(gzip.decompress(body))["data"])) for _, body in answers] == [*"abcdefgh"] * 4
