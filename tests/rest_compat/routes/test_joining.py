"""`/joinable`, `/join` and `/joinCloud` in front of a host that remembers what it is asked to create."""

import base64
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest
import yaml

from auth.authenticator import Authenticator
from fleet.kubernetes.connection import HttpConnection, Target
from fleet.kubernetes.sources.joining import HostJoining
from rest_compat.platform import PlatformOptions
from tests.fakes.waiting import PATIENCE
from tests.fleet.kubernetes.certificates import Authority, server_context
from tests.fleet.kubernetes.servers import open_http_server
from tests.rest_compat.serving import Answered, Client, Clusters, Points, open_client, open_served
from tests.rest_compat.upstream import Upstream, answering, hanging

OBJECTS = "/apis/openmcp.k8s.io/v1alpha1/namespaces/openmcp/openmcpclusters"
NAMESPACES = "/api/v1/namespaces"
CLOUD = "/joinCloud?clustername=edge&clustertype=GKE&clusterlocation=europe-west3-a"


@dataclass(frozen=True)
class Joining:
    """The routes, the host behind them, and a cluster that may be handed in."""

    client: Client
    host: Upstream
    cluster: Upstream
    kubeconfig: dict[str, Any]

    async def hand_in(self, target: str, file: Any = None, data: str = "", **more: str) -> Answered:
        form = aiohttp.FormData()
        content = self.kubeconfig if file is None else file
        form.add_field("file", content if isinstance(content, bytes) else yaml.safe_dump(content), filename="config")
        if data:
            form.add_field("data", data)
        body = form()
        return await self.client.ask("POST", target, body=body, Content_Type=body.headers["Content-Type"], **more)

    @property
    def created(self) -> list[dict[str, Any]]:
        return [json.loads(seen.body) for seen in self.host.seen if seen.method == "POST"]


@asynccontextmanager
async def open_joining(
    authenticator: Authenticator, options: PlatformOptions, folder: Path, timeout: float = PATIENCE
) -> AsyncIterator[Joining]:
    host, cluster, authority = Upstream(), Upstream(), Authority()
    cluster.answers[NAMESPACES] = answering(200, b'{"kind":"NamespaceList","apiVersion":"v1","items":[]}')
    tls = server_context(authority.issue("127.0.0.1"), folder)
    async with open_http_server(host.serve) as endpoint, open_http_server(cluster.serve, tls=tls) as server:
        connection = HttpConnection("openmcp", Target(endpoint))
        state = {
            "federation": Clusters({"openmcp": connection}),
            "metric_store": Points(),
            "authenticator": authenticator,
            "request_timeout": PATIENCE,
            "platform": options,
            "joining": HostJoining(options.namespace, timeout),
        }
        try:
            token = await authenticator.login("openmcp", "keti")
            async with open_served(state) as url, open_client(url, token) as client:
                yield Joining(client, host, cluster, build_kubeconfig(server, authority.pem))
        finally:
            await connection.close()


def build_kubeconfig(server: str, authority: bytes) -> dict[str, Any]:
    encoded = base64.b64encode(authority).decode()
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "edge", "cluster": {"server": server, "certificate-authority-data": encoded}}],
        "users": [{"name": "u", "user": {"token": "their-token"}}],
        "contexts": [{"name": "c", "context": {"cluster": "edge", "user": "u", "namespace": "x"}}],
        "current-context": "c",
        "extensions": [{"name": "dropped", "extension": {}}],
    }


@pytest.fixture
async def joining(authenticator: Authenticator, tmp_path: Path, request_timeout: float) -> AsyncIterator[Joining]:
    async with open_joining(authenticator, PlatformOptions(join=True), tmp_path, request_timeout) as opened:
        yield opened


