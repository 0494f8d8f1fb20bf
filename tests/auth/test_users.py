"""The users file: what is read, what is refused and how it is written."""

import stat
from pathlib import Path
from typing import Any

import pytest

from auth.errors import FileInvalid
from auth.passwords import hash_password
from auth.users import User, load_users, parse_users, save_users
from fleet.model.visibility import Role, Scope

HASH = hash_password("correct horse")


def entry(**changed: Any) -> dict[str, Any]:
    kept = {"name": "alice", "password_hash": HASH, "role": "view"} | changed
    return {name: value for name, value in kept.items() if value is not None}


def test_an_entry_without_patterns_reaches_everything() -> None:
    users = parse_users([entry()], "users.yaml")

    assert users["alice"].scope == Scope(Role.VIEW, ("*",), ("*",))
    assert users["alice"].groups == ()


def test_an_entry_is_limited_by_its_patterns() -> None:
    users = parse_users([entry(role="edit", clusters=["c*"], namespaces=["a", "b-*"], groups=["dev"])], "users.yaml")

    assert users["alice"].scope == Scope(Role.EDIT, ("c*",), ("a", "b-*"))
    assert users["alice"].groups == ("dev",)


@pytest.mark.parametrize(
    ("content", "parts"),
    [
        ([entry(role="root")], ["user 'alice': role: is 'root', must be one of view, edit, admin"]),
        ([entry(role=["view"])], ["user 'alice': role:"]),
        ([entry(password_hash="keti")], ["user 'alice': password_hash: must be an argon2id hash"]),
        ([entry(password_hash="$argon2i$v=19$m=65536,t=3,p=4$c29tZXNhbHQ$aGFzaA")], ["user 'alice': password_hash"]),
        ([entry(cluster_labels="env in")], ["user 'alice': cluster_labels: label selector, character 7"]),
        ([entry(cluster_labels=" ")], ["user 'alice': cluster_labels: must be a label selector"]),
        ([entry(cluster_labels=["a"])], ["user 'alice': cluster_labels: must be a label selector"]),
        ([entry(clusters="*")], ["user 'alice': clusters: must be a list"]),
        ([entry(namespaces=["a", 7])], ["user 'alice': namespaces: must be a list"]),
        ([entry(role="edit", writes=["*"])], ["user 'alice': writes: must be names as kubectl takes them"]),
        ([entry(role="view", writes=["widgets.acme.io"])], ["user 'alice': writes: adds to role edit alone"]),
        ([entry(namespace=["a"])], ["user 'alice': namespace: is not known"]),
        ([entry(), entry()], ["user 'alice': name: is there twice"]),
        ([entry(), entry(name=None)], ["entry 2: name: must be a text"]),
        (["alice"], ["entry 1: must be a mapping, is a str"]),
        ({"users": []}, ["must be a list of users, is a dict"]),
        ([entry(role="x"), entry(name="bob", role="y")], ["user 'alice': role", "user 'bob': role"]),
    ],
)
def test_a_wrong_entry_names_file_user_and_field(content: object, parts: list[str]) -> None:
    with pytest.raises(FileInvalid) as raised:
        parse_users(content, "users.yaml")

    assert all(part in str(raised.value) for part in ["users file users.yaml", *parts])
    assert "keti" not in str(raised.value)


@pytest.mark.parametrize("content", ["- name: [", "- \x00", "\t- a", "[" * 3000])
def test_a_file_that_is_not_yaml_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "users.yaml"
    path.write_text(content)

    with pytest.raises(FileInvalid, match="not YAML"):
        load_users(path)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileInvalid, match=r"users file .*nowhere.*: No such file"):
        load_users(tmp_path / "nowhere")


def test_what_is_saved_is_what_is_loaded_and_only_its_owner_reads_it(tmp_path: Path) -> None:
    path = tmp_path / "users.yaml"
    users = [
        User("alice", HASH, Scope(Role.EDIT, ("c*",), ("a",)), ("dev",), ("*.acme.io",)),
        User("한글", HASH, Scope(Role.VIEW, cluster_labels="env=prod")),
    ]

    save_users(path, users)

    assert list(load_users(path).values()) == users
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [other.name for other in tmp_path.iterdir()] == ["users.yaml"]


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "real.yaml").write_text("[]")
    link = tmp_path / "users.yaml"
    link.symlink_to("real.yaml")

    save_users(link, [User("alice", HASH, Scope(Role.VIEW))])

    assert link.is_symlink()
    assert list(load_users(tmp_path / "real.yaml")) == ["alice"]


def test_a_hash_is_in_no_repr() -> None:
    assert HASH not in repr(User("alice", HASH, Scope(Role.VIEW)))


def test_entries_of_who_signs_in_elsewhere_are_saved_and_loaded(tmp_path: Path) -> None:
    path = tmp_path / "users.yaml"
    path.write_text("[{name: bob@example.org, role: edit}, {group: devs, role: view, clusters: [c1]}]")

    users = load_users(path)
    save_users(path, users.values())

    assert load_users(path) == users
    assert users["bob@example.org"].password_hash == ""
    assert users["group devs"] == User("devs", "", Scope(Role.VIEW, ("c1",)), is_group=True)


@pytest.mark.parametrize(
    ("wrong", "part"),
    [
        ({"group": "", "role": "view"}, "entry 1: group: must be a text"),
        ({"group": "devs"}, "group 'devs': role"),
        ({"group": "devs", "role": "view", "password_hash": HASH}, "group 'devs': password_hash: is not known"),
        ({"group": "devs", "name": "devs", "role": "view"}, "group 'devs': name: is not known"),
        ({"name": "bob", "role": "view", "password_hash": None}, "user 'bob': password_hash: must be an argon2id hash"),
    ],
)
def test_a_wrong_entry_of_who_signs_in_elsewhere_is_named(wrong: dict[str, Any], part: str) -> None:
    with pytest.raises(FileInvalid, match=part):
        parse_users([wrong], "users.yaml")
