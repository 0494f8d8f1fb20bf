"""A user whose pattern of clusters matches none is told to operators."""

from pathlib import Path

import pytest

from auth.passwords import hash_password
from auth.users import User, save_users
from fleet.model.visibility import Role, Scope
from server.reach import find_unmatched
from tests.server.test_serve import ask, environ, open_process


def build_user(*patterns: str) -> User:
    return User("kim", hash_password("a long password"), Scope(Role.VIEW, patterns))


@pytest.mark.parametrize(
    ("clusters", "patterns"), [(["c1", "openmcp"], ["clster1", "C1"]), (["C1"], ["c*", "clster1"]), ([], [])]
)
def test_patterns_that_match_no_cluster_are_found(clusters: list[str], patterns: list[str]) -> None:
    found = find_unmatched([build_user("c*", "clster1", "C1")], clusters)
    assert [line.split("'")[3] for line in found] == patterns


def test_labels_that_match_no_cluster_are_found() -> None:
    users = [User(name, "", Scope(Role.VIEW, cluster_labels=f"env={name}")) for name in ("prod", "test")]
    labels = {"c1": {"env": "prod"}, "c2": {}}
    found = find_unmatched(users, labels, labels)
    assert [line.partition(";")[0] for line in found] == ["user 'test': the labels 'env=test' match no cluster"]


async def test_a_server_says_it_once_for_each_pattern(tmp_path: Path) -> None:
    users = tmp_path / "users.yaml"
    save_users(users, [build_user("clster*", "d*")])
    variables = environ(tmp_path, OPENMCP_USERS_FILE=str(users))
    said: list[str] = []
    async with open_process(variables) as process:
        assert process.stderr is not None
        await ask(f"http://127.0.0.1:{variables['OPENMCP_PORT']}/readyz")
        while not said or "server.reach" not in said[-1]:
            said.append((await process.stderr.readline()).decode())
        save_users(users, [build_user("clster*", "cluster1", "d*")])
        while "cluster1" not in said[-1]:
            said.append((await process.stderr.readline()).decode())

    told = [line.partition("server.reach: ")[2] for line in said if "server.reach" in line]
    assert told == [
        "user 'kim': the pattern 'clster*' matches no cluster; there are dead\n",
        "user 'kim': the pattern 'cluster1' matches no cluster; there are dead\n",
    ]
