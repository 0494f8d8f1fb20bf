"""A canary in each place that a secret may come in by, and whoever is asked says it again: none is in the log."""

import base64
import json
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from auth.passwords import hash_password
from auth.users import User, save_users
from fleet.model.visibility import Role, Scope
from tests import credentials
from tests.fakes.waiting import PATIENCE, until
from tests.fleet.kubernetes.servers import open_http_server
from tests.processes import AT_ONCE, free_port
from tests.server.test_no_credentials import send_credentials
from tests.server.test_serve import ask, open_process

PASSWORD = "correct-horse-battery"
PLACES = (
    "key",
    "member",
    "basic",
    "plugin-out",
    "plugin-err",
    "plugin-arg",
    "plugin-env",
    "proxy",
    "url",
    "client-key",
)
CANARIES = {
    f"canary-{place}-7f3a91c2": place for place in (*PLACES, "prometheus", "influx", "nats", "caller", "header")
}
CANARY = {place: text for text, place in CANARIES.items()}


async def echo(request: web.BaseRequest) -> web.StreamResponse:
    """An answer that nobody can use, and that says all it was told."""
    said = "\n".join(f"{name}: {value}" for name, value in request.headers.items())
    body = {"kind": "Status", "message": said, "error": said, "errorType": "bad_data", "status": "error", "code": "x"}
    return web.json_response(body, status=500, reason="Made up")


def write_plugin(path: Path, script: str) -> str:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def build_kubeconfig(folder: Path, echoing: str) -> dict[str, Any]:
    """A context for each way a credential is given, and for each way it goes wrong."""
    version = "client.authentication.k8s.io/v1"
    out = write_plugin(folder / "out", f"""echo '{{"status": {{"token": "{CANARY["plugin-out"]}'""")
    words = f'denied: token={CANARY["plugin-err"]} "password": "{CANARY["plugin-err"]}" Bearer {CANARY["plugin-err"]}'
    err = write_plugin(folder / "err", f"echo '{words}' >&2; exit 3")
    given = [f"--token={CANARY['plugin-arg']}"]
    env = [{"name": "TOKEN", "value": CANARY["plugin-env"]}]
    key = base64.b64encode(CANARY["client-key"].encode()).decode()
    members: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
        "token": ({"server": echoing}, {"token": CANARY["member"]}),
        "basic": ({"server": echoing}, {"username": "u", "password": CANARY["basic"]}),
        "out": ({"server": echoing}, {"exec": {"apiVersion": version, "command": out, "args": given, "env": env}}),
        "err": ({"server": echoing}, {"exec": {"apiVersion": version, "command": err, "args": given, "env": env}}),
        "proxy": ({"server": echoing, "proxy-url": f"http://u:{CANARY['proxy']}@127.0.0.1:1"}, {}),
        "url": ({"server": f"https://u:{CANARY['url']}@127.0.0.1:1"}, {"token": CANARY["member"]}),
        "key": ({"server": "https://127.0.0.1:1"}, {"client-certificate-data": key, "client-key-data": key}),
    }
    return {
        "clusters": [{"name": name, "cluster": cluster} for name, (cluster, _) in members.items()],
        "users": [{"name": name, "user": user} for name, (_, user) in members.items()],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in members],
    }


@pytest.fixture
async def echoing() -> AsyncIterator[str]:
    async with open_http_server(echo) as url:
        yield url


STORES = {
    "prometheus": {"OPENMCP_PROMETHEUS_USERNAME": "u", "OPENMCP_PROMETHEUS_PASSWORD": CANARY["prometheus"]},
    "flux": {"OPENMCP_INFLUX_ORG": "o", "OPENMCP_INFLUX_TOKEN": CANARY["influx"]},
}


