"""A line for each request, over every face: whose it is, what it asks of which cluster, and what came of it."""

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import aiohttp
import pytest

from auth.passwords import hash_password
from auth.users import User, save_users
from demo.simulator import open_simulated_fleet
from fleet.model.visibility import Role, Scope
from tests.fakes.waiting import PATIENCE, until
from tests.processes import RunningServer, free_port, open_server

PASSWORD = "correct-horse-battery"
PODS = "/clusters/cluster1/api/v1/namespaces/default/pods"


@dataclass(frozen=True)
class Logged:
    """A server whose log is JSON, and a session of ann's."""

    server: RunningServer
    session: aiohttp.ClientSession

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.server.log.read_bytes().splitlines() if line.startswith(b"{")]

    async def find(self, logger: str, **expected: Any) -> dict[str, Any]:
        """The first line of the logger with these members, once there is one."""
        found: list[dict[str, Any]] = []

        def look() -> bool:
            found[:] = [line for line in self.lines() if {**line, "logger": logger, **expected} == line]
            return bool(found)

        await until(look, what=f"a line of {logger} with {expected}")
        return found[0]

    async def send(self, method: str, path: str, id: str, **more: Any) -> bytes:  # noqa: A002 - the header's own word
        url, headers = f"{self.server.url}{path}", {"X-Request-ID": id}
        async with self.session.request(method, url, headers=headers, **more) as answer:
            return await answer.read()


@pytest.fixture(scope="module")
async def logged(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Logged]:
    folder = tmp_path_factory.mktemp("logged")
    save_users(folder / "users", [User("ann", hash_password(PASSWORD), Scope(Role.ADMIN))])
    async with open_simulated_fleet(clusters=2, pods=10) as fleet:
        port = free_port()
        environment = {
            "OPENMCP_CLUSTER_SOURCE": "kubeconfig",
            "OPENMCP_KUBECONFIG": str(fleet.kubeconfig),
            "OPENMCP_EMBEDDED_FILE": str(folder / "usage.sqlite"),
            "OPENMCP_USERS_FILE": str(folder / "users"),
            "OPENMCP_SIGNING_KEY": "a key for the tests of the log",
            "OPENMCP_LOG_FORMAT": "json",
            "OPENMCP_SLOW_QUERY_SECONDS": "0.001",
            "OPENMCP_HOST": "127.0.0.1",
            "OPENMCP_PORT": str(port),
            "OPENMCP_OPS_PORT": str(free_port()),
        }
        async with open_server("serve", environment=environment, port=port, log=folder / "log") as server:
            headers = {"Authorization": f"Bearer {await server.sign_in('ann', PASSWORD)}", "Accept-Encoding": ""}
            timeout = aiohttp.ClientTimeout(total=PATIENCE)
            async with aiohttp.ClientSession(timeout=timeout, headers=headers) as session:
                yield Logged(server, session)


LONG = "N" * 300
ASKED = {"query": "query Names($n: Int) { pods(first: $n) { items { name } } }", "variables": {"n": 3}}
CASES = [
    ("POST", "/graphql", ASKED, {"status": 200, "user": "ann", "operation": "Names"}),
    ("POST", "/graphql", {"query": "{ pods { totalCount } }"}, {"status": 200, "user": "ann", "operation": None}),
    ("POST", "/graphql", {"query": f"query {LONG} {{ pods {{ totalCount }} }}"}, {"operation": LONG[:200]}),
    ("GET", PODS, None, {"status": 200, "user": "ann", "operation": "list pods", "cluster": "cluster1"}),
    (
        "PATCH",
        "/apis/apps/v1/namespaces/default/deployments/d?clustername=cluster2",
        {},
        {"user": "ann", "operation": "patch deployments.apps", "cluster": "cluster2"},
    ),
    ("GET", f"{PODS}/p/log", None, {"operation": "get pods/log", "cluster": "cluster1"}),
    (
        "GET",
        "/metrics/nodes/n?clustername=cluster1",
        None,
        {"operation": "metrics", "cluster": "cluster1"},
    ),
    ("GET", "/healthz", None, {"status": 200, "user": None, "operation": "/healthz", "cluster": None}),
    ("GET", "/nowhere", None, {"status": 404, "user": None, "operation": None}),
]


