"""Credentials wherever callers and files may have them, at debug: none is in the log, an answer, or a metric."""

import asyncio
import base64
import json
import os
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from auth.passwords import hash_password
from auth.users import User, save_users
from fleet.model.visibility import Role, Scope
from tests import credentials
from tests.fakes.waiting import PATIENCE, until
from tests.fleet.kubernetes.servers import open_http_server
from tests.processes import RunningServer, free_port, open_server
from tests.rest_compat.upstream import Upstream, answering

PASSWORD, MEMBER, KEY = "correct-horse-battery", "member-token-of-cluster1", "a-signing-key-of-32-bytes-or-more"
INFLUX, WRONG = "influx-password-of-ours", "a-password-that-is-wrong"
COUNTED = "query ($t: Int) { pods(first: $t) { totalCount } }"
CREDENTIALS = {text: text for text in (PASSWORD, MEMBER, KEY, INFLUX, WRONG)}


@dataclass(frozen=True)
class Ops:
    """A server, its port for operators, and the files it reads again and again."""

    server: RunningServer
    ops: str
    users: Path
    kubeconfig: Path


@pytest.fixture
async def served(tmp_path: Path) -> AsyncIterator[Ops]:
    upstream = Upstream()
    upstream.answers["/api/v1/pods"] = answering(500, b"not a list")
    async with open_http_server(upstream.serve) as member:
        kubeconfig = {
            "clusters": [{"name": "c", "cluster": {"server": member}}],
            "users": [{"name": "u", "user": {"token": MEMBER}}],
            "contexts": [{"name": "cluster1", "context": {"cluster": "c", "user": "u"}}],
        }
        (tmp_path / "config").write_text(json.dumps(kubeconfig))
        save_users(tmp_path / "users", [User("ann", hash_password(PASSWORD), Scope(Role.ADMIN))])
        port, ops = free_port(), free_port()
        environment = {
            "OPENMCP_CLUSTER_SOURCE": "kubeconfig",
            "OPENMCP_KUBECONFIG": str(tmp_path / "config"),
            "OPENMCP_INFLUX_URL": f"http://127.0.0.1:{free_port()}",
            "OPENMCP_INFLUX_USERNAME": "writer",
            "OPENMCP_INFLUX_PASSWORD": INFLUX,
            "OPENMCP_USERS_FILE": str(tmp_path / "users"),
            "OPENMCP_SIGNING_KEY": KEY,
            "OPENMCP_HOST": "127.0.0.1",
            "OPENMCP_PORT": str(port),
            "OPENMCP_OPS_PORT": str(ops),
        }
        log = tmp_path / "log"
        async with open_server("serve", environment=environment, port=port, log=log) as server:
            yield Ops(server, f"http://127.0.0.1:{ops}", tmp_path / "users", tmp_path / "config")


