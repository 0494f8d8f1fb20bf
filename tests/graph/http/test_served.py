"""GraphQL over HTTP on a real server on loopback."""

import asyncio
import codecs
import contextlib
import gzip
import io
import json
import re
import zlib
from collections.abc import AsyncIterator, Iterator
from typing import Any

import aiohttp
import pytest
import uvicorn
from fastapi import FastAPI
from multidict import CIMultiDict

from auth.certificates import Credential
from auth.errors import Unauthenticated
from auth.principal import Principal
from fleet.aio.admission import Admission
from graph.http.persisted import Documents
from graph.http.protocol import GRAPHQL_TYPE
from graph.http.router import build_graph_router
from graph.http.state import GraphState
from graph.limits.limits import DEFAULT_LIMITS
from graph.subscriptions.hub import open_hub
from tests.fakes.graph import build_state
from tests.fakes.waiting import until
from tests.graph.conftest import ADMIN, SHOPPER, Graph, OpenGraph

MAX_BODY = DEFAULT_LIMITS.body
ME = "{ viewer { name } }"
ASKED = json.dumps({"query": ME}).encode()


class TwoUsers:
    """The part of the authenticator that the router calls."""

    async def authenticate(self, credential: Credential) -> Principal:
        found = {"Bearer ann": ADMIN, "Bearer sam": SHOPPER}.get(str(credential))
        if found is None:
            raise Unauthenticated("no token, or one that does not count")
        return found


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@contextlib.asynccontextmanager
async def open_served(
    graph: Graph,
    request_timeout: float = 9.0,
    documents: Documents | None = None,
    admission: Admission | None = None,
    http: Any = "auto",
) -> AsyncIterator[aiohttp.ClientSession]:
    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[GraphState]:
        federation, store, users, limits = graph.federation, graph.store, TwoUsers(), graph.limits
        async with open_hub(
            federation, store, users, request_timeout=request_timeout, limits=limits, admission=admission
        ) as hub:
            yield build_state(
                federation, store, users, hub, request_timeout=request_timeout, limits=limits, documents=documents
            )

    app = FastAPI(lifespan=lifespan)
    app.include_router(build_graph_router())
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, http=http, timeout_graceful_shutdown=1)
    server = _Server(config)
    task = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started or task.done(), what="the server's start")
        port = server.servers[0].sockets[0].getsockname()[1]
        headers = {"Authorization": "Bearer ann"}
        async with aiohttp.ClientSession(f"http://127.0.0.1:{port}", headers=headers) as session:
            yield session
    finally:
        server.should_exit = True
        await task


async def send(session: aiohttp.ClientSession, method: str, url: str, **options: Any) -> aiohttp.ClientResponse:
    """Sends a request and reads the whole answer."""
    async with session.request(method, url, **options) as answer:
        await answer.read()
        return answer


async def test_post_and_get_answer_the_same(open_graph: OpenGraph) -> None:
    async with open_graph("c1") as graph, open_served(graph) as session:
        posted = await send(session, "POST", "/graphql", json={"query": ME})
        query = "query Named($n: String!) { cluster(name: $n) { name } }"
        asked = {"query": query, "variables": json.dumps({"n": "c1"}), "operationName": "Named"}
        fetched = await send(session, "GET", "/graphql", params=asked, headers={"Authorization": "Bearer sam"})
        assert (posted.status, posted.content_type) == (200, "application/json")
        assert await posted.json() == {"data": {"viewer": {"name": "ann"}}}
        assert await fetched.json() == {"data": {"cluster": {"name": "c1"}}}


