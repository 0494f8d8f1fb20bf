"""Pages of other origins, in front of the server as `serve` starts it: who is let in, what hostile ones are told."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from playwright.async_api import async_playwright

from tests.browser.conftest import FLAGS
from tests.clients.serving import open_quiet_server
from tests.processes import RunningServer, free_port
from tests.required import need

PAGE = "https://portal.example"
PORT = "http://localhost:5173"
ALLOWED = "access-control-allow-origin"

HOSTILE = [
    "null",
    "",
    "*",
    f"{PAGE}.evil.example",
    "https://evil-portal.example",
    "https://evilportal.example",
    "https://sub.portal.example",
    "http://portal.example",
    "https://Portal.example",
    "HTTPS://portal.example",
    f"{PAGE}:443",
    f"{PAGE}:8443",
    f"{PAGE}/",
    f"{PAGE}.",
    "https://portal.example@evil.example",
    "https://user@portal.example",
    f"{PAGE}\t.evil.example",
    f"{PAGE}, https://evil.example",
    f"{PAGE} https://evil.example",
    "https://port\xe4l.example",
    "http://localhost",
    "http://localhost:51730",
]
PATHS = ["/graphql", "/token", "/healthz", "/status", "/nothing", "/api/v1/pods?clustername=cluster1"]


@pytest.fixture(scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    folder = tmp_path_factory.mktemp("cors")
    async with open_quiet_server(folder, OPENMCP_CORS_ORIGINS=f"{PAGE}, {PORT}") as running:
        yield running


@pytest.fixture
async def session(server: RunningServer) -> AsyncIterator[aiohttp.ClientSession]:
    headers = {"Authorization": f"Bearer {await server.sign_in()}"}
    async with aiohttp.ClientSession(server.url, headers=headers) as opened:
        yield opened


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("origin", [PAGE, PORT])
async def test_a_page_of_an_origin_may_read_every_answer(
    session: aiohttp.ClientSession, path: str, origin: str
) -> None:
    async with session.get(path, headers={"Origin": origin}) as answer:
        assert answer.headers.getall(ALLOWED) == [origin]
        assert "Origin" in answer.headers["vary"]
        assert "X-Request-ID" in answer.headers["access-control-expose-headers"]
        assert "access-control-allow-credentials" not in answer.headers


async def test_a_page_may_follow_events(session: aiohttp.ClientSession) -> None:
    asked = {"query": "subscription { clusterEvents { type } }"}
    headers = {"Origin": PAGE, "Accept": "text/event-stream"}
    async with session.post("/graphql", json=asked, headers=headers) as answer:
        assert answer.headers[ALLOWED] == PAGE
        assert await answer.content.readuntil(b"event: next\n")


@pytest.mark.parametrize("path", PATHS)
async def test_a_preflight_is_answered_without_a_credential(server: RunningServer, path: str) -> None:
    asked = {
        "Origin": PAGE,
        "Access-Control-Request-Method": "PATCH",
        "Access-Control-Request-Headers": "authorization,content-type,x-explain",
    }
    async with (
        aiohttp.ClientSession(server.url) as session,
        session.options(path, headers=asked) as answer,
    ):
        assert (answer.status, answer.headers[ALLOWED]) == (200, PAGE)
        assert answer.headers["access-control-allow-headers"] == "authorization,content-type,x-explain"
        assert "PATCH" in answer.headers["access-control-allow-methods"]


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("origin", HOSTILE)
async def test_hostile_origins_may_read_nothing(server: RunningServer, path: str, origin: str) -> None:
    head = (
        f"{path} HTTP/1.1\r\nHost: x\r\nOrigin: {origin}\r\nAccess-Control-Request-Method: GET\r\n"
        "Access-Control-Request-Headers: authorization\r\nConnection: close\r\n\r\n"
    )
    for method in ("OPTIONS", "GET"):
        answer = await talk(server, f"{method} {head}")
        assert ALLOWED.encode() not in answer.lower()
        if method == "OPTIONS":
            assert answer.startswith(b"HTTP/1.1 400 ")


@pytest.mark.parametrize("byte", ["\0", "\x01", "\x0b", "\x7f", "\r", "\n"])
async def test_control_characters_split_no_answer(server: RunningServer, byte: str) -> None:
    answer = await talk(
        server, f"GET /healthz HTTP/1.1\r\nHost: x\r\nOrigin: {PAGE}{byte}x: y\r\nConnection: close\r\n\r\n"
    )
    assert ALLOWED.encode() not in answer.lower() or answer.lower().count(f"{PAGE}\r\n".encode()) == 1
    assert b"\r\nx: y" not in answer.lower()


async def talk(server: RunningServer, request: str) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(request.encode("latin-1"))
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize("path", ["/graphql", "/clusters/cluster1/api/v1/namespaces/default/pods/p/exec?command=sh"])
async def test_websockets_of_hostile_pages_are_refused(server: RunningServer, path: str) -> None:
    async with aiohttp.ClientSession(server.url) as session:
        for origin in HOSTILE:
            if origin and "\t" not in origin:
                with pytest.raises(aiohttp.WSServerHandshakeError, match="403"):
                    await session.ws_connect(path, headers={"Origin": origin})


@pytest.mark.parametrize("origin", [None, PAGE, PORT, "own"])
async def test_websockets_of_pages_that_may_are_opened(server: RunningServer, origin: str | None) -> None:
    headers = {"Origin": server.url if origin == "own" else origin} if origin else {}
    async with (
        aiohttp.ClientSession(server.url) as session,
        session.ws_connect("/graphql", protocols=("graphql-transport-ws",), headers=headers) as socket,
    ):
        assert socket.protocol == "graphql-transport-ws"


ASKED_BY_A_PAGE = """async ({url, token}) => {
  const headers = {authorization: `Bearer ${token}`, 'content-type': 'application/json', 'x-cost': 'true'};
  const body = JSON.stringify({query: '{ viewer { name } }'});
  const opened = new Promise(resolve => {
    const socket = new WebSocket(url.replace('http', 'ws') + '/graphql', 'graphql-transport-ws');
    socket.onopen = () => resolve(true);
    socket.onerror = () => resolve(false);
  });
  try {
    const answer = await fetch(url + '/graphql', {method: 'POST', headers, body});
    const missing = await fetch(url + '/api/v1/pods?clustername=none', {headers});
    const {data} = await answer.json();
    return [data.viewer.name, answer.headers.get('x-request-id') !== null, missing.status, await opened];
  } catch (problem) {
    return [problem.name, await opened];
  }
}"""


@pytest.mark.browser
async def test_a_browser_keeps_to_what_is_said(tmp_path_factory: pytest.TempPathFactory) -> None:
    async def serve_page(_request: web.BaseRequest) -> web.StreamResponse:
        return web.Response(text="<!doctype html>", content_type="text/html")

    async with contextlib.AsyncExitStack() as stack:
        pages = []
        for _ in range(2):
            runner = web.ServerRunner(web.Server(serve_page))
            await runner.setup()
            stack.push_async_callback(runner.cleanup)
            port = free_port()
            await web.TCPSite(runner, "localhost", port).start()
            pages.append(f"http://localhost:{port}")
        folder = tmp_path_factory.mktemp("browser")
        server = await stack.enter_async_context(open_quiet_server(folder, OPENMCP_CORS_ORIGINS=pages[0]))
        playwright = await stack.enter_async_context(async_playwright())
        browser = await playwright.chromium.launch(executable_path=need("chromium"), args=FLAGS)
        stack.push_async_callback(browser.close)
        asked = {"url": server.url, "token": await server.sign_in()}
        page = await browser.new_page()
        told = []
        for url in pages:
            await page.goto(url)
            told.append(await page.evaluate(ASKED_BY_A_PAGE, asked))
        assert told == [["openmcp", True, 404, True], ["TypeError", False]]


async def test_nothing_is_said_of_origins_where_none_is_set(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with (
        open_quiet_server(tmp_path_factory.mktemp("off")) as server,
        aiohttp.ClientSession(server.url) as session,
        session.get("/healthz", headers={"Origin": PAGE}) as answer,
    ):
        assert not [name for name in answer.headers if name.lower().startswith("access-control")]


async def test_a_star_lets_all_read_without_credentials(tmp_path_factory: pytest.TempPathFactory) -> None:
    async with (
        open_quiet_server(tmp_path_factory.mktemp("star"), OPENMCP_CORS_ORIGINS="*") as server,
        aiohttp.ClientSession(server.url) as session,
        session.get("/healthz", headers={"Origin": "null", "Cookie": "a=b"}) as answer,
    ):
        assert answer.headers[ALLOWED] == "*"
        assert "access-control-allow-credentials" not in answer.headers
