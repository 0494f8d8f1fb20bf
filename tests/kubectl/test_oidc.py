"""kubectl as a user of a real OIDC issuer."""

import asyncio
import re
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from auth.users import User, save_users
from fleet.model.visibility import Role, Scope
from realfleet.fleet import Fleet
from tests.fakes.waiting import until
from tests.kubectl.conftest import Both, Secured, open_secured
from tests.kubectl.running import Kubectl, Outcome
from tests.kubectl.test_rights_end import END_SECONDS, counts, end_streams, open_subscription
from tests.oidc.browser import build_browser
from tests.oidc.issuer import RunningIssuer, open_issuer
from tests.processes import COMMAND

pytestmark = pytest.mark.real

ALL = User("oidc:all", "", Scope(Role.EDIT), is_group=True)
TEAM = User("oidc:team-a", "", Scope(Role.EDIT, ("cluster1",), ("default",)), is_group=True)


@dataclass(frozen=True)
class SignedIn:
    """A server whose users sign in at the issuer."""

    secured: Secured
    issuer: RunningIssuer
    program: Path
    folder: Path

    async def run(self, token: str, line: str) -> Outcome:
        kubeconfig = self.secured.write_kubeconfig(self.folder / "config", ["cluster1"], token)
        return await Kubectl(self.program, kubeconfig, self.folder / "cache").run(line)


@pytest.fixture(scope="module")
async def signed_in(real_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[SignedIn]:
    folder = tmp_path_factory.mktemp("oidc")
    save_users(folder / "users", [ALL, TEAM])
    async with open_issuer(folder / "issuer") as issuer:
        environment = real_fleet.environment() | {
            "OPENMCP_USERS_FILE": str(folder / "users"),
            "OPENMCP_OIDC_ISSUER": issuer.url,
            "OPENMCP_OIDC_AUDIENCE": "openmcp",
            "OPENMCP_OIDC_GROUPS_PREFIX": "oidc:",
        }
        async with open_secured(environment, folder) as secured:
            yield SignedIn(secured, issuer, real_fleet.cluster("cluster1").kubectl_program, folder)


async def test_kubectl_takes_a_token_of_the_issuer(signed_in: SignedIn) -> None:
    token = await signed_in.issuer.sign(groups=["team-a"])

    for line in ("get pods -n default", "create configmap by-oidc -n default", "delete configmap by-oidc -n default"):
        outcome = await signed_in.run(token, line)
        assert outcome.code == 0, outcome
    assert "ann" in (await signed_in.run(token, "auth whoami")).output


async def test_a_kubeconfig_that_signs_in_by_itself(signed_in: SignedIn, tmp_path: Path) -> None:
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    browser = {"BROWSER": build_browser(signed_in.issuer, "ann", path=tmp_path / "browser")}
    where = ("--server", signed_in.secured.server.url, "--ca-file", str(signed_in.secured.ca_file))
    made = await asyncio.create_subprocess_exec(
        COMMAND, "kubeconfig", "--exec", *where, stdout=asyncio.subprocess.PIPE, env={"PATH": "/bin"} | cache | browser
    )
    text, _ = await made.communicate()
    assert made.returncode == 0
    (tmp_path / "config").write_bytes(text)
    written = yaml.safe_load(text)
    assert [user["name"] for user in written["users"]] == ["openmcp-ann"]
    assert "token" not in written["users"][0]["user"]
    kubectl = Kubectl(signed_in.program, tmp_path / "config", tmp_path / "kubectl", "openmcp-cluster1")

    outcome = await kubectl.run("get pods -n default", **cache, BROWSER="false")
    assert outcome.code == 0, outcome
    again = await kubectl.run("auth whoami", **browser, XDG_CACHE_HOME=str(tmp_path / "another"))
    assert again.code == 0, again
    assert "ann" in again.output
    assert "Sign in at" in again.errors


async def test_a_kubeconfig_of_a_user_with_a_password(signed_in: SignedIn, tmp_path: Path) -> None:
    cache = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    where = ("--server", signed_in.secured.server.url, "--ca-file", str(signed_in.secured.ca_file), "--user", "openmcp")
    made = await asyncio.create_subprocess_exec(
        COMMAND,
        *("kubeconfig", "--exec", *where),
        stdout=asyncio.subprocess.PIPE,
        env={"PATH": "/bin", "OPENMCP_PASSWORD": "keti"} | cache,
    )
    text, _ = await made.communicate()
    (tmp_path / "config").write_bytes(text)
    kubectl = Kubectl(signed_in.program, tmp_path / "config", tmp_path / "kubectl", "openmcp-cluster1")

    assert (await kubectl.run("get nodes", **cache)).code == 0
    stopped = await kubectl.run("get nodes", XDG_CACHE_HOME=str(tmp_path / "another"))
    assert re.search(r"sign in first: (\S+/)?openmcp-apiserver login --server", stopped.errors)


async def leave(signed_in: SignedIn) -> None:
    save_users(signed_in.folder / "users", [TEAM])


async def unpublish(signed_in: SignedIn) -> None:
    """Another key is published, and asked for, since somebody has a token of it."""
    await signed_in.issuer.order(make={"next": "RS256"}, publish=["next"])
    await until(partial(counts, signed_in.secured, await signed_in.issuer.sign("next", groups=["all"])), every=0.5)


async def expire(_: SignedIn) -> None:
    """The token ends by itself."""


@pytest.mark.parametrize("change", [leave, unpublish, expire])
async def test_every_stream_ends_within_seconds(
    stage: Both, signed_in: SignedIn, tmp_path: Path, change: Callable[[SignedIn], Awaitable[None]]
) -> None:
    save_users(signed_in.folder / "users", [ALL, TEAM])
    ends_at = int(time.time()) + 40 if change is expire else 0
    limits: dict[str, Any] = {"exp": ends_at} if ends_at else {}
    token = await signed_in.issuer.sign(groups=["all"], **limits)
    await until(partial(counts, signed_in.secured, token), what="the token", every=0.5)
    kubeconfig = signed_in.secured.write_kubeconfig(tmp_path / "through", ["cluster1"], token)
    kubectl = Kubectl(stage.through.program, kubeconfig, tmp_path)
    try:
        async with open_subscription(signed_in.secured, token) as socket:
            took, said = await end_streams(kubectl, socket, lambda: change(signed_in), ends_at)
    finally:
        await signed_in.issuer.order(publish=["first"])
    assert {name for name, seconds in took.items() if seconds > END_SECONDS} == set(), took
    assert ("nothing is granted" if change is leave else "oken") in said


async def test_kubectl_says_why_it_may_not(signed_in: SignedIn) -> None:
    outcome = await signed_in.run(await signed_in.issuer.sign(groups=["team-a"]), "get nodes")
    assert "limited to the namespaces default" in outcome.errors

    outcome = await signed_in.run(await signed_in.issuer.sign(sub="eve"), "get pods")
    assert "signed in as 'eve' (groups: none), to whom nothing is granted" in outcome.errors

    outcome = await signed_in.run(await signed_in.issuer.sign(groups=["team-a"], exp=1), "get pods")
    assert outcome.code != 0
    assert "logged in" in outcome.errors
