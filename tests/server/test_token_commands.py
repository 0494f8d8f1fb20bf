"""`openmcp-apiserver token`: what it writes, prints and refuses."""

import asyncio
import time
from pathlib import Path

import pytest

from auth.access_tokens import load_access_tokens
from auth.authenticator import AuthOptions, open_authenticator
from auth.users import load_users
from fleet.model.visibility import Role, Scope
from tests.processes import COMMAND
from tests.server.test_cli import run

DAY = 24 * 3600


@pytest.fixture
def users(tmp_path: Path) -> Path:
    path = tmp_path / "users"
    limits = ("--cluster", "c*", "--namespace", "team-a")
    assert run("user", "add", "alice", "--role", "edit", *limits, "--file", str(path)).exit_code == 0
    return path


def build_environment(users: Path) -> dict[str, str | None]:
    return {"OPENMCP_USERS_FILE": str(users), "OPENMCP_TOKENS_FILE": str(users.with_name("tokens"))}


async def test_a_token_is_printed_once_and_counts(users: Path) -> None:
    environment, path = build_environment(users), users.with_name("tokens")
    made = run("token", "create", "deploy", "--owner", "alice", "--cluster", "c1", "--expires-in", "90d", **environment)
    secret = made.stdout.strip()
    assert (made.exit_code, "keep it now" in made.stderr) == (0, True)
    options = AuthOptions(b"k" * 32, users_file=users, tokens_file=path)
    async with open_authenticator(options) as authenticator:
        principal = await authenticator.authenticate(f"Bearer {secret}")
    assert (principal.name, principal.scope.role) == ("alice", Role.VIEW)
    assert [principal.scope.names_namespace(at, "team-a") for at in ("c1", "c2")] == [True, False]
    assert abs((principal.expires_at or 0) - time.time() - 90 * DAY) < DAY

    listed = run("token", "list", **environment)
    assert "deploy  alice  view  c1        *" in listed.stdout
    assert secret not in listed.output + path.read_text()

    again = run("token", "create", "deploy", "--owner", "alice", "--expires-in", "never", **environment)
    assert (again.exit_code, "is there already" in again.output) == (2, True)
    assert run("token", "revoke", "deploy", **environment).exit_code == 0
    assert load_access_tokens(path) == []


async def test_the_administrator_of_the_environment_has_tokens_too(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    names = {"API_USER_NAME": "openmcp", "API_USER_PW": "keti", "OPENMCP_TOKENS_FILE": str(path)}
    made = run("token", "create", "ci", "--owner", "openmcp", "--expires-in", "never", **names)
    options = AuthOptions(b"k" * 32, administrator=("openmcp", "keti"), tokens_file=path)
    async with open_authenticator(options) as authenticator:
        principal = await authenticator.authenticate(f"Bearer {made.stdout.strip()}")
    assert (principal.name, principal.scope, principal.expires_at) == ("openmcp", Scope(Role.VIEW), None)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["create", "a", "--owner", "bob", "--expires-in", "1d"], "there is no user 'bob' in"),
        (["create", "a", "--owner", "alice", "--expires-in", "soon"], "must be a duration such as 90d"),
        (["create", "a", "--owner", "alice", "--expires-in", "0s"], "must be a duration such as 90d"),
        (["create", "a", "--owner", "alice"], "Missing option '--expires-in'"),
        (["create", "a", "--owner", "alice", "--expires-in", "1d", "--role", "admin"], "has role edit"),
        (["create", "a", "--owner", "alice", "--expires-in", "1d", "--cluster", "d1"], "does not reach cluster 'd1'"),
        (["create", "a", "--owner", "alice", "--expires-in", "1d", "--namespace", "b"], "not reach namespace 'b'"),
        (
            ["create", "a", "--owner", "alice", "--expires-in", "1d", "--cluster-labels", "env in"],
            "label selector, character 7",
        ),
        (["create", " ", "--owner", "alice", "--expires-in", "1d"], "1 to 100 printable characters"),
        (["create", "a\n", "--owner", "alice", "--expires-in", "1d"], "1 to 100 printable characters"),
        (["list"], "No such file"),
        (["revoke", "a"], "No such file"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(users: Path, arguments: list[str], said: str) -> None:
    result = run("token", *arguments, **build_environment(users))
    assert (result.exit_code, said in result.output) == (2, True), result.output
    assert not users.with_name("tokens").exists()


def test_reach_by_labels_is_written_and_listed(users: Path) -> None:
    environment = build_environment(users)
    by_labels = ("--cluster-labels", "env=prod")
    made = run("token", "create", "a", "--owner", "alice", "--expires-in", "never", *by_labels, **environment)
    added = run("user", "add", "bob", "--role", "view", *by_labels, "--file", str(users))
    assert (made.exit_code, added.exit_code) == (0, 0)
    for listed in (run("token", "list", **environment), run("user", "list", "--file", str(users))):
        assert "* (env=prod)" in listed.stdout
    assert load_access_tokens(users.with_name("tokens"))[0].scope.cluster_labels == "env=prod"
    assert load_users(users)["bob"].scope.cluster_labels == "env=prod"
    for selector in ("env in", ""):  # as of a variable that is not set: that is no reach to all
        wrong = run("user", "add", "eve", "--role", "view", "--cluster-labels", selector, "--file", str(users))
        assert (wrong.exit_code, f"--cluster-labels is {selector!r}" in wrong.output) == (2, True)


def test_a_token_that_is_not_there_revokes_none(users: Path) -> None:
    environment = build_environment(users)
    run("token", "create", "a", "--owner", "alice", "--expires-in", "never", **environment)
    result = run("token", "revoke", "a", "b", **environment)
    assert (result.exit_code, "there is no token 'b'" in result.output) == (2, True)
    assert len(load_access_tokens(users.with_name("tokens"))) == 1


async def test_of_many_writers_none_loses_what_another_wrote(users: Path) -> None:
    """Each reads, changes and writes the whole file."""
    environment = {name: value or "" for name, value in build_environment(users).items()}
    lines = [
        *(["token", "create", f"t{number}", "--owner", "alice", "--expires-in", "1d"] for number in range(4)),
        *(["user", "add", f"u{number}", "--role", "view"] for number in range(3)),
    ]
    environment["OPENMCP_PASSWORD"] = "a long password"
    processes = [
        await asyncio.create_subprocess_exec(COMMAND, *line, env=environment, stdout=asyncio.subprocess.DEVNULL)
        for line in lines
    ]
    assert [await process.wait() for process in processes] == [0] * len(lines)
    assert len(load_access_tokens(users.with_name("tokens"))) == 4
    listed = run("user", "list", "--file", str(users)).stdout
    assert [f"u{number}" in listed for number in range(3)] == [True] * 3
