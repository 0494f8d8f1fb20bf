"""Access tokens: what one may do, what ends it, and what is kept of it."""

import re
import stat
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from auth.access_tokens import (
    AccessToken,
    build_digest,
    build_owner_entry,
    load_access_tokens,
    new_secret,
    save_access_tokens,
)
from auth.authenticator import Authenticator, AuthOptions, open_authenticator
from auth.errors import FileInvalid, Unauthenticated
from auth.passwords import hash_password
from auth.users import User, save_users
from fleet.model.visibility import Role, Scope
from tests.fakes.waiting import until

PASSWORD = "secret of alice"
ALICE = User("alice", hash_password(PASSWORD), Scope(Role.EDIT, ("c*",), ("team-*",)), ("dev",), ("w.acme.io",))
SECRET = new_secret()
GOOD = f"name: a, owner: b, digest: '{build_digest(SECRET)}', owner_entry: x, role: view, created_at: 1"


def token(**changed: Any) -> AccessToken:
    kept = AccessToken("deploy", "alice", build_digest(SECRET), build_owner_entry(ALICE), "edit", int(time.time()))
    return replace(kept, **changed)


@dataclass(frozen=True)
class Opened:
    """An authenticator and the files that it reads."""

    authenticator: Authenticator
    users: Path
    tokens: Path

    async def is_told(self, why: str) -> bool:
        try:
            await self.authenticator.authenticate(f"Bearer {SECRET}")
        except Unauthenticated as error:
            return why in str(error)
        return False


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    users, tokens = tmp_path / "users", tmp_path / "tokens"
    save_users(users, [ALICE])
    save_access_tokens(tokens, [token()])
    administrator = ("openmcp", "keti")
    options = AuthOptions(b"k" * 32, users_file=users, tokens_file=tokens, administrator=administrator)
    async with open_authenticator(replace(options, poll_seconds=0.01)) as authenticator:
        yield Opened(authenticator, users, tokens)


async def test_a_token_acts_as_its_owner(opened: Opened) -> None:
    principal = await opened.authenticator.authenticate(f"Bearer {SECRET}")
    assert (principal.name, principal.groups, principal.writes) == ("alice", ("dev",), ("w.acme.io",))
    assert (principal.scope, principal.expires_at) == (ALICE.scope, None)


async def test_a_token_follows_its_owner(opened: Opened) -> None:
    """What the owner may not do any more, the token may not; what the owner gets, it has within its own bounds."""
    narrowed = replace(ALICE, scope=Scope(Role.VIEW, ("c1",)), writes=())
    save_users(opened.users, [narrowed])
    until_scope = Scope(Role.VIEW, ("c1",))

    async def follows() -> bool:
        return (await opened.authenticator.authenticate(f"Bearer {SECRET}")).scope == until_scope

    await until(follows)
    save_users(opened.users, [replace(ALICE, scope=Scope(Role.ADMIN), writes=())])
    until_scope = Scope(Role.EDIT)
    await until(follows)


def revoke(opened: Opened) -> None:
    save_access_tokens(opened.tokens, [])


def expire(opened: Opened) -> None:
    save_access_tokens(opened.tokens, [token(expires_at=int(time.time()))])


def remove_owner(opened: Opened) -> None:
    save_users(opened.users, [])


def set_password(opened: Opened) -> None:
    save_users(opened.users, [replace(ALICE, password_hash=hash_password(PASSWORD))])


def sign_out(opened: Opened) -> None:
    save_users(opened.users, [replace(ALICE, signed_out_at=1)])


@pytest.mark.parametrize(
    ("end", "why"),
    [
        (revoke, "is not known: it was revoked"),
        (expire, "has expired"),
        (remove_owner, "the owner of this access token does not exist any more"),
        (set_password, "a new password or a sign-out of its owner"),
        (sign_out, "a new password or a sign-out of its owner"),
    ],
)
async def test_what_ends_a_token_is_told(opened: Opened, end: Callable[[Opened], None], why: str) -> None:
    assert (await opened.authenticator.authenticate(f"Bearer {SECRET}")).name == "alice"
    end(opened)
    await until(lambda: opened.is_told(why))


@pytest.mark.parametrize(
    ("secret", "why"),
    [
        (new_secret(), "is not known"),
        (SECRET[:-1], "is not whole"),
        (f"{SECRET}0", "is not whole"),
        (SECRET.swapcase().replace("OMCP_", "omcp_"), "is not whole"),
        ("omcp_", "is not whole"),
        ("omcp_é", "is not whole"),
    ],
    ids=["unknown", "short", "long", "other letters", "empty", "no ASCII"],
)
async def test_what_is_no_token_is_refused(opened: Opened, secret: str, why: str) -> None:
    with pytest.raises(Unauthenticated, match=why):
        await opened.authenticator.authenticate(f"Bearer {secret}")


async def test_a_token_is_not_changed_for_one_that_is_not_listed(opened: Opened) -> None:
    with pytest.raises(Unauthenticated, match="an access token is not renewed"):
        opened.authenticator.renew(f"Bearer {SECRET}")


async def test_a_file_that_is_odd_for_a_moment_revokes_nothing(opened: Opened) -> None:
    async def is_reported() -> bool:
        return opened.authenticator.problem is not None

    for odd in ("", "- name: deploy\n", "[", "{}\n"):
        opened.tokens.write_text(odd)
        await until(is_reported)
        assert f"tokens file {opened.tokens}" in str(opened.authenticator.problem)
        assert (await opened.authenticator.authenticate(f"Bearer {SECRET}")).name == "alice"
        save_access_tokens(opened.tokens, [token()])
        await until(is_well(opened))


