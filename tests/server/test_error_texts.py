"""What is wrong is said to everybody; where it is, and as whom it was asked, to administrators and the log alone."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from auth.passwords import hash_password
from auth.users import User, save_users
from fleet.model.told import detail_of, foreign
from fleet.model.visibility import Role, Scope
from tests.fakes.waiting import PATIENCE, until
from tests.fleet.kubernetes.certificates import Authority, server_context
from tests.fleet.kubernetes.servers import open_http_server, open_raw_server
from tests.processes import RunningServer, free_port, open_server

INSIDE = (
    "127.0.0.1",
    "10.9.8.7",
    "kubelet-of-ours",
    "system:serviceaccount",
    "hidden-user",
    "hidden-plugin",
    "/hidden",
)


def refusing(status: str, message: str) -> bytes:
    body = json.dumps({"kind": "Status", "apiVersion": "v1", "status": "Failure", "message": message}).encode()
    return b"HTTP/1.1 %b\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%b" % (
        status.encode(),
        len(body),
        body,
    )


# What each member answers to whatever it is asked; None: nothing, for ever.
ANSWERS: dict[str, bytes | None] = {
    "silent": None,
    "cut": b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{",
    "garbage": b"220 kubelet-of-ours:10250 ESMTP\r\n\r\n",
    "unauthorized": refusing("401 Unauthorized", "Unauthorized"),
    "forbidden": refusing(
        "403 Forbidden", 'pods is forbidden: User "system:serviceaccount:hidden:server" cannot list resource "pods"'
    ),
    "broken": refusing(
        "500 Internal Server Error",
        'failed calling webhook "a": Post "https://kubelet-of-ours.hidden.svc:443/a?timeout=10s": dial tcp '
        "10.9.8.7:443: connect: connection refused",
    ),
    "starting": refusing("503 Service Unavailable", "error dialing backend: dial tcp 10.9.8.7:10250: i/o timeout"),
    "plain": b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nContent-Length: 29\r\n\r\n"
    b"no upstream at 10.9.8.7:10250",
}
PROTOBUF = "application/vnd.kubernetes.protobuf"
LISTS = (
    "{ clusters { name health message } }",
    "{ pods(first: 5) { items { name } clusters { name state message } } }",
    "{ pods(onUnavailable: STALE) { totalCount clusters { name state message } } }",
    "{ pods(orderBy: [{field: CPU_USAGE}]) { items { name } clusters { name state message } } }",
    "{ nodes { items { name usage { cpuCores } } clusters { name state message } } }",
    "{ workloads { totalCount clusters { name state message } } }",
    "{ events(first: 5) { items { message } clusters { name state message } } }",
    "{ problems { items { cause reason examples { name message } } clusters { name state message } } }",
    '{ search(text: "a") { hits { __typename } clusters { name state message } } }',
    '{ resources(apiVersion: "v1", kind: "Pod") { items { name } clusters { name state message } } }',
    "{ pods { groups(by: [CLUSTER]) { items { pods } } clusters { name message } } }",
)
NAMED = (
    '{ pods(filter: {clusters: ["%s"]}, onUnavailable: STRICT) { totalCount } }',
    '{ cluster(name: "%s") { message nodes { totalCount clusters { message } } usage { cpuCores } } }',
    '{ resource(cluster: "%s", apiVersion: "v1", kind: "Namespace", name: "shop") { name } }',
    '{ pod(cluster: "%s", namespace: "shop", name: "a") { name } }',
)
FOLLOWED = 'subscription { logs(cluster: "%s", namespace: "shop", pod: "a") { line } }'
REFUSED = (
    'subscription { resourceEvents(apiVersion: "v1", kind: "ConfigMap", filter: {clusters: ["forbidden"]}) { type } }'
)
PATHS = (
    "/clusters/%s/api/v1/namespaces/shop/pods",
    "/clusters/%s/api/v1/namespaces/shop/pods/a/log",
    "/clusters/%s/version",
    "/api/v1/namespaces/shop/pods?clustername=%s",
    "/metrics/nodes/kube2-worker1?clustername=%s",
    "/metrics/namespaces/shop/pods/a?clustername=%s",
    "/status?clustername=%s",
)


@dataclass(frozen=True)
class Ill:
    """A server of ill members, and what nobody but its administrators is to read of them."""

    server: RunningServer
    clusters: tuple[str, ...]
    needles: tuple[str, ...]


@pytest.fixture(scope="module")
async def ill(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Ill]:
    folder = tmp_path_factory.mktemp("hidden")
    authority = Authority()
    async with AsyncExitStack() as stack:

        async def open_member(answer: bytes | None) -> str:
            async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
                while (await reader.readline()).strip():
                    while (await reader.readline()).strip():
                        pass
                    if answer is None:
                        await asyncio.Event().wait()
                    writer.write(answer or b"")
                    await writer.drain()
                    if not answer or b"Length: 100\r" in answer:
                        return

            return await stack.enter_async_context(open_raw_server(serve))

        endpoints = {name: await open_member(answer) for name, answer in ANSWERS.items()}
        context = server_context(authority.issue("elsewhere.test"), folder)
        endpoints["impostor"] = await stack.enter_async_context(open_http_server(_nothing, tls=context))
        endpoints["gone"] = f"https://127.0.0.1:{free_port()}"
        endpoints["nameless"] = "https://kubelet-of-ours.invalid:6443"
        endpoints["misconfigured"], endpoints["no-plugin"], endpoints["proxied"] = ["https://127.0.0.1:1"] * 3
        clusters = {name: {"server": url} for name, url in endpoints.items()}
        clusters["misconfigured"]["certificate-authority"] = "/hidden/ca.pem"
        clusters["proxied"]["proxy-url"] = f"http://127.0.0.1:{free_port()}"
        users: dict[str, dict[str, Any]] = {name: {"token": "t"} for name in endpoints}
        users["no-plugin"] = {
            "exec": {"command": "hidden-plugin", "apiVersion": "client.authentication.k8s.io/v1beta1"}
        }
        kubeconfig = {
            "clusters": [{"name": name, "cluster": cluster} for name, cluster in clusters.items()],
            "users": [{"name": f"hidden-user-{name}", "user": user} for name, user in users.items()],
            "contexts": [
                {"name": name, "context": {"cluster": name, "user": f"hidden-user-{name}"}} for name in endpoints
            ],
        }
        (folder / "config").write_text(json.dumps(kubeconfig))
        save_users(folder / "users", [User(role.name.lower(), hash_password("secret"), Scope(role)) for role in Role])
        port, influx = free_port(), f"http://127.0.0.1:{free_port()}"
        environment = {
            "OPENMCP_CLUSTER_SOURCE": "kubeconfig",
            "OPENMCP_KUBECONFIG": str(folder / "config"),
            "OPENMCP_INFLUX_URL": influx,
            "OPENMCP_INFLUX_USERNAME": "hidden-user",
            "OPENMCP_INFLUX_PASSWORD": "secret",
            "OPENMCP_USERS_FILE": str(folder / "users"),
            "OPENMCP_SIGNING_KEY": "a key for the tests of error texts",
            "OPENMCP_MEMBER_TIMEOUT": "1s",
            "OPENMCP_HOST": "127.0.0.1",
            "OPENMCP_PORT": str(port),
            "OPENMCP_OPS_PORT": str(free_port()),
        }
        ports = [str(urlsplit(url).port) for url in (*endpoints.values(), influx)]
        needles = (*INSIDE, *(f":{number}" for number in ports if number != "1"))
        log = folder / "log"
        async with open_server("serve", environment=environment, port=port, log=log) as server:
            token = await server.sign_in("view", "secret")

            async def are_known() -> bool:
                told = json.dumps(await server.ask(token, LISTS[0]))
                return "UNKNOWN" not in told and all(f"{name} is cut off" in told for name in ("silent", "nameless"))

            await until(are_known, what="a verdict on each member")
            yield Ill(server, tuple(endpoints), needles)


async def _nothing(_: Any) -> Any:
    raise AssertionError("nobody asks a server that is not who it says")


async def answers_to(ill: Ill, role: str) -> dict[str, str]:
    """All that the role is answered, heads included, by what was asked."""
    headers = {"Authorization": f"Bearer {await ill.server.sign_in(role, 'secret')}"}
    answers: dict[str, str] = {}
    timeout = aiohttp.ClientTimeout(total=PATIENCE)
    async with aiohttp.ClientSession(ill.server.url, headers=headers, timeout=timeout) as session:

        async def ask(method: str, path: str, accept: str = "*/*", query: str = "") -> None:
            body = {"query": query, "extensions": {"explain": True}} if query else None
            async with session.request(method, path, json=body, headers={"Accept": accept}) as answer:
                heads = [value for name, value in answer.headers.items() if name != "Date"]
                answers[f"{query or path} {accept}"] = f"{answer.status} {heads} {await answer.text()}"

        asked = [ask("POST", "/graphql", "application/json", query) for query in LISTS]
        asked += [ask("POST", "/graphql", rows, LISTS[1]) for rows in ("text/csv", "application/x-ndjson")]
        asked += [ask("GET", path) for path in ("/readyz", "/joinable")]
        asked.append(ask("POST", "/graphql", "text/event-stream", REFUSED))
        for cluster in ill.clusters:
            asked += [ask("POST", "/graphql", "application/json", query % cluster) for query in NAMED]
            if cluster != "silent":  # a log may be silent for as long as it likes
                asked.append(ask("POST", "/graphql", "text/event-stream", FOLLOWED % cluster))
            asked += [ask("GET", path % cluster, kind) for path in PATHS for kind in ("*/*", PROTOBUF)]
        await asyncio.gather(*asked)
    return answers


@pytest.mark.parametrize("role", ["view", "edit"])
async def test_who_does_not_run_the_server_reads_no_address_and_no_user(ill: Ill, role: str) -> None:
    answers = await answers_to(ill, role)
    read = {asked: [needle for needle in ill.needles if needle in answer] for asked, answer in answers.items()}
    assert {asked: found for asked, found in read.items() if found} == {}
    told = answers[f"{LISTS[0]} application/json"]
    for said in (
        "no connection to its API server",
        "TLS verification of its API server failed",
        "refuses this server's credential",
        "host name of its API server can't be resolved",
        "answered nonsense",
        "no answer from its API server within 1 s",
        "its configuration is not right",
    ):
        assert said in told, said


async def test_administrators_and_the_log_have_both(ill: Ill) -> None:
    answers = await answers_to(ill, "admin")
    told, log = "\n".join(answers.values()), await asyncio.to_thread(ill.server.log.read_text)
    for needle in INSIDE:
        assert needle in told, needle
    for needle in ("127.0.0.1", "hidden-user", "/hidden", "kubelet-of-ours"):
        assert needle in log, needle


@pytest.mark.parametrize(
    ("text", "public"),
    [
        ("dial tcp 10.0.0.5:10250: connect: refused", "dial tcp (...): connect: refused"),
        ("dial tcp [fd00::1]:443: i/o timeout", "dial tcp (...): i/o timeout"),
        (
            "Hostname mismatch, certificate is not valid for 'etcd.hidden'.",
            "Hostname mismatch, certificate is not valid for (...).",
        ),
        ("x509: certificate is valid for etcd, etcd.hidden, not other.hidden", "x509: certificate is valid for (...)"),
        ("lookup etcd.hidden on 10.96.0.10:53: no such host", "lookup (...) on (...): no such host"),
        ('Get "https://a.b:6443/x?y=z": EOF', 'Get "(...)": EOF'),
        ('pods is forbidden: User "x:y" cannot list', "pods is forbidden: User cannot list"),
        ('pods is forbidden: User "ann" cannot list', 'pods is forbidden: User "ann" cannot list'),
        ("open /var/run/secrets/token: no such file", "open (...): no such file"),
        ('namespaces "shop" not found', 'namespaces "shop" not found'),
        ("version 1.29.3 of apps/v1 at 12:30", "version 1.29.3 of apps/v1 at 12:30"),
    ],
)
def test_the_words_of_others_are_shown_without_what_is_inside(text: str, public: str) -> None:
    assert foreign(text, "ann") == public
    assert detail_of(foreign(text, "ann")) == text
