"""What is at which URL of the server as `serve` starts it: index, schema, version, the page and its files."""

import gzip
import re
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from tests.clients.serving import open_quiet_server
from tests.processes import RunningServer

ROOT = Path(__file__).parents[2]
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8"}


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    async with open_quiet_server(tmp_path_factory.mktemp("urls")) as running:
        yield running


@pytest.fixture
async def session(server: RunningServer) -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession(server.url, auto_decompress=False) as opened:
        yield opened


@pytest.fixture
async def static(session: aiohttp.ClientSession) -> str:
    """The URL that the page's files are below."""
    async with session.get("/graphql", headers=BROWSER) as answer:
        found = re.search(r'src="(graphql/static/\w+)/graphiql.js"', await answer.text())
    assert found is not None
    return f"/{found[1]}"


async def test_a_script_finds_an_index_and_a_browser_the_page(session: aiohttp.ClientSession) -> None:
    async with session.get("/") as index, session.get("/", headers=BROWSER) as page:
        urls = (await index.json())["urls"]
        assert {"/graphql", "/token", "/healthz", "/version"} <= urls.keys()
        assert (page.url.path, page.content_type) == ("/graphql", "text/html")
        assert index.headers["vary"] == page.history[0].headers["vary"] == "accept"
    for path in urls:
        if "{" not in path and "," not in path:
            async with session.get(path) as answer:
                assert answer.status in (200, 400, 401), path


async def test_a_link_to_a_query_opens_the_page(session: aiohttp.ClientSession) -> None:
    for path in ("/graphql", "/graphql/"):
        async with session.get(path, params={"query": "{ viewer { name } }"}, headers=BROWSER) as answer:
            assert (answer.status, answer.content_type, answer.url.path) == (200, "text/html", "/graphql")
            assert answer.url.query["query"] == "{ viewer { name } }"


@pytest.mark.parametrize("accept", ["application/json, text/html;q=0.5", "application/json, text/plain, */*", "*/*"])
async def test_who_takes_json_is_no_browser(session: aiohttp.ClientSession, accept: str) -> None:
    async with session.get("/graphql", params={"query": "{ a }"}, headers={"Accept": accept}) as answer:
        assert (answer.status, answer.content_type) == (401, "application/json")


async def test_a_slash_too_many_is_answered(server: RunningServer, session: aiohttp.ClientSession) -> None:
    token = await server.sign_in()
    headers = {"Authorization": f"Bearer {token}"}
    async with session.post("/graphql/", json={"query": "{ viewer { name } }"}, headers=headers) as answer:
        assert (await answer.json())["data"]["viewer"]["name"] == "openmcp"
    async with session.ws_connect("/graphql/", protocols=("graphql-transport-ws",)) as socket:
        await socket.send_json({"type": "connection_init", "payload": headers})
        assert (await socket.receive_json())["type"] == "connection_ack"


async def test_the_schema_and_the_version_are_there_for_tools(session: aiohttp.ClientSession) -> None:
    plain = {"Accept-Encoding": "identity"}
    async with session.get("/schema.graphql", headers=plain) as answer, session.get("/version") as version:
        assert await answer.text() == (ROOT / "schema.graphql").read_text()
        assert re.fullmatch(r"\d+\.\d+\.\d+", (await version.json())["version"])
        etag = answer.headers["etag"]
    async with session.get("/schema.graphql", headers={"If-None-Match": f'"x", {etag}'}) as known:
        assert (known.status, await known.read()) == (304, b"")


@pytest.mark.parametrize("path", ["/", "/version", "/schema.graphql", "/healthz", "/readyz", "/graphql", "FILE"])
async def test_head_is_get_without_the_body(session: aiohttp.ClientSession, static: str, path: str) -> None:
    path = path.replace("FILE", f"{static}/graphiql.js")
    headers = BROWSER if path == "/graphql" else {}
    async with session.get(path, headers=headers) as whole, session.head(path, headers=headers) as head:
        kept = ("content-type", "content-length", "etag", "cache-control", "vary")
        assert (whole.status, head.status, await head.read()) == (200, 200, b"")
        assert [head.headers.get(name) for name in kept] == [whole.headers.get(name) for name in kept]


async def test_head_asks_the_graph_as_get_does(server: RunningServer, session: aiohttp.ClientSession) -> None:
    headers = {"Authorization": f"Bearer {await server.sign_in()}"}
    async with session.head("/graphql", params={"query": "{ viewer { name } }"}, headers=headers) as answer:
        assert (answer.status, answer.content_type, await answer.read()) == (200, "application/json", b"")


@pytest.mark.parametrize(
    ("accept", "coding"),
    [
        ("gzip, deflate, br, zstd", "br"),
        ("gzip", "gzip"),
        ("br;q=0.5, gzip;q=0.9", "gzip"),
        ("br;q=0, *", "gzip"),
        ("*", "br"),
        ("BR", "br"),
        ("gzip;q=0.4, identity;q=0.5", None),
        ("gzip;q=0", None),
        ("gzip;q=nonsense", None),
        ("zstd", None),
        ("", None),
    ],
)
async def test_a_file_comes_as_the_client_takes_it(
    session: aiohttp.ClientSession, static: str, accept: str, coding: str | None
) -> None:
    async with session.get(f"{static}/editor.worker.js", headers={"Accept-Encoding": accept}) as answer:
        body = await answer.read()
        assert answer.headers.get("content-encoding") == coding
        assert answer.headers["vary"] == "accept-encoding"
        assert (answer.headers["cache-control"], answer.content_type) == (
            "public, max-age=31536000, immutable",
            "text/javascript",
        )
    assert (len(body) < 100_000) == (coding is not None)
    assert coding != "gzip" or len(gzip.decompress(body)) > 200_000
    known = {"Accept-Encoding": accept, "If-None-Match": answer.headers["etag"]}
    async with session.get(f"{static}/editor.worker.js", headers=known) as again:
        assert (again.status, await again.read()) == (304, b"")
    known["Accept-Encoding"] = "gzip" if coding == "br" else "br"
    async with session.get(f"{static}/editor.worker.js", headers=known) as other:
        assert other.status == 200


async def test_files_of_another_release_are_not_kept(session: aiohttp.ClientSession, static: str) -> None:
    async with session.get("/graphql/static/0123456789abcdef/graphiql.css") as answer:
        assert (answer.status, answer.headers["cache-control"]) == (200, "no-cache")
    for name in ("nope.js", "graphiql.js.br", "..%2Fpage.html", "%2e%2e%2fpage.html"):
        async with session.get(f"{static}/{name}") as answer:
            assert answer.status == 404