def is_well(opened: Opened) -> Callable[[], Any]:
    async def check() -> bool:
        return opened.authenticator.problem is None

    return check


async def test_a_server_without_a_tokens_file_knows_none() -> None:
    async with open_authenticator(AuthOptions(b"k" * 32, administrator=("openmcp", "keti"))) as authenticator:
        with pytest.raises(Unauthenticated, match="is not known"):
            await authenticator.authenticate(f"Bearer {SECRET}")


def test_a_token_is_recognised_and_is_never_another() -> None:
    secrets = {new_secret() for _ in range(1000)}
    assert len(secrets) == 1000
    assert all(re.fullmatch(r"omcp_[0-9A-Za-z]{36}", secret) for secret in secrets)


def test_what_is_saved_is_what_is_loaded_and_says_nothing_of_the_secret(tmp_path: Path) -> None:
    path = tmp_path / "tokens"
    tokens = [token(), token(name="other", digest=build_digest(new_secret()), expires_at=7, clusters=("c1",))]
    save_access_tokens(path, tokens)
    assert load_access_tokens(path) == tokens
    assert SECRET not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("- 7\n", "entry 1: Expected `object`, got `int`"),
        ("- {name: a, extra: 1}\n", "entry 1: Object contains unknown field `extra`"),
        ("- {name: a, owner: b, digest: keti}\n", r"entry 1: Expected `str` matching regex .* at `\$.digest`"),
        (f"- {{{GOOD}, cluster_labels: 'env in'}}\n", "entry 1: cluster_labels: label selector"),
        (f"- {{{GOOD}, cluster_labels: ''}}\n", "entry 1: cluster_labels: must be a label selector"),
        ("{a: b}\n", "must be a list of tokens, is a dict"),
        ("- [\n", "not YAML"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "tokens").write_text(content)
    with pytest.raises(FileInvalid, match=f"tokens file .*{said}"):
        load_access_tokens(tmp_path / "tokens")


def test_a_token_that_is_there_twice_is_named(tmp_path: Path) -> None:
    save_access_tokens(tmp_path / "tokens", [token(), token(digest=build_digest("another"))])
    with pytest.raises(FileInvalid, match="token 'deploy' is there twice"):
        load_access_tokens(tmp_path / "tokens")


NAMES = st.text("ab", min_size=1, max_size=3)
PATTERNS = st.lists(st.sampled_from(["*", "a*", "*b", "a", "?b", "ab", "[ab]"]), max_size=2).map(tuple)
SELECTORS = st.sampled_from(["", "env=prod", "env!=prod", "tier"])
SCOPES = st.builds(
    lambda role, clusters, namespaces, labels: Scope(role, clusters, namespaces, cluster_labels=labels),
    st.sampled_from(list(Role)),
    PATTERNS,
    PATTERNS,
    SELECTORS,
)
LABELS = st.dictionaries(NAMES, st.sampled_from([{}, {"env": "prod"}, {"env": "dev", "tier": "1"}]))


@given(owner=SCOPES, asked=SCOPES, again=SCOPES, cluster=NAMES, namespace=NAMES, labels=LABELS)
def test_a_narrowed_scope_reaches_what_all_do(
    owner: Scope, asked: Scope, again: Scope, cluster: str, namespace: str, labels: dict[str, dict[str, str]]
) -> None:
    all_of_them = [scope.resolve(labels) for scope in (owner, asked, again)]
    narrowed = owner.narrow(asked).narrow(again)
    assert narrowed.goes_by_labels is any(scope.cluster_labels for scope in all_of_them)
    narrowed = narrowed.resolve(labels)
    assert narrowed.role is min(scope.role for scope in all_of_them)
    assert narrowed.sees_cluster(cluster) is all(scope.sees_cluster(cluster) for scope in all_of_them)
    sees = all(scope.names_namespace(cluster, namespace) for scope in all_of_them)
    assert narrowed.names_namespace(cluster, namespace) is sees
    assert narrowed.names_all_namespaces(cluster) is all(scope.names_all_namespaces(cluster) for scope in all_of_them)
    assert narrowed.reaches_all_clusters is all(
        "*" in scope.clusters and not scope.cluster_labels for scope in all_of_them
    )


@pytest.mark.parametrize(
    ("selector", "reached"),
    [
        ("env=prod", {"c1"}),
        ("env!=prod", {"c2", "c3"}),
        ("env in (prod, dev), tier", {"c2"}),
        ("env=test", set()),
    ],
)
def test_labels_decide_as_a_selector_does_and_reach_nothing_until_they_are_known(
    selector: str, reached: set[str]
) -> None:
    labels = {"c1": {"env": "prod"}, "c2": {"env": "dev", "tier": "1"}, "c3": {}}
    scope = Scope(Role.VIEW, ("c*",), cluster_labels=selector)
    assert {name for name in labels if scope.names_namespace(name, "a")} == set()
    resolved = scope.resolve(labels)
    assert {name for name in labels if resolved.names_namespace(name, "a")} == reached
    assert not resolved.reaches_all_clusters
    together = Scope(Role.VIEW, ("c3",), also=(scope,)).resolve(labels)
    assert {name for name in labels if together.sees_cluster(name)} == reached | {"c3"}