async def test_join_registers_a_cluster_that_answers(joining: Joining) -> None:
    answer = await joining.hand_in("/join", data="n1,KR,Seoul#n2,KR,Busan#odd#n3,JP,Seoul")
    assert (answer.status, answer.body) == (200, b"OK\n")
    (created,) = joining.created
    spec = created["spec"]
    stored = json.loads(base64.b64decode(spec.pop("kubeconfigInfo")))
    assert (created["kind"], created["metadata"]) == ("OpenMCPCluster", {"name": "edge", "namespace": "openmcp"})
    assert spec == {
        "serverIP": "127.0.0.1",
        "clusterPlatformType": "On-Premise",
        "clusterNetworkLocation": "",
        "joinStatus": "UNJOIN",
        "joinStatusTime": "0001-01-01T00:00:00Z",
        "unJoinStatusTime": "0001-01-01T00:00:00Z",
        "nodeInfo": {"region": "KR,JP", "zone": "Seoul,Busan"},
        "metalLBRange": {},
    }
    assert stored["clusters"][0]["cluster"] == joining.kubeconfig["clusters"][0]["cluster"]
    assert stored["users"] == [{"name": "edge", "user": {"token": "their-token"}}]
    assert "extensions" not in stored


async def test_join_takes_base64_in_lines(joining: Joining) -> None:
    cluster = joining.kubeconfig["clusters"][0]["cluster"]
    lines = base64.encodebytes(base64.b64decode(cluster["certificate-authority-data"])).decode()
    cluster["certificate-authority-data"] = lines.replace("\n", "\r\n")
    answer = await joining.hand_in("/join")
    assert (answer.status, answer.body, len(joining.created)) == (200, b"OK\n", 1)


@pytest.mark.parametrize(
    ("platform", "location", "region", "zone"),
    [
        ("GKE", "europe-west3-a", "DE", "Hesse"),
        ("EKS", "us-east-1", "US", "Virginia"),
        ("AKS", "southeastasia", "TH", "Bangkok"),
        ("GKE", "us-east-1", "", ""),
    ],
)
async def test_join_cloud_names_the_cluster_and_its_place(
    joining: Joining, platform: str, location: str, region: str, zone: str
) -> None:
    joining.kubeconfig["clusters"][0]["name"] = "arn:aws:eks/x"
    joining.kubeconfig["contexts"][0]["context"]["cluster"] = "arn:aws:eks/x"
    target = f"/joinCloud?clustername=cloud&clustertype={platform}&clusterlocation={location}"
    assert (await joining.hand_in(target)).body == b"OK\n"
    (created,) = joining.created
    assert (created["metadata"]["name"], created["spec"]["clusterPlatformType"]) == ("cloud", platform)
    assert created["spec"]["nodeInfo"] == {"region": region, "zone": zone}
    assert "serverIP" not in created["spec"]


@pytest.mark.parametrize(
    ("part", "field", "value", "reason"),
    [
        ("users", "exec", {"command": "/bin/true", "apiVersion": "client.authentication.k8s.io/v1"}, "run a program"),
        ("users", "auth-provider", {"name": "gcp"}, "run a provider's code"),
        ("users", "tokenFile", "/etc/passwd", "names a file"),
        ("users", "client-certificate", "/etc/passwd", "names a file"),
        ("users", "client-key", "/etc/passwd", "names a file"),
        ("users", "as", "system:admin", "impersonates"),
        ("clusters", "certificate-authority", "/etc/passwd", "names a file"),
        ("clusters", "proxy-url", "http://evil.example", "through another host"),
        ("clusters", "insecure-skip-tls-verify", True, "to whoever answers"),
        ("clusters", "server", "http://127.0.0.1:1", "must be an https URL"),
        ("clusters", "server", "file:///etc/passwd", "must be https://HOST[:PORT]"),
        ("clusters", "server", "", "is empty"),
        ("clusters", "server", ["https://a"], "must be text"),
        ("clusters", "certificate-authority-data", "!", "is not base64"),
        ("users", "token", "two tokens", "no token has"),
    ],
)
async def test_what_would_harm_its_reader_is_refused_with_the_reason(
    joining: Joining, part: str, field: str, value: Any, reason: str
) -> None:
    joining.kubeconfig[part][0][part[:-1]][field] = value
    answer = await joining.hand_in("/join")
    assert (answer.status, answer.body.startswith(b"INVALID_FILE: ")) == (400, True)
    assert reason in answer.body.decode()
    assert (joining.created, joining.cluster.seen) == ([], [])