@pytest.mark.parametrize("header", [{"Authorization": value} for value in ("", "Bearer", "Bearer eve")])
async def test_without_a_credential_nothing_is_answered(open_graph: OpenGraph, header: dict[str, str]) -> None:
    async with open_graph("c1") as graph, open_served(graph) as session:
        refused = await send(session, "POST", "/graphql", json={"query": ME}, headers=header)
        assert (refused.status, refused.headers["WWW-Authenticate"]) == (401, "Bearer")
        (error,) = (await refused.json())["errors"]
    assert error["extensions"] == {"code": "UNAUTHENTICATED"}
    assert error["message"].endswith("the token is empty, is it set?") == (header["Authorization"] == "Bearer")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"not json", 400),
        (b"[]", 400),
        (b"{}", 400),
        (b'{"query": 7}', 400),
        (b'{"query": "{ viewer { name } }", "variables": []}', 400),
        (b'{"query": "{ viewer { name } }", "operationName": "None"}', 400),
        (b'{"query": "' + b" " * MAX_BODY + b'"}', 413),
    ],
)
async def test_what_is_no_request_is_refused_in_graphqls_shape(open_graph: OpenGraph, body: bytes, status: int) -> None:
    async with open_graph("c1") as graph, open_served(graph) as session:
        refused = await send(
            session, "POST", "/graphql", data=io.BytesIO(body), headers={"Content-Type": "application/json"}
        )
        assert refused.status == status
        assert (await refused.json())["errors"][0]["extensions"]["code"] == "BAD_USER_INPUT"


@pytest.mark.parametrize(
    ("body", "headers", "status", "words"),
    [
        (codecs.BOM_UTF8 + ASKED, {}, 200, ""),
        (ASKED, {"Content-Type": 'application/json; charset="UTF-8"'}, 200, ""),
        (ASKED, {"Content-Type": "Application/JSON;charset=iso-8859-1"}, 200, ""),
        (ASKED, {"Content-Encoding": "identity"}, 200, ""),
        (ASKED.decode().encode("utf-16"), {"Content-Type": "application/json; charset=utf-16"}, 415, "'utf-16'"),
        (gzip.compress(ASKED, mtime=0), {"Content-Encoding": "gzip"}, 415, "in gzip: send it uncompressed"),
        (zlib.compress(ASKED), {"Content-Encoding": "deflate"}, 415, "in deflate: send it uncompressed"),
        (ASKED, {"Content-Type": "text/plain"}, 415, "application/json, this one is text/plain"),
        (ASKED, {"Content-Type": "application/graphql"}, 415, "this one is application/graphql"),
        (ASKED, {"Content-Type": ""}, 415, "this one is of no type"),
    ],
)
async def test_a_body_in_another_form_is_read_or_its_form_is_named(
    open_graph: OpenGraph, body: bytes, headers: dict[str, str], status: int, words: str
) -> None:
    async with open_graph("c1") as graph, open_served(graph) as session:
        said = {"Content-Type": "application/json", **headers}
        answer = await send(session, "POST", "/graphql", data=io.BytesIO(body), headers=said)
        assert (answer.status, words in await answer.text()) == (status, True), await answer.text()


@pytest.mark.parametrize(
    ("lines", "kind"),
    [
        (["image/png", "application/json"], "application/json"),
        (["application/json;q=0.5", "application/graphql-response+json"], "application/graphql-response+json"),
        (["application/graphql-response+json;q=0, */*"], "application/json"),
        (["*/*, application/*;q=0"], None),
    ],
)
async def test_accept_is_read_in_all_its_lines_and_by_what_is_most_specific(
    open_graph: OpenGraph, lines: list[str], kind: str | None
) -> None:
    async with open_graph("c1") as graph, open_served(graph) as session:
        said = CIMultiDict([("Authorization", "Bearer ann"), *(("Accept", line) for line in lines)])
        answer = await send(session, "POST", "/graphql", json={"query": ME}, headers=said)
        assert (answer.status, kind and answer.content_type) == (406 if kind is None else 200, kind)


