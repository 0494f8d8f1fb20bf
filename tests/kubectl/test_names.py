"""Clusters whose names hold what a URL gives a meaning to, through `/clusters/NAME`, by kubectl and by bytes."""

import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
import yaml
from yarl import URL

from auth.passwords import hash_password
from auth.users import User, save_users
from fleet.model.visibility import Role, Scope
from realfleet.fleet import Fleet
from tests.kubectl.conftest import Secured, open_secured
from tests.kubectl.running import Kubectl

pytestmark = pytest.mark.real

ARN = "arn:aws:eks:eu-west-1:123456789012:cluster/shop"
# Which member of the fleet each leads to, and the user that keeps it from being another name of the same.
NAMES = {
    ARN: ("cluster1", "a"),
    "team-a/api-shop-example-org:6443/kube:admin": ("cluster2", "b"),
    "team": ("cluster1", "c"),
    "team/api": ("cluster2", "d"),
    "team/api/version": ("cluster1", "e"),
    "kubernetes-admin@kubernetes": ("cluster1", "f"),
    "운영 (서울) #1": ("cluster2", "g"),
    "a%2Fb": ("cluster1", "h"),
    "what?x=1": ("cluster2", "i"),
    # Other names of `team` and of the one before.
    "shop/team:6443/kube:admin": ("cluster1", "c"),
    "what else?": ("cluster2", "i"),
}


@pytest.fixture(scope="module")
async def secured(real_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Secured]:
    folder = tmp_path_factory.mktemp("names")
    document = yaml.safe_load(real_fleet.kubeconfig.read_text())
    document["users"] = [
        {"name": user, "user": {"tokenFile": str(folder / user)}} for user in {user for _, user in NAMES.values()}
    ]
    document["contexts"] = []
    for name, (member, user) in NAMES.items():
        # Another file is another user; the name alone would not be.
        token = real_fleet.cluster(member).token
        (folder / user).write_text(token)
        document["contexts"].append({"name": name, "context": {"cluster": member, "user": user}})
    (folder / "config").write_text(yaml.safe_dump(document))
    save_users(folder / "users", [User("tess", hash_password("secret of tess"), Scope(Role.ADMIN, ("team",)))])
    environment = {
        "OPENMCP_CLUSTER_SOURCE": "kubeconfig",
        "OPENMCP_KUBECONFIG": str(folder / "config"),
        "OPENMCP_EMBEDDED_FILE": str(folder / "usage.sqlite"),
        "OPENMCP_USERS_FILE": str(folder / "users"),
        "OPENMCP_SIGNING_KEY": "a key for the tests of names",
        "API_USER_NAME": "openmcp",
        "API_USER_PW": "keti",
    }
    async with open_secured(environment, folder) as opened:
        yield opened


@pytest.mark.parametrize("name", NAMES)
async def test_kubectl_reaches_a_cluster_by_any_name(
    secured: Secured, real_fleet: Fleet, tmp_path: Path, name: str
) -> None:
    member = real_fleet.cluster(NAMES[name][0])
    through = secured.write_kubeconfig(tmp_path / "through", NAMES)
    kubectl = Kubectl(member.kubectl_program, through, tmp_path, context=name)
    assert await kubectl.must("get nodes -o name") == member.kubectl("get", "nodes", "-o", "name")
    assert (await kubectl.must("get --raw /version")).startswith("{")


@pytest.mark.parametrize(
    ("path", "member"),
    [
        (quote(ARN, safe=""), "cluster1"),
        (ARN, "cluster1"),
        ("team", "cluster1"),
        ("team/api", "cluster2"),
        ("team%2Fapi", "cluster2"),
        ("team%2Fapi%2Fversion", "cluster1"),
        ("team/api/version", "cluster1"),
        ("a%252Fb", "cluster1"),
    ],
)
async def test_bytes_name_the_longest_cluster(secured: Secured, path: str, member: str) -> None:
    status, body = await _get(secured, f"/clusters/{path}/api/v1/nodes", secured.token)
    assert (status, {item["metadata"]["name"][:5] for item in body["items"]}) == (200, {f"kube{member[-1]}"})


async def test_what_is_out_of_reach_is_not_told_from_what_is_not_there(secured: Secured) -> None:
    token = await _sign_in(secured)
    shown = await _get(secured, "/clusters/team/api/v1/nodes", token)
    assert shown[0] == 200
    for there, nowhere in ((ARN, f"{ARN}s"), ("team%2Fapi", "team%2Fapx")):
        hidden = await _get(secured, f"/clusters/{there}/api/v1/nodes", token)
        missing = await _get(secured, f"/clusters/{nowhere}/api/v1/nodes", token)
        assert (hidden[0], missing[0]) == (404, 404)
        assert json.dumps(missing[1]).replace(nowhere, there).replace("apx", "api") == json.dumps(hidden[1])
    # As if `team/api` were not there, this is a path of `team`, which its API server does not know.
    status, body = await _get(secured, "/clusters/team/api/api/v1/nodes", token)
    assert (status, body["message"]) == (404, "the server could not find the requested resource")


async def _sign_in(secured: Secured) -> str:
    async with _open_session(secured) as session:
        form = {"username": "tess", "password": "secret of tess"}
        async with session.post(f"{secured.server.url}/token", json=form) as answer:
            return str((await answer.json())["token"])


async def _get(secured: Secured, path: str, token: str) -> tuple[int, dict[str, Any]]:
    async with _open_session(secured) as session:
        url = URL(f"{secured.server.url}{path}", encoded=True)
        async with session.get(url, headers={"Authorization": f"Bearer {token}"}) as answer:
            return answer.status, json.loads(await answer.read())


def _open_session(secured: Secured) -> aiohttp.ClientSession:
    tls = ssl.create_default_context(cafile=secured.ca_file)
    return aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=tls))