async def send_credentials(session: aiohttp.ClientSession, url: str, token: str) -> list[str]:
    """What comes back of requests that have credentials where they do not belong, or are wrong."""
    encoded = base64.urlsafe_b64encode(token.encode()).decode().rstrip("=")
    basic = base64.b64encode(f"ann:{PASSWORD}".encode()).decode()
    right = {"Authorization": f"Bearer {token}"}
    asked: list[tuple[str, str, dict[str, str], object]] = [
        ("GET", f"/token?username=ann&password={PASSWORD}", {}, None),
        ("GET", f"/token?username={WRONG}&password={PASSWORD}", {}, None),
        ("POST", "/token", {}, {"username": "ann", "password": WRONG}),
        ("POST", "/token", {}, {"username": PASSWORD, "password": "x"}),
        ("GET", f"/api/v1/pods?clustername=cluster1&access_token={token}", {}, None),
        ("GET", "/api/v1/pods?clustername=cluster1", right, None),
        ("GET", "/clusters/cluster1/api/v1/pods", {"Cookie": f"token={token}", **right}, None),
        ("GET", "/clusters/cluster1/api/v1/pods", {"Authorization": f"Bearer {token}x"}, None),
        ("GET", "/clusters/cluster1/api/v1/pods", {"Authorization": f"Basic {basic}"}, None),
        ("GET", "/clusters/cluster1/api/v1/pods", {"Sec-WebSocket-Protocol": f"{SUBPROTOCOL}{encoded}"}, None),
        ("GET", "/clusters/cluster1/api/v1/pods", {"Impersonate-User": token, **right}, None),
        ("POST", "/graphql", {"X-Explain": "true", **right}, {"query": "{ pods { totalCount clusters { message } } }"}),
        ("POST", "/graphql", right, {"query": COUNTED, "variables": {"t": token}}),
        ("GET", f"/graphql?query={{viewer{{name}}}}&access_token={token}", {}, None),
        ("GET", "/metrics/nodes/n?clustername=cluster1", right, None),
    ]
    answers = []
    for method, path, headers, body in asked:
        async with session.request(method, url + path, headers=headers, json=body) as answer:
            said = f"{dict(answer.headers)} {await answer.text()}"
            # A new token is what /token is for, and a wrong variable is shown to who sent it.
            is_meant = (path.startswith("/token") and answer.status == 200) or "variables" in str(body)
            answers.append("" if is_meant else said)
    return answers


SUBPROTOCOL = "base64url.bearer.authorization.k8s.io."


async def test_no_credential_is_written_anywhere(served: Ops) -> None:
    token = await served.server.sign_in("ann", PASSWORD)
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(timeout=timeout) as session:
        answers = await send_credentials(session, served.server.url, token)
        # Files that are broken in the line of a credential: their readers' words may quote it.
        for path, secret in ((served.users, PASSWORD), (served.kubeconfig, MEMBER)):
            path.write_text(f"- name: x\n  password: [{secret}\n token: {secret}: {secret}\n")
        async with session.ws_connect(f"{served.server.url}/graphql", protocols=["graphql-transport-ws"]) as socket:
            await socket.send_json({"type": "connection_init", "payload": {"Authorization": f"Bearer {token}x"}})
            await socket.receive()

        async def read(path: str) -> str:
            async with session.get(f"{served.ops}{path}") as answer:
                return await answer.text()

        async def is_noticed() -> bool:
            return "users file" in await read("/readyz")

        await until(is_noticed, every=0.05)
        answers += [await read("/metrics"), await read("/readyz")]
    texts = {**CREDENTIALS, token: "the token"}
    assert [what for answer in answers for text, what in texts.items() if text in answer] == []
    assert "debug" in await asyncio.to_thread(served.server.log.read_text)
    assert credentials.find_leaks([served.server.log], texts) == []


PLANTED = """
import pathlib
from tests import credentials
def test_it(tmp_path):
    log = tmp_path / "log"
    credentials.note_server(log, {"OPENMCP_SIGNING_KEY": "a-key-that-is-planted"})
    log.write_text("debug server.app: signed with %s")
"""


@pytest.mark.parametrize(
    ("logged", "failed"),
    [("a-key-that-is-planted", True), ("omcp_0123456789abcdefghijklmn", True), ("a key that is kept", False)],
)
async def test_a_suite_that_logs_one_fails(tmp_path: Path, logged: str, failed: bool) -> None:
    root, planted = Path(__file__).parents[2], tmp_path / "test_planted.py"
    await asyncio.to_thread(planted.write_text, PLANTED % logged)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "pytest", "-q", "-n0", "-p", "no:cacheprovider", "-p", "tests.conftest"),
        *("-c", str(root / "pyproject.toml"), str(planted)),
        cwd=root,
        env={name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")},
        stdout=asyncio.subprocess.PIPE,
    )
    output, _ = await process.communicate()
    assert (process.returncode != 0) == failed, output.decode()
    assert logged not in output.decode()
