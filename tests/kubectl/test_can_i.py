"""`kubectl auth can-i` through this server: for the caller, not for this server's credential."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from auth.passwords import hash_password
from auth.users import User, save_users
from fleet.model.visibility import Role, Scope
from realfleet.fleet import Fleet
from tests.kubectl.conftest import open_secured
from tests.kubectl.running import Kubectl, Outcome

pytestmark = pytest.mark.real

PASSWORD = "a long password"
USERS = {
    "vera": User("vera", "", Scope(Role.VIEW)),
    "edith": User("edith", "", Scope(Role.EDIT), ("dev",), ("widgets.acme.io",)),
    "sam": User("sam", "", Scope(Role.EDIT, namespaces=("shop",))),
    "anna": User("anna", "", Scope(Role.ADMIN)),
}


@dataclass(frozen=True)
class People:
    """kubectl of each user, with cluster1 as context."""

    kubectls: dict[str, Kubectl]

    async def ask(self, who: str, line: str) -> Outcome:
        return await self.kubectls[who].run(line)


@pytest.fixture(scope="module")
async def people(real_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[People]:
    folder, hashed = tmp_path_factory.mktemp("can-i"), hash_password(PASSWORD)
    users = [User(each.name, hashed, each.scope, each.groups, each.writes) for each in USERS.values()]
    save_users(folder / "users.yaml", users)
    program = real_fleet.cluster("cluster1").kubectl_program
    environment = real_fleet.environment() | {"OPENMCP_USERS_FILE": str(folder / "users.yaml")}
    async with open_secured(environment, folder) as secured:
        kubectls = {}
        for name in USERS:
            token = await secured.plain.sign_in(name, PASSWORD)
            kubeconfig: Path = secured.write_kubeconfig(folder / f"{name}.yaml", ["cluster1"], token)
            kubectls[name] = Kubectl(program, kubeconfig, folder / name)
        yield People(kubectls)


@pytest.mark.parametrize(
    ("line", "who"),
    [
        ("get pods --namespace=shop", "vera edith sam anna"),
        ("list pods --all-namespaces", "vera edith anna"),
        ("get pods --namespace=other", "vera edith anna"),
        ("get nodes --namespace=shop", "vera edith anna"),
        ("get namespaces/shop", "vera edith sam anna"),
        ("get secrets --namespace=shop", "edith sam anna"),
        ("get secrets --namespace=kube-system", "anna"),
        ("create deployments.apps --namespace=shop", "edith sam anna"),
        ("delete nodes", "anna"),
        ("patch namespaces/shop", "anna"),
        ("create clusterrolebindings", "anna"),
        ("create pods --subresource=exec --namespace=shop", "edith sam anna"),
        ("get pods --subresource=log --namespace=shop", "edith sam anna"),
        ("* * --namespace=shop", "anna"),
        ("get * --namespace=shop", "anna"),
        ("get /version", "vera edith sam anna"),
        ("post /version", "anna"),
    ],
)
async def test_it_answers_what_this_server_lets_the_caller_do(people: People, line: str, who: str) -> None:
    words = ["auth", "can-i", *line.split()]
    answers = {name: await kubectl.run(words) for name, kubectl in people.kubectls.items()}

    assert {name for name, answer in answers.items() if answer.output.startswith("yes")} == {*who.split()}, answers
    assert {answer.output.split()[0] for answer in answers.values()} <= {"yes", "no"}


async def test_the_list_is_what_both_allow(people: People) -> None:
    lists = {name: (await people.ask(name, "auth can-i --list --namespace=shop")).output for name in USERS}
    rows = {
        name: {
            line.split()[0]: line[line.rindex("[") + 1 : line.rindex("]")].split()
            for line in text.splitlines()[1:]
            if line[:1].strip()
        }
        for name, text in lists.items()
    }

    assert rows["anna"]["*.*"] == ["*"], lists
    assert rows["vera"]["pods"] == rows["vera"]["nodes"] == ["get", "list", "watch"]
    assert "secrets" not in rows["vera"]
    assert "secrets" in rows["edith"], lists["edith"]
    assert {"create", "delete", "get", "patch"} < {*rows["edith"]["secrets"]}
    assert rows["edith"]["nodes"] == ["get", "list", "watch"]
    assert {*rows["edith"]["pods/exec"]} == {"create", "get"}
    assert "nodes" not in rows["sam"]
    assert "create" in rows["sam"]["pods"]


async def test_who_am_i_is_the_caller(people: People) -> None:
    outcome = await people.ask("edith", "auth whoami")
    assert outcome.code == 0, outcome
    assert "edith" in outcome.output
    assert "dev" in outcome.output
    assert "system:masters" not in outcome.output


@pytest.mark.parametrize(
    ("line", "who"),
    [
        ("top pods --namespace=shop", "vera edith sam anna"),
        ("top pods --all-namespaces", "vera edith anna"),
        ("top nodes", "vera edith anna"),
    ],
)
async def test_top_is_for_whom_it_would_be_from_the_member(people: People, line: str, who: str) -> None:
    assert {name for name in USERS if (await people.ask(name, line)).code == 0} == set(who.split())
