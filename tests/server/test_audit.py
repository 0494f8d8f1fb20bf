"""Each write, stream, refused call and sign-in is a line that says who did what, over every face, and no secret."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
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
POD = "/clusters/cluster1/api/v1/namespaces/default/pods"


@dataclass(frozen=True)
class Audited:
    """A server, its audit log, and a session for each user."""

    server: RunningServer
    ops: str
    file: Path
    session: aiohttp.ClientSession

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.file.read_bytes().splitlines()] if self.file.exists() else []

    async def find(self, **expected: Any) -> dict[str, Any]:
        """The last line with these members, once there is one."""
        found: list[dict[str, Any]] = []

        def look() -> bool:
            found[:] = [line for line in self.lines() if all(line.get(key) == value for key, value in expected.items())]
            return bool(found)

        await until(look, what=f"a line with {expected}")
        return found[-1]

    async def send(self, method: str, path: str, user: str, body: Any = None, **headers: str) -> int:
        sent = {"Authorization": f"Bearer {await self.server.sign_in(user, PASSWORD)}"} | headers
        async with self.session.request(method, self.server.url + path, json=body, headers=sent) as answer:
            await answer.read()
            return answer.status


@pytest.fixture(scope="module")
async def audited(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Audited]:
    folder = tmp_path_factory.mktemp("audit")
    users = [User(role.name.lower(), hash_password(PASSWORD), Scope(role), groups=("team",)) for role in Role]
    save_users(folder / "users", users)
    async with open_simulated_fleet(clusters=1, pods=10) as fleet:
        port, ops = free_port(), free_port()
        environment = {
            "OPENMCP_CLUSTER_SOURCE": "kubeconfig",
            "OPENMCP_KUBECONFIG": str(fleet.kubeconfig),
            "OPENMCP_EMBEDDED_FILE": str(folder / "usage.sqlite"),
            "OPENMCP_USERS_FILE": str(folder / "users"),
            "OPENMCP_SIGNING_KEY": "a key for the tests of the audit log",
            "OPENMCP_AUDIT_LOG": str(folder / "audit.jsonl"),
            "OPENMCP_TRUSTED_PROXIES": "127.0.0.1",
            "OPENMCP_HOST": "127.0.0.1",
            "OPENMCP_PORT": str(port),
            "OPENMCP_OPS_PORT": str(ops),
        }
        async with (
            open_server("serve", environment=environment, port=port, log=folder / "log") as server,
            aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE)) as session,
        ):
            yield Audited(server, f"http://127.0.0.1:{ops}", folder / "audit.jsonl", session)


async def test_a_write_says_who_from_where_what_and_what_came_of_it(audited: Audited) -> None:
    body = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "data": {"a": "hidden-in-the-body"}}
    path = "/clusters/cluster1/api/v1/namespaces/default/configmaps"
    headers = {"X-Forwarded-For": "203.0.113.7", "X-Request-ID": "write-1"}
    status = await audited.send("POST", f"{path}?fieldManager=hidden-in-the-query", "admin", body, **headers)
    line = await audited.find(id="write-1")
    took, time = line.pop("took_ms"), line.pop("time")
    assert line == {
        "kind": "write",
        "stage": "complete",
        "id": "write-1",
        "user": "admin",
        "groups": ["team"],
        "credential": "token of a sign-in",
        "address": "203.0.113.7",
        "method": "POST",
        "path": path,
        "verb": "create",
        "resource": "configmaps",
        "namespace": "default",
        "cluster": "cluster1",
        "status": status,
        "result": line["result"],
    }
    assert took > 0
    assert time.endswith("+00:00")
    assert "hidden-in" not in audited.file.read_text()


@pytest.mark.parametrize(
    ("method", "path", "user", "status", "expected"),
    [
        ("GET", f"{POD}", "", 401, {"path": POD}),
        ("GET", f"{POD}", "x", 401, {"path": POD}),
        ("DELETE", "/clusters/cluster1/api/v1/nodes/n", "edit", 403, {"user": "edit", "verb": "delete", "name": "n"}),
        ("GET", f"{POD[18:]}/p/exec?clustername=cluster1", "view", 403, {"subresource": "exec", "cluster": "cluster1"}),
        ("POST", "/api/v1/namespaces?clustername=cluster1", "view", 403, {"user": "view", "resource": "namespaces"}),
        ("GET", "/metrics/nodes/n?clustername=cluster1", "", 401, {"path": "/metrics/nodes/n"}),
        ("POST", "/join", "view", 403, {"user": "view", "path": "/join"}),
        ("POST", "/graphql", "", 401, {"path": "/graphql"}),
    ],
)
async def test_what_is_refused_is_a_line(
    audited: Audited, method: str, path: str, user: str, status: int, expected: dict[str, Any]
) -> None:
    number = f"refused-{len(audited.lines())}"
    headers = {"X-Request-ID": number}
    if user in ("view", "edit"):
        assert await audited.send(method, path, user, {}, **headers) == status
    else:
        headers["Authorization"] = f"Bearer {user}"
        async with audited.session.request(method, audited.server.url + path, headers=headers, json={}) as answer:
            assert answer.status == status
    line = await audited.find(id=number)
    assert (line["kind"], line["status"], line["result"]) == ("refused", status, "refused")
    assert {name: line.get(name) for name in expected} == expected


async def test_a_refused_field_makes_one_line_of_its_request(audited: Audited) -> None:
    secret = 'resource(cluster: "cluster1", apiVersion: "v1", kind: "Secret", namespace: "default", name: "s") { name }'
    await audited.send("POST", "/graphql", "view", {"query": f"{{ {secret} }}"}, **{"X-Request-ID": "fields"})
    line = await audited.find(id="fields")
    assert (line["kind"], line["status"], line["result"], line["user"]) == ("refused", 200, "refused", "view")


async def test_sign_ins_are_lines_and_a_mistyped_name_is_not_shown(audited: Audited) -> None:
    await audited.server.sign_in("view", PASSWORD)
    line = await audited.find(kind="sign-in", user="view", status=200)
    assert (line["result"], line["address"], line["path"]) == ("ok", "127.0.0.1", "/token")
    for user, password in (("view", "not-the-password"), ("a-password-as-name", "x")):
        url = f"{audited.server.url}/token"
        headers = {"X-Request-ID": f"sign-in-{password}"}
        async with audited.session.post(url, json={"username": user, "password": password}, headers=headers) as answer:
            assert answer.status == 401
    line = await audited.find(id="sign-in-not-the-password")
    assert (line["kind"], line["user"], line["result"]) == ("sign-in", "view", "refused")
    assert "user" not in await audited.find(id="sign-in-x")
    written = audited.file.read_text()
    assert not [text for text in (PASSWORD, 'not-the-password"', "a-password-as-name") if f'"{text}"' in written]


async def test_guesses_that_are_too_many_are_lines(audited: Audited) -> None:
    async def guess() -> bool:
        body = {"username": "mallory", "password": "a-guess"}
        async with audited.session.post(f"{audited.server.url}/token", json=body) as answer:
            return answer.status == 429

    await until(guess)
    line = await audited.find(kind="sign-in", status=429)
    assert line["result"] == "refused"


@pytest.mark.parametrize(
    ("method", "path", "accept", "expected"),
    [
        ("GET", f"{POD}?watch=1", "application/json", {"verb": "watch", "resource": "pods", "cluster": "cluster1"}),
        ("GET", f"{POD[18:]}?watch=1&clustername=cluster1", "*/*", {"verb": "watch", "cluster": "cluster1"}),
        ("POST", "/graphql", "text/event-stream", {"path": "/graphql", "user": "admin"}),
    ],
)
async def test_a_stream_is_a_line_at_its_start_and_one_at_its_end(
    audited: Audited, method: str, path: str, accept: str, expected: dict[str, Any]
) -> None:
    number = f"stream-{len(audited.lines())}"
    token = await audited.server.sign_in("admin", PASSWORD)
    headers = {"Authorization": f"Bearer {token}", "Accept": accept, "X-Request-ID": number}
    body = {"query": "subscription { podEvents { type } }"} if method == "POST" else None
    async with audited.session.request(method, audited.server.url + path, json=body, headers=headers) as answer:
        assert answer.status == 200
        start = await audited.find(id=number)
        assert (start["kind"], start["stage"]) == ("stream", "start")
    end = await audited.find(id=number, stage="end")
    assert {name: end.get(name) for name in expected} == expected
    assert end["took_ms"] >= start["took_ms"]


async def test_a_websocket_is_a_stream_of_who_signs_in_on_it(audited: Audited) -> None:
    token = await audited.server.sign_in("edit", PASSWORD)
    url = f"{audited.server.url}/graphql"
    async with audited.session.ws_connect(url, protocols=["graphql-transport-ws"]) as socket:
        await socket.send_json({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}"}})
        await socket.receive()
        start = await audited.find(method="WEBSOCKET", stage="start", user="edit")
    end = await audited.find(id=start["id"], stage="end")
    assert end["kind"] == "stream"
    async with audited.session.ws_connect(url, protocols=["graphql-transport-ws"]) as socket:
        await socket.send_json({"type": "connection_init", "payload": {"Authorization": "Bearer x"}})
        await socket.receive()
    line = await audited.find(method="WEBSOCKET", kind="refused")
    assert line["status"] == 403


async def test_reads_are_no_lines(audited: Audited) -> None:
    before = len(audited.lines())
    await audited.send("GET", POD, "admin", **{"X-Request-ID": "read-1"})
    await audited.send("POST", "/graphql", "admin", {"query": "{ pods { totalCount } }"}, **{"X-Request-ID": "read-2"})
    await audited.find(kind="sign-in", user="admin")
    assert not [line for line in audited.lines()[before:] if line["id"] in ("read-1", "read-2")]


async def test_operators_see_how_the_log_is(audited: Audited) -> None:
    async with audited.session.get(f"{audited.ops}/readyz") as answer:
        assert (await answer.json())["audit"] == "ok"
    async with audited.session.get(f"{audited.ops}/metrics") as answer:
        text = await answer.text()
    assert "openmcp_audit_lines_lost_total 0.0" in text
    assert "openmcp_audit_lines_written_total 0.0" not in text


async def test_a_log_that_can_not_be_written_is_told_and_stops_nothing(tmp_path: Path) -> None:
    port, ops = free_port(), free_port()
    environment = {
        "OPENMCP_CLUSTER_SOURCE": "kubeconfig",
        "OPENMCP_KUBECONFIG": str(tmp_path / "none"),
        "OPENMCP_EMBEDDED_FILE": str(tmp_path / "usage.sqlite"),
        "OPENMCP_SIGNING_KEY": "a key for the tests of the audit log",
        "OPENMCP_USER_NAME": "openmcp",
        "OPENMCP_USER_PASSWORD": PASSWORD,
        "OPENMCP_AUDIT_LOG": "/dev/full",
        "OPENMCP_HOST": "127.0.0.1",
        "OPENMCP_PORT": str(port),
        "OPENMCP_OPS_PORT": str(ops),
    }
    (tmp_path / "none").write_text("{}")
    async with open_server("serve", environment=environment, port=port, log=tmp_path / "log") as server:
        await server.sign_in("openmcp", PASSWORD)

        async def read(address: str) -> dict[str, Any]:
            async with aiohttp.ClientSession() as session, session.get(f"{address}/readyz") as answer:
                return {"status": answer.status, **await answer.json()}

        async def is_told() -> bool:
            return bool((await read(server.url))["audit"] == "the audit log can't be written")

        await until(is_told)
        detailed = await read(f"http://127.0.0.1:{ops}")
        assert detailed["status"] == 200
        assert "No space left on device" in detailed["audit"]
        assert "No space left on device" in await asyncio.to_thread(server.log.read_text)