async def test_what_is_unused_is_looked_at_as_well(joining: Joining) -> None:
    joining.kubeconfig["users"].append({"name": "other", "user": {"exec": {"command": "x"}}})
    answer = await joining.hand_in(CLOUD)
    assert (answer.status, b"exec is refused" in answer.body, joining.created) == (400, True, [])


@pytest.mark.parametrize(
    ("file", "status", "reason"),
    [
        (b"", 400, "has no clusters"),
        (b"[1, 2]", 400, "not a mapping"),
        (b"a: [", 400, "not YAML (line 2)"),
        (b"clusters: 5", 400, "must be a list"),
        (b"\xff\xfe\x00", 400, "not YAML"),
        (b"!!python/object/apply:os.system ['true']", 400, "not YAML"),
        (b"[" * 60_000, 400, "nested deeper"),
        (b"\n".join(b" " * depth + b"a:" for depth in range(300)), 400, "nested deeper"),
        (b"- " * 30_000, 400, "nested deeper"),
        (b"a: &a [x]\nb: &b [*a, *a]\nclusters: [*b, *b]", 400, "must have a name"),
        (b"#" * 70_000, 400, "more than 65536 bytes"),
        (b"#" * 200_000, 413, "131072 bytes at most"),
    ],
    ids=lambda value: value[:20].decode("latin-1") if isinstance(value, bytes) else None,
)
async def test_a_file_that_is_no_kubeconfig_is_refused(joining: Joining, file: bytes, status: int, reason: str) -> None:
    answer = await joining.hand_in("/join", file)
    assert (answer.status, answer.body.startswith(b"INVALID_FILE: ")) == (status, True)
    assert reason in answer.body.decode()


@pytest.mark.parametrize(
    ("answered", "status", "reason", "request_timeout"),
    [
        (answering(401, b"{}"), 400, "does not know the kubeconfig's credential", PATIENCE),
        (answering(403, b"{}"), 400, "list no namespaces", PATIENCE),
        (answering(200, b"<html>", "text/html"), 502, "not as a Kubernetes API server does", PATIENCE),
        (answering(302, b"", Location="https://evil.example/"), 502, "answered 302", PATIENCE),
        (hanging(), 504, "no answer", 1.0),
    ],
)
async def test_a_cluster_that_is_not_what_the_kubeconfig_says_is_refused(
    joining: Joining, answered: Any, status: int, reason: str
) -> None:
    joining.cluster.answers[NAMESPACES] = answered
    answer = await joining.hand_in("/join")
    assert (answer.status, reason in answer.body.decode(), joining.created) == (status, True, [])
    assert b"their-token" not in answer.body


@pytest.mark.parametrize("name", ["openmcp", "Edge", "-a", "a/b", "a" * 64, ""])
async def test_a_name_that_no_cluster_may_have_is_refused(joining: Joining, name: str) -> None:
    answer = await joining.hand_in(f"/joinCloud?clustername={name}&clustertype=EKS")
    assert (answer.status, joining.created) == (400, [])


async def test_a_name_that_is_taken_is_a_conflict(joining: Joining) -> None:
    joining.host.answers[OBJECTS] = answering(409, b'{"kind":"Status","message":"exists"}')
    answer = await joining.hand_in("/join")
    assert (answer.status, answer.body) == (409, b"a cluster named edge is registered already")


async def test_a_host_that_refuses_is_said_to(joining: Joining) -> None:
    joining.host.answers[OBJECTS] = answering(403, b'{"kind":"Status","message":"no right to create"}')
    answer = await joining.hand_in("/join")
    assert (answer.status, b"no right to create" in answer.body) == (502, True)


@pytest.mark.parametrize("path", ["/join", CLOUD])
async def test_a_request_without_a_file_is_answered_as_ever(joining: Joining, path: str) -> None:
    for method, body, content_type in (
        ("GET", None, "text/plain"),
        ("POST", b"a=b", "application/x-www-form-urlencoded"),
        ("POST", b"--x--\r\n", "multipart/form-data; boundary=x"),
        ("POST", b"garbage", "multipart/form-data"),
    ):
        answer = await joining.client.ask(method, path, body=body, Content_Type=content_type)
        assert (answer.status, answer.body) == (400, b"INVALID_FILE")


