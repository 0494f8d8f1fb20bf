"""Users' roles from the command line, and passwords from standard input."""

from pathlib import Path

import pytest
from argon2 import PasswordHasher
from click.testing import CliRunner, Result

from auth.users import load_users
from fleet.model.visibility import Role, Scope
from server.commands.main import main

PASSWORD = "a long password"


def run(path: Path, *arguments: str, typed: str | None = None) -> Result:
    where = ("--file", str(path / "users.yaml"))
    return CliRunner().invoke(main, ["user", *arguments, *where], input=typed, env={"OPENMCP_PASSWORD": None})


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Kim may edit in two namespaces of clusters of production."""
    reach = ("--namespace", "shop", "--namespace", "web-*", "--cluster-labels", "env=prod", "--cluster", "c*")
    added = run(tmp_path, "add", "kim", "--role", "edit", *reach, "--password-stdin", typed=f"{PASSWORD}\nmore\n")
    assert added.exit_code == 0, added.output
    assert run(tmp_path, "add", "devs", "--role", "view", "--as-group").exit_code == 0
    return tmp_path


def test_the_first_line_of_standard_input_is_the_password(folder: Path) -> None:
    assert PasswordHasher().verify(load_users(folder / "users.yaml")["kim"].password_hash, PASSWORD)
    empty = run(folder, "passwd", "kim", "--password-stdin", typed="\n")
    assert (empty.exit_code, empty.output.strip()) == (2, "Error: standard input has no password in its first line")


def test_a_role_is_changed_and_what_is_not_named_stays(folder: Path) -> None:
    before = load_users(folder / "users.yaml")["kim"]
    assert run(folder, "set-role", "kim", "admin").output == "user kim has role admin\n"
    after = load_users(folder / "users.yaml")["kim"]
    assert after.scope == Scope(Role.ADMIN, ("c*",), ("shop", "web-*"), cluster_labels="env=prod")
    assert (after.password_hash, after.signed_out_at) == (before.password_hash, before.signed_out_at)

    assert run(folder, "set-role", "kim", "view", "--cluster", "d*", "--cluster-labels", "").exit_code == 0
    assert load_users(folder / "users.yaml")["kim"].scope == Scope(Role.VIEW, ("d*",), ("shop", "web-*"))
    assert run(folder, "set-role", "group devs", "edit").exit_code == 0
    assert "there is no user 'nobody'" in run(folder, "set-role", "nobody", "edit").output


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        ("delete pods --namespace shop --labels env=prod", "yes"),
        ("create deployments.apps --namespace web-1 --labels env=prod", "yes"),
        ("create pods/exec --namespace shop --labels env=prod", "yes"),
        ("delete pods --namespace shop --labels env=test", "no: user 'kim' does not reach cluster 'c1'"),
        ("list pods --labels env=prod", "no: user 'kim' is limited to the namespaces shop, web-*"),
        ("delete nodes --labels env=prod", "no: user 'kim' with role edit may not delete nodes"),
    ],
)
def test_what_a_user_may_do_is_said(folder: Path, asked: str, said: str) -> None:
    result = run(folder, "can-i", "kim", *asked.split(), "--cluster", "c1")
    assert result.output.startswith(said), result.output
    assert result.exit_code == (0 if said == "yes" else 1)


def test_a_group_of_an_issuer_gives_more(folder: Path) -> None:
    asked = ("can-i", "kim", "list", "pods", "--cluster", "c1", "--group")
    assert run(folder, *asked, "devs").output == "yes\n"
    assert "there is no user 'group others'" in run(folder, *asked, "others").output
