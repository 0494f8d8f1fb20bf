"""kubectl as a user of a real OIDC issuer."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from auth.users import User, save_users
from fleet.model.visibility import Role, Scope
from realfleet.fleet import Fleet
from tests.kubectl.conftest import Secured, open_secured
from tests.kubectl.running import Kubectl, Outcome
from tests.oidc.issuer import RunningIssuer, open_issuer

pytestmark = pytest.mark.real

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
    save_users(folder / "users", [TEAM])
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


async def test_kubectl_says_why_it_may_not(signed_in: SignedIn) -> None:
    outcome = await signed_in.run(await signed_in.issuer.sign(groups=["team-a"]), "get nodes")
    assert "limited to the namespaces default" in outcome.errors

    outcome = await signed_in.run(await signed_in.issuer.sign(sub="eve"), "get pods")
    assert "signed in as 'eve' (groups: none), to whom nothing is granted" in outcome.errors

    outcome = await signed_in.run(await signed_in.issuer.sign(groups=["team-a"], exp=1), "get pods")
    assert outcome.code != 0
    assert "logged in" in outcome.errors