@pytest.mark.parametrize("path", ["/join", CLOUD])
async def test_only_an_administrator_registers(joining: Joining, viewer: str, path: str) -> None:
    nobody = await joining.hand_in(path, Authorization="")
    assert (nobody.status, nobody.body) == (401, b"Required authorization token not found\n")
    assert (await joining.hand_in(path, token=viewer)).status == 404  # the host is out of reach
    assert (joining.created, joining.cluster.seen) == ([], [])


async def test_nothing_is_registered_unless_it_is_switched_on(authenticator: Authenticator, tmp_path: Path) -> None:
    async with open_joining(authenticator, PlatformOptions(), tmp_path) as joining:
        for path in ("/join", CLOUD):
            answer = await joining.hand_in(path)
            assert (answer.status, b"OPENMCP_JOIN=true" in answer.body) == (403, True)
        assert (joining.created, joining.cluster.seen) == ([], [])


def _item(name: str, status: str, **spec: Any) -> dict[str, Any]:
    return {"metadata": {"name": name}, "spec": {"joinStatus": status, **spec}}


@pytest.mark.parametrize("encode", [base64.b64encode, base64.encodebytes], ids=["one line", "lines"])
async def test_joinable_lists_what_has_not_joined(joining: Joining, encode: Callable[[bytes], bytes]) -> None:
    known = encode(json.dumps(joining.kubeconfig).encode()).decode()
    place = {"clusterPlatformType": "On-Premise", "nodeInfo": {"region": "KR", "zone": "Seoul"}, "serverIP": "10.0.0.9"}
    items = [
        _item("a", "UNJOIN", kubeconfigInfo=known, **place),
        _item("b", "UNJOIN", kubeconfigInfo="!", **place),
        _item("c", "UNJOIN", nodeInfo=5),
        *(_item(status.lower(), status) for status in ("JOIN", "JOINING", "UNJOINING")),
        {"metadata": {"name": "d"}, "spec": None},
        "nonsense",
    ]
    joining.host.answers[OBJECTS] = answering(200, json.dumps({"items": items}).encode())
    answer = await joining.client.ask("GET", "/joinable")
    where = {"platform": "On-Premise", "region": "KR", "zone": "Seoul"}
    server = joining.kubeconfig["clusters"][0]["cluster"]["server"]
    assert json.loads(answer.body)["items"] == [
        {"name": "a", "endpoint": server, **where},
        {"name": "b", "endpoint": "10.0.0.9", **where},
        {"name": "c", "endpoint": "", "platform": "", "region": "", "zone": ""},
    ]
    assert b"their-token" not in answer.body
    assert answer.body.startswith(b'{\n\t"items": [\n\t\t{\n\t\t\t"name": "a",')


async def test_joinable_without_any_is_null(joining: Joining) -> None:
    joining.host.answers[OBJECTS] = answering(200, b'{"items":[]}')
    assert (await joining.client.ask("GET", "/joinable/")).body == b'{\n\t"items": null\n}'


@pytest.mark.parametrize(
    ("answered", "status", "request_timeout"),
    [
        *(
            (answer, 502, PATIENCE)
            for answer in (answering(500, b"oops"), answering(404, b"{}"), answering(200, b"[]"))
        ),
        (hanging(), 504, 1.0),
    ],
)
async def test_joinable_survives_a_host_that_is_ill(joining: Joining, answered: Any, status: int) -> None:
    joining.host.answers[OBJECTS] = answered
    answer = await joining.client.ask("GET", "/joinable")
    content = json.loads(answer.body)
    assert (answer.status, list(content), content["items"]) == (status, ["items", "error"], None)


async def test_joinable_needs_a_token_and_reach(joining: Joining, viewer: str) -> None:
    for method in ("GET", "OPTIONS"):
        assert (await joining.client.ask(method, "/joinable", Authorization="")).status == 401
    assert (await joining.client.ask("GET", "/joinable", token=viewer)).status == 404  # so is the host