@pytest.mark.parametrize(("method", "path", "body", "expected"), CASES)
async def test_a_request_is_a_line(
    logged: Logged, method: str, path: str, body: object, expected: dict[str, Any]
) -> None:
    number = f"line-{CASES.index((method, path, body, expected))}"
    answer = await logged.send(method, path, number, json=body)
    line = await logged.find("server.request_log", id=number)
    named = {"method": method, "path": path.partition("?")[0], "client": "127.0.0.1", "bytes": len(answer)}
    assert {name: line.get(name) for name in named | expected} == named | expected
    assert line["took_ms"] > 0


async def test_a_stream_is_a_line_when_it_ends(logged: Logged) -> None:
    asked = {"query": "subscription Live { podEvents { type } }"}
    headers = {"Accept": "text/event-stream", "X-Request-ID": "stream-1"}
    async with logged.session.post(f"{logged.server.url}/graphql", json=asked, headers=headers) as answer:
        received = await answer.content.readuntil(b"event: next")
        assert not [line for line in logged.lines() if line.get("id") == "stream-1" and "status" in line]
    line = await logged.find("server.request_log", id="stream-1")
    assert (line["status"], line["user"], line["operation"]) == (200, "ann", "Live")
    assert line["bytes"] >= len(received)


async def test_a_websocket_is_a_line_when_it_ends(logged: Logged) -> None:
    protocols, headers = ["graphql-transport-ws"], {"X-Request-ID": "socket-1"}
    url = f"{logged.server.url}/graphql?access_token={PASSWORD}"
    async with logged.session.ws_connect(url, protocols=protocols, headers=headers) as socket:
        await socket.send_json({"type": "connection_init"})
        received = await socket.receive_str()
    line = await logged.find("server.request_log", id="socket-1")
    named = {"method": "WEBSOCKET", "path": "/graphql", "status": 101, "user": "ann", "bytes": len(received)}
    assert {name: line.get(name) for name in named} == named


async def test_what_is_logged_deep_inside_says_whose_request_it_is(logged: Logged) -> None:
    await logged.send("GET", PODS, "deep-1")
    line = await logged.find("fleet.kubernetes.connection", id="deep-1")
    assert line["message"].startswith("cluster1: GET /api/v1/namespaces/default/pods: 200 after ")


SLOW = """query Slow {
 resources(apiVersion: "v1", kind: "ConfigMap", filter: { clusters: ["cluster1", "cluster2"], namespaces: "default" }) {
    items { name }
  }
}"""


@pytest.mark.parametrize("way", ["http", "websocket"])
async def test_a_slow_query_says_what_it_waited_for_and_its_text_by_hash(logged: Logged, way: str) -> None:
    text, number = f"{SLOW}  # {way}", f"slow-{way}"
    if way == "http":
        await logged.send("POST", "/graphql", number, json={"query": text})
    else:
        headers = {"X-Request-ID": number}
        url, protocols = f"{logged.server.url}/graphql", ["graphql-transport-ws"]
        async with logged.session.ws_connect(url, protocols=protocols, headers=headers) as socket:
            await socket.send_json({"type": "connection_init"})
            await socket.receive_str()
            await socket.send_json({"type": "subscribe", "id": "1", "payload": {"query": text}})
            await socket.receive_str()
    digest = hashlib.sha256(text.encode()).hexdigest()
    line = await logged.find("graph.slow_queries", sha256=digest)
    named = {"level": "warning", "id": number, "user": "ann", "operation": "Slow", "clusters": 2}
    assert {name: line.get(name) for name in named} == named
    assert line["message"].startswith("slow query Slow: ")
    assert sorted(line["waited_ms"]) == ["cluster1", "cluster2"]
    parts = ("parse_ms", "upstream_ms", "execute_ms")
    assert line["took_ms"] == pytest.approx(sum(line[name] for name in parts), abs=0.5)
    assert min(line["upstream_ms"], line["cost"]) > 0
    assert line["calls"] >= 2  # and discovery, the first time
    assert 'namespaces: "*"' in await find_text(logged, digest)


async def find_text(logged: Logged, digest: str) -> str:
    start = f"the text of {digest}"
    found: list[str] = []

    def look() -> bool:
        found[:] = [line["message"] for line in logged.lines() if line["message"].startswith(start)]
        return bool(found)

    await until(look, what=f"the text of {digest}")
    return found[0]
