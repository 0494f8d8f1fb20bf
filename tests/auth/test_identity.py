"""What the users file gives to callers who signed in elsewhere."""

import time
from pathlib import Path

import pytest

from auth.access_tokens import AccessTokens
from auth.authenticator import Authenticator
from auth.directory import Directory, open_directory
from auth.errors import InvalidCredentials, Unauthenticated
from auth.identity import Identity
from auth.passwords import hash_password, open_passwords
from auth.policy import authorize_request
from auth.principal import Principal
from auth.tokens import Tokens
from auth.users import User, save_users
from fleet.model.errors import ClusterNotFound, Forbidden
from fleet.model.request_info import RequestInfo
from fleet.model.visibility import Role, Scope

PASSWORD = "correct horse"
KEY = b"a key for these tests, long enough"
TEAM_A = User("team-a", "", Scope(Role.EDIT, ("c1",), ("a",)), writes=("widgets.acme.io",), is_group=True)
TEAM_B = User("team-b", "", Scope(Role.EDIT, ("c2",), ("b",)), is_group=True)
READERS = User("readers", "", Scope(Role.VIEW), is_group=True)


class Vouching:
    """Takes a token for what it says: a name and groups, by commas."""

    problem = None

    def knows(self, token: str) -> bool:
        return "," in token

    async def load(self, token: str) -> Identity:
        name, *groups = token.split(",")
        return Identity(name, tuple(groups), issued_at=time.time())


async def identify(tmp_path: Path, token: str, *entries: User, default_role: Role | None = None) -> Principal:
    save_users(tmp_path / "users", entries)
    async with open_directory(tmp_path / "users", None) as directory:
        return await ask(directory, token, default_role)


async def ask(directory: Directory, token: str, default_role: Role | None) -> Principal:
    with open_passwords() as passwords:
        authenticator = Authenticator(Tokens(KEY), AccessTokens(None), directory, passwords, [Vouching()], default_role)
        return await authenticator.authenticate(f"Bearer {token}")


def may(principal: Principal, verb: str, resource: str, cluster: str, namespace: str | None, group: str = "") -> bool:
    try:
        authorize_request(principal, cluster, RequestInfo(verb, True, group, "v1", resource, None, namespace))
    except (Forbidden, ClusterNotFound):
        return False
    return True


async def test_an_entry_without_a_hash_is_for_who_signs_in_elsewhere(tmp_path: Path) -> None:
    bob = User("bob@example.org", "", Scope(Role.EDIT, ("c1",)))

    principal = await identify(tmp_path, "bob@example.org,devs", bob)

    assert (principal.name, principal.scope, principal.groups) == (bob.name, bob.scope, ("devs",))


async def test_an_entry_with_a_hash_is_not_for_who_is_called_so_elsewhere(tmp_path: Path) -> None:
    root = User("root", hash_password(PASSWORD), Scope(Role.ADMIN))
    for token in ("root,", "root,team-a"):
        with pytest.raises(
            Forbidden, match="'root', as you are called elsewhere, is the name of a user with a password"
        ):
            await identify(tmp_path, token, root, TEAM_A, default_role=Role.VIEW)


async def test_a_name_is_no_group_and_a_group_no_name(tmp_path: Path) -> None:
    with pytest.raises(Forbidden):
        await identify(tmp_path, "team-a,bob", TEAM_A, User("bob", "", Scope(Role.ADMIN)))
    async with open_directory(tmp_path / "users", None) as directory:
        assert directory.find_entries("group team-a", ["bob"]) == []


async def test_who_is_not_named_has_the_default_role(tmp_path: Path) -> None:
    principal = await identify(tmp_path, "eve,", READERS, default_role=Role.VIEW)

    assert principal.scope == Scope(Role.VIEW)


async def test_each_entry_gives_what_it_would_give_alone(tmp_path: Path) -> None:
    principal = await identify(tmp_path, "ann,team-b,team-a,readers,others", TEAM_A, TEAM_B, READERS)

    assert may(principal, "create", "pods", "c1", "a")
    assert may(principal, "create", "pods", "c2", "b")
    assert may(principal, "create", "widgets", "c1", "a", "acme.io")
    assert may(principal, "list", "pods", "c3", None)
    for beyond in (("create", "pods", "c1", "b"), ("create", "pods", "c2", "a"), ("create", "pods", "c3", "a")):
        assert not may(principal, *beyond)
    assert not may(principal, "create", "widgets", "c2", "b", "acme.io")
    assert principal.scope.names_all_namespaces("c3")


async def test_a_scope_of_several_reaches_no_cluster_by_anothers_namespaces(tmp_path: Path) -> None:
    scope = (await identify(tmp_path, "ann,team-a,team-b", TEAM_A, TEAM_B)).scope

    seen = {(c, n) for c in ("c1", "c2", "c3") for n in ("a", "b") if scope.names_namespace(c, n)}
    assert seen == {("c1", "a"), ("c2", "b")}
    assert [scope.sees_cluster(name) for name in ("c1", "c2", "c3")] == [True, True, False]
    assert not any(map(scope.names_all_namespaces, ("c1", "c2")))


async def test_a_cluster_that_one_entry_reaches_is_refused_with_words(tmp_path: Path) -> None:
    principal = await identify(tmp_path, "ann,team-a,team-b", TEAM_A, TEAM_B)

    with pytest.raises(Forbidden, match="limited to the namespaces b"):
        authorize_request(principal, "c2", RequestInfo("list", True, "", "v1", "pods", None, None))
    with pytest.raises(ClusterNotFound):
        authorize_request(principal, "c3", RequestInfo("list", True, "", "v1", "pods", None, None))


async def test_a_sign_out_ends_tokens_of_before(tmp_path: Path) -> None:
    bob = User("bob", "", Scope(Role.EDIT), signed_out_at=int(time.time()) + 600)

    with pytest.raises(Unauthenticated, match="ended by a sign-out"):
        await identify(tmp_path, "bob,", bob)


async def test_nobody_signs_in_by_password_to_an_entry_without_one(tmp_path: Path) -> None:
    save_users(tmp_path / "users", [User("bob", "", Scope(Role.EDIT))])
    async with open_directory(tmp_path / "users", None) as directory:
        with open_passwords() as passwords:
            for password in ("", " ", "bob"):
                with pytest.raises(InvalidCredentials):
                    await Authenticator(Tokens(KEY), AccessTokens(None), directory, passwords).login("bob", password)
