"""kubectl with a client certificate: whose it is, as the real API server has it, and the end of its streams with it."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest
import yaml

from auth.users import User, save_users
from fleet.model.visibility import Role, Scope
from realfleet.fleet import Fleet
from tests.fleet.kubernetes.certificates import Authority, Pair
from tests.kubectl.conftest import Both, Secured, open_secured
from tests.kubectl.running import NAMESPACE, Kubectl
from tests.kubectl.test_rights_end import END_SECONDS, SUBSCRIPTION, end_streams

pytestmark = pytest.mark.real

GROUP = User("deployers", "", Scope(Role.EDIT, ("cluster1",), (NAMESPACE,)), is_group=True)
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
REVIEWS = "/apis/authentication.k8s.io/v1/selfsubjectreviews"


@dataclass(frozen=True)
class Certified:
    """A server that takes certificates of an authority."""

    secured: Secured
    authority: Authority
    folder: Path

    def write_kubeconfig(self, pair: Pair) -> Path:
        """A kubeconfig as ours, with the certificate in the place of the token."""
        path = self.secured.write_kubeconfig(self.folder / "through.yaml", ["cluster1"])
        content = yaml.safe_load(path.read_text())
        certificate, key = pair.write(self.folder, "caller")
        for user in content["users"]:
            user["user"] = {"client-certificate": str(certificate), "client-key": str(key)}
        path.write_text(yaml.safe_dump(content))
        return path

    def trust(self, pair: Pair) -> ssl.SSLContext:
        context = ssl.create_default_context(cafile=self.secured.ca_file)
        context.load_cert_chain(*pair.write(self.folder, "socket"))
        return context


@pytest.fixture(scope="module")
async def certified(real_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Certified]:
    folder, authority = tmp_path_factory.mktemp("certified"), Authority("callers")
    save_users(folder / "users", [GROUP])
    (folder / "callers.crt").write_bytes(authority.pem)
    environment = real_fleet.environment() | {
        "OPENMCP_USERS_FILE": str(folder / "users"),
        "OPENMCP_TLS_CLIENT_CA_FILE": str(folder / "callers.crt"),
    }
    async with open_secured(environment, folder) as secured:
        yield Certified(secured, authority, folder)


async def test_kubectl_acts_as_its_certificate_says(stage: Both, certified: Certified, tmp_path: Path) -> None:
    pair = certified.authority.issue(common_name="ann", groups=[GROUP.name, "others"])
    kubectl = Kubectl(stage.through.program, certified.write_kubeconfig(pair), tmp_path)
    who = json.loads(await kubectl.must("auth whoami -o json"))["status"]["userInfo"]
    assert (who["username"], who["groups"]) == ("ann", [GROUP.name, "others"])
    await kubectl.must("annotate configmap settings by=ann --overwrite")
    refused = await kubectl.run("get pods --all-namespaces")
    assert (refused.code, "user 'ann' is limited to the namespaces" in refused.errors) == (1, True), refused


async def test_a_certificate_goes_before_a_token_as_with_an_api_server(
    stage: Both, certified: Certified, real_fleet: Fleet
) -> None:
    pair = certified.authority.issue(common_name="ann", groups=[GROUP.name])
    server = certified.secured.server.url
    assert await review(f"{server}/clusters/cluster1", certified.trust(pair), certified.secured.token) == "ann"

    member = real_fleet.cluster("cluster1")
    tls = ssl.create_default_context(cafile=member.ca_file)
    tls.load_cert_chain(member.api.files.client_certificate, member.api.files.client_key)
    for token in (member.token, "no token"):
        assert await review(member.url, tls, token) == "administrator"
    assert await review(f"{server}/clusters/cluster1", certified.trust(pair), "no token") == "ann"


async def review(url: str, tls: ssl.SSLContext, token: str) -> str:
    """The name of the caller who sends a token beside a certificate."""
    headers = {"Authorization": f"Bearer {token}"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(url + REVIEWS, json=REVIEW, ssl=tls) as answer,
    ):
        assert answer.status == 201, await answer.text()
        return str((await answer.json())["status"]["userInfo"]["username"])


async def test_streams_end_with_the_certificate(stage: Both, certified: Certified, tmp_path: Path) -> None:
    ends = (datetime.now(UTC) + timedelta(seconds=40)).replace(microsecond=0)
    pair = certified.authority.issue(common_name="ann", groups=[GROUP.name], ends=ends)
    kubectl = Kubectl(stage.through.program, certified.write_kubeconfig(pair), tmp_path)
    async with open_subscription(certified, pair) as socket:
        took, said = await end_streams(kubectl, socket, lambda: asyncio.sleep(0), ends.timestamp())
    assert {name for name, seconds in took.items() if not -1 < seconds <= END_SECONDS} == set(), took
    assert "the client certificate has expired" in said


@asynccontextmanager
async def open_subscription(certified: Certified, pair: Pair) -> AsyncIterator[aiohttp.ClientWebSocketResponse]:
    """One of all pods, by the certificate alone, that has told of some."""
    url, protocols = f"{certified.secured.server.url}/graphql", ["graphql-transport-ws"]
    async with (
        aiohttp.ClientSession() as session,
        session.ws_connect(url, protocols=protocols, ssl=certified.trust(pair), max_msg_size=0) as socket,
    ):
        await socket.send_json({"type": "connection_init"})
        assert (await socket.receive_json())["type"] == "connection_ack"
        await socket.send_json({"type": "subscribe", "id": "1", "payload": {"query": SUBSCRIPTION}})
        assert (await socket.receive_json())["type"] == "next"
        yield socket