async def test_a_body_without_end_is_cut_off(open_graph: OpenGraph) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(MAX_BODY // 1024 + 2):
            yield b" " * 1024

    async with open_graph("c1") as graph, open_served(graph) as session:
        refused = await send(session, "POST", "/graphql", data=pieces(), headers={"Content-Type": "application/json"})
        assert refused.status == 413


@pytest.mark.parametrize(
    ("accept", "query", "status", "keys"),
    [
        ("application/json", "{ nope }", 200, {"errors"}),
        (GRAPHQL_TYPE, "{ nope }", 400, {"errors"}),
        (GRAPHQL_TYPE, "{ viewer", 400, {"errors"}),
        (GRAPHQL_TYPE, ME, 200, {"data"}),
        (GRAPHQL_TYPE, '{ pods(after: "junk") { totalCount } }', 200, {"data", "errors"}),
    ],
)
async def test_the_status_follows_the_answer_type(
    open_graph: OpenGraph, accept: str, query: str, status: int, keys: set[str]
) -> None:
    async with open_graph("c1") as graph, open_served(graph) as session:
        answer = await send(session, "POST", "/graphql", json={"query": query}, headers={"Accept": accept})
        body = await answer.json(content_type=None)
    assert (answer.status, answer.content_type, set(body)) == (status, accept, keys)


async def test_other_kinds_of_requests_are_refused(open_graph: OpenGraph) -> None:
    async with open_graph("c1") as graph, open_served(graph) as session:
        assert (
            await send(session, "POST", "/graphql", data=b"{}", headers={"Content-Type": "text/plain"})
        ).status == 415
        assert (
            await send(session, "POST", "/graphql", json={"query": ME}, headers={"Accept": "image/png"})
        ).status == 406
        assert (await send(session, "PUT", "/graphql", json={"query": ME})).status == 405
        assert (await send(session, "GET", "/graphql", params={"query": ME, "variables": "{"})).status == 400


async def test_a_browser_gets_the_page_and_its_files_without_a_credential(open_graph: OpenGraph) -> None:
    nobody = {"Authorization": "", "Accept": "text/html,application/xhtml+xml,*/*;q=0.8"}
    async with open_graph("c1") as graph, open_served(graph) as session:
        page = await send(session, "GET", "/graphql", headers=nobody)
        script = await send(session, "GET", "/graphql/static/any/graphiql.js", headers=nobody)
        outside = [
            await send(session, "GET", f"/graphql/static/any/{name}", headers=nobody)
            for name in ("nope.js", "..%2Fpage.html")
        ]
        assert (page.status, page.content_type) == (200, "text/html")
        assert "default-src 'none'" in page.headers["Content-Security-Policy"]
        assert re.search(r'"graphql/static/\w{16}/graphiql.js"', await page.text())
        assert (script.status, script.content_type) == (200, "text/javascript")
        assert [answer.status for answer in outside] == [404, 404]


async def test_an_answer_takes_the_requests_time_at_most(open_graph: OpenGraph) -> None:
    async with open_graph("c1") as graph, open_served(graph, request_timeout=0.1) as session:
        await graph.hang("c1")
        late = await send(session, "POST", "/graphql", json={"query": "{ pods { totalCount } }"})
        assert late.status == 504
        assert (await late.json())["errors"][0]["extensions"]["code"] == "CLUSTER_TIMEOUT"


async def test_members_and_stores_have_most_of_a_short_request_too(open_graph: OpenGraph) -> None:
    async with open_graph("c1") as graph, open_served(graph, request_timeout=0.5) as session:
        graph.store.answering.clear()
        asyncio.get_running_loop().call_later(0.1, graph.store.answering.set)
        answer = await send(session, "POST", "/graphql", json={"query": "{ pods { items { usage { cpuCores } } } }"})
        assert "errors" not in await answer.json()


async def test_a_client_that_leaves_early_leaves_no_traceback(
    open_graph: OpenGraph, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_graph("c1") as graph, open_served(graph) as session:
        port = (await send(session, "POST", "/graphql", json={"query": ME})).url.port
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        head = "POST /graphql HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer ann\r\nContent-Type: application/json\r\n"
        writer.write(f"{head}Content-Length: 100\r\n\r\n{{".encode())
        await writer.drain()
        writer.close()
        await writer.wait_closed()
        assert (await send(session, "POST", "/graphql", json={"query": ME})).status == 200
    assert "Traceback" not in caplog.text