@pytest.mark.parametrize("store", STORES)
async def test_no_canary_is_in_the_log(tmp_path: Path, echoing: str, store: str) -> None:
    (tmp_path / "config").write_text(json.dumps(build_kubeconfig(tmp_path, echoing)))
    save_users(tmp_path / "users", [User("ann", hash_password(PASSWORD), Scope(Role.ADMIN))])
    variables = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "OPENMCP_CLUSTER_SOURCE": "kubeconfig",
        "OPENMCP_KUBECONFIG": str(tmp_path / "config"),
        "OPENMCP_USERS_FILE": str(tmp_path / "users"),
        "OPENMCP_SIGNING_KEY": CANARY["key"],
        "OPENMCP_OIDC_ISSUER": echoing,
        "OPENMCP_OIDC_AUDIENCE": "a",
        "OPENMCP_METRIC_STORE": store,
        "OPENMCP_PROMETHEUS_URL" if store == "prometheus" else "OPENMCP_INFLUX_URL": echoing,
        "OPENMCP_SLOW_QUERY_SECONDS": "0.0001",
        "OPENMCP_LOG_LEVEL": "debug",
        "OPENMCP_HOST": "127.0.0.1",
        "OPENMCP_PORT": str(free_port()),
        "OPENMCP_OPS_PORT": str(free_port()),
        **STORES[store],
        **AT_ONCE,
    }
    log = tmp_path / "log"
    credentials.note_server(log, variables)
    url = f"http://127.0.0.1:{variables['OPENMCP_PORT']}"
    async with open_process(variables, log=log) as process:
        await ask(f"{url}/healthz")
        timeout = aiohttp.ClientTimeout(total=PATIENCE)
        async with aiohttp.ClientSession(timeout=timeout) as session:
            async with session.post(f"{url}/token", json={"username": "ann", "password": PASSWORD}) as answer:
                token = str((await answer.json())["token"])
            await send_credentials(session, url, token)
            await send_canaries(session, url, token)
        await until(lambda: "ended with 3" in log.read_text(), what="the plugin's end in the log")
        process.terminate()
        await process.wait()
    written = log.read_text()
    for told in ("slow query", "is ill", "server.request_log", "without its literals"):
        assert told in written, told
    assert credentials.find_leaks([log], {**CANARIES, PASSWORD: "the password", token: "the token"}) == []


async def send_canaries(session: aiohttp.ClientSession, url: str, token: str) -> None:
    """The caller's secrets in queries, variables, texts, bodies and headers of each route."""
    secret, header = CANARY["caller"], CANARY["header"]
    named = ("Cookie", "X-Api-Key", "Proxy-Authorization", "Referer", "User-Agent", "X-Forwarded-For", "Origin")
    headers = dict.fromkeys(named, header) | {"Authorization": f"Bearer {token}"}
    asked = "{ pods(filter: { %s }) { items { usage { cpuCores } } } }"
    wrong, right = (asked % f'{name}: "{secret}"' for name in ("nothing", "namespaces"))
    bodies: list[Any] = [
        {"query": each, "variables": {"s": secret}, "operationName": secret} for each in (wrong, right)
    ]
    bodies += [{"query": right}, {"query": f"{{ {secret} "}, {"password": secret}, secret]
    paths = ["/graphql", "/token", "/join", "/status", "/oidc", "/metrics/nodes/n", "/api/v1/pods", "/apis", "/readyz"]
    paths += [f"/clusters/{name}/api/v1/pods" for name in ("token", "basic", "out", "err", "proxy", "url", "key")]
    paths += ["/clusters/token/api/v1/namespaces/d/secrets", "/nowhere", "/openapi.json"]
    for path in paths:
        for body in bodies if path in ("/graphql", "/token") else bodies[-2:]:
            query = f"?clustername=token&password={secret}&access_token={secret}"
            async with session.post(f"{url}{path}{query}", headers=headers, json=body) as answer:
                await answer.read()
        async with session.get(f"{url}{path}?clustername=token&token={secret}", headers=headers) as answer:
            await answer.read()


async def test_a_hub_of_messages_that_does_not_answer_is_told_without_its_password(
    tmp_path: Path, echoing: str
) -> None:
    (tmp_path / "config").write_text(json.dumps(build_kubeconfig(tmp_path, echoing)))
    variables = {
        "PATH": "/usr/bin:/bin",
        "HOME": str(tmp_path),
        "OPENMCP_CLUSTER_SOURCE": "kubeconfig",
        "OPENMCP_KUBECONFIG": str(tmp_path / "config"),
        "OPENMCP_EMBEDDED_FILE": str(tmp_path / "usage"),
        "OPENMCP_SIGNING_KEY": CANARY["key"],
        "OPENMCP_STATE": "nats",
        "OPENMCP_NATS_URL": f"nats://127.0.0.1:{free_port()}",
        "OPENMCP_NATS_USERNAME": "u",
        "OPENMCP_NATS_PASSWORD": CANARY["nats"],
        "OPENMCP_LOG_LEVEL": "debug",
        "OPENMCP_HOST": "127.0.0.1",
        "OPENMCP_PORT": str(free_port()),
        "OPENMCP_OPS_PORT": str(free_port()),
        **AT_ONCE,
    }
    log = tmp_path / "log"
    async with open_process(variables, log=log) as process:
        await until(lambda: "it is tried for ever" in log.read_text() or process.returncode, what="NATS in the log")
    assert credentials.find_leaks([log], CANARIES) == []
