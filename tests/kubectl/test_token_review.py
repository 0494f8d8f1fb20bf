"""Service accounts of the real host, by their own tokens: who they are here, and what ends that."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest

from auth.users import User, save_users
from fleet.model.visibility import Role, Scope
from realfleet.fleet import Fleet
from tests.fakes.waiting import until
from tests.kubectl.conftest import Both, Secured, open_secured
from tests.kubectl.running import NAMESPACE, Kubectl
from tests.kubectl.test_rights_end import END_SECONDS, counts, end_streams, open_subscription, trust

pytestmark = pytest.mark.real

ACCOUNTS = "default"
AUDIENCE = "openmcp-apiserver"
VIEWER = "/graphql?query={viewer{name,groups}}"
CACHE_SECONDS = 1.0
HOST_CACHE_SECONDS = 10.0
"""How long an API server itself keeps what it found of a token (`TokenSuccessCacheTTL`), its own requests included."""

ENTRIES = (
    User(f"system:serviceaccount:{ACCOUNTS}:deployer", "", Scope(Role.EDIT, ("cluster1",), (NAMESPACE,))),
    User(f"system:serviceaccounts:{ACCOUNTS}", "", Scope(Role.VIEW, ("openmcp",)), is_group=True),
)


@dataclass(frozen=True)
class Robots:
    """A server that asks the host about tokens, and the host's service accounts."""

    secured: Secured
    fleet: Fleet

    async def run(self, *line: str) -> str:
        return await asyncio.to_thread(self.fleet.host.kubectl, "--namespace", ACCOUNTS, *line)

    async def make(self, name: str) -> str:
        """A token of a new account."""
        await self.run("delete", "serviceaccount", name, "--ignore-not-found")
        await self.run("create", "serviceaccount", name)
        return await self.make_token(name)

    async def make_token(self, name: str, *more: str) -> str:
        return (await self.run("create", "token", name, *(more or ("--audience", AUDIENCE)))).strip()

    async def ask(self, token: str, path: str = "/clusters/cluster1/version") -> tuple[int, str]:
        headers = {"Authorization": f"Bearer {token}"}
        async with (
            aiohttp.ClientSession(headers=headers) as session,
            session.get(self.secured.server.url + path, ssl=trust(self.secured)) as answer,
        ):
            return answer.status, await answer.text()


@pytest.fixture(scope="module")
async def robots(real_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Robots]:
    folder = tmp_path_factory.mktemp("robots")
    save_users(folder / "users", ENTRIES)
    environment = real_fleet.environment() | {
        "OPENMCP_USERS_FILE": str(folder / "users"),
        "OPENMCP_TOKEN_REVIEW": "true",
        "OPENMCP_TOKEN_REVIEW_AUDIENCES": AUDIENCE,
        "OPENMCP_TOKEN_REVIEW_CACHE": f"{CACHE_SECONDS:g}s",
    }
    async with open_secured(environment, folder) as secured:
        robots = Robots(secured, real_fleet)
        yield robots
        await robots.run("delete", "serviceaccount", "deployer", "other", "waiting", "--ignore-not-found")


async def test_an_account_does_what_its_name_and_groups_are_given(stage: Both, robots: Robots, tmp_path: Path) -> None:
    token = await robots.make("deployer")
    kubeconfig = robots.secured.write_kubeconfig(tmp_path / "robot", ["openmcp", "cluster1"], token)
    on_member = Kubectl(stage.through.program, kubeconfig, tmp_path)
    on_host = Kubectl(stage.through.program, kubeconfig, tmp_path, "openmcp")

    await on_member.must("annotate configmap settings by=robot --overwrite")
    who = json.loads(await on_member.must("auth whoami -o json"))["status"]["userInfo"]
    assert who["username"] == ENTRIES[0].name
    assert {"system:serviceaccounts", f"system:serviceaccounts:{ACCOUNTS}"} <= set(who["groups"])
    assert "kube-system" in await on_host.must("get namespaces")
    refused = await on_host.run("create configmap x")
    assert (refused.code, "may not create" in refused.errors) == (1, True), refused


async def test_what_the_host_does_not_take_for_us_is_refused(stage: Both, robots: Robots) -> None:
    await robots.make("other")
    for token in (
        await robots.make_token("other", "--audience", "another"),
        await robots.make_token("other", "--duration", "10m"),  # for the host itself
        "anything",
    ):
        status, said = await robots.ask(token)
        assert (status, "neither one of this server's nor one that the host cluster takes" in said) == (401, True)
    status, said = await robots.ask(await robots.make_token("other"))  # by its group it reaches the host alone
    assert (status, "no cluster is named 'cluster1'" in said) == (404, True), said


async def test_an_account_that_is_deleted_ends_with_all_its_streams(
    stage: Both, robots: Robots, tmp_path: Path
) -> None:
    token = await robots.make("deployer")
    await until(lambda: counts(robots.secured, token), what="the account")
    kubeconfig = robots.secured.write_kubeconfig(tmp_path / "robot", ["cluster1"], token)
    kubectl = Kubectl(stage.through.program, kubeconfig, tmp_path)
    async with open_subscription(robots.secured, token) as socket:
        took, said = await end_streams(kubectl, socket, lambda: robots.run("delete", "serviceaccount", "deployer"))
    bound = HOST_CACHE_SECONDS + CACHE_SECONDS + END_SECONDS
    assert {name for name, seconds in took.items() if seconds > bound} == set(), took
    assert "nor one that the host cluster takes" in said


async def test_while_the_host_hangs_its_tokens_are_told_so(stage: Both, robots: Robots) -> None:
    """And ours count as ever."""
    token = await robots.make("waiting")
    assert (await robots.ask(token, VIEWER))[0] == 200

    async def is_told() -> bool:
        status, said = await robots.ask(token, VIEWER)
        return status == 503 and "the host cluster, which may know whose token this is, can't be asked" in said

    with robots.fleet.host.paused():
        await until(is_told, what="the answer 503")
        assert (await robots.ask(robots.secured.token))[0] == 200
    await until(lambda: counts_again(robots, token), what="the host")


async def counts_again(robots: Robots, token: str) -> bool:
    return (await robots.ask(token, VIEWER))[0] == 200
