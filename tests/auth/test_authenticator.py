"""Signing in, and what a token is worth while the users file changes."""

import asyncio
import contextlib
import os
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import argon2
import jwt
import pytest
from msgspec.structs import replace

from auth.attempts import FREE_OF_A_PAIR
from auth.authenticator import Authenticator, AuthOptions, open_authenticator
from auth.directory import Directory
from auth.errors import FileInvalid, IdentityUnavailable, InvalidCredentials, TooManyLogins, Unauthenticated
from auth.passwords import MAX_WAITING_OF_AN_ADDRESS, THREADS, hash_password
from auth.users import User, save_users
from fleet.aio.tasks import end_tasks
from fleet.model.errors import ClusterTimeout
from fleet.model.visibility import Role, Scope
from tests.fakes.waiting import until

KEY = b"0123456789abcdef0123456789abcdef"
HASH = hash_password("secret of alice")


def options(path: Path | None = None) -> AuthOptions:
    return AuthOptions(signing_key=KEY, users_file=path, administrator=("openmcp", "keti"), poll_seconds=0.01)


def write(path: Path, *users: User) -> Path:
    save_users(path, users)
    return path


def alice(role: Role = Role.VIEW) -> User:
    return User("alice", HASH, Scope(role, ("c1",), ("a",)), ("dev",))


async def reported(authenticator: Authenticator) -> bool:
    return authenticator.problem is not None


async def mended(authenticator: Authenticator) -> bool:
    return authenticator.problem is None


def sign(**times: int) -> str:
    """A token of alice's as others sign it who have the key."""
    claims = {"user": "alice", "exp": int(time.time()) + 60, **times}
    return f"Bearer {jwt.encode(claims, KEY, algorithm='HS256')}"


async def refused(authenticator: Authenticator, token: str, why: str = "does not exist any more") -> bool:
    try:
        await authenticator.authenticate(token)
    except Unauthenticated as error:
        return why in str(error)
    return False


async def has_role(authenticator: Authenticator, token: str, role: Role) -> bool:
    return (await authenticator.authenticate(token)).scope.role is role


async def bearer(authenticator: Authenticator, name: str = "alice") -> str:
    return f"Bearer {await authenticator.login(name, {'alice': 'secret of alice', 'openmcp': 'keti'}[name])}"


async def test_the_administrator_of_the_environment_reaches_everything() -> None:
    async with open_authenticator(options()) as authenticator:
        principal = await authenticator.authenticate(await bearer(authenticator, "openmcp"))

    assert (principal.name, principal.scope) == ("openmcp", Scope(Role.ADMIN))
    assert principal.expires_at is not None


async def test_a_user_of_the_file_has_their_scope_and_groups(tmp_path: Path) -> None:
    async with open_authenticator(options(write(tmp_path / "users", alice()))) as authenticator:
        principal = await authenticator.authenticate(await bearer(authenticator))

    assert (principal.scope, principal.groups) == (alice().scope, ("dev",))


@pytest.mark.parametrize(
    ("name", "password"),
    [
        ("alice", "wrong"),
        ("nobody", "secret of alice"),
        ("openmcp", ""),
        ("", ""),
        ("", "keti"),
        ("openmcp", "keti\ud800"),
        ("openmcp", "k" * 5000),
    ],
)
async def test_wrong_credentials_are_refused_alike(tmp_path: Path, name: str, password: str) -> None:
    async with open_authenticator(options(write(tmp_path / "users", alice()))) as authenticator:
        with pytest.raises(InvalidCredentials, match=r"^invalid_credentials$"):
            await authenticator.login(name, password)


async def test_the_empty_password_of_the_placeholder_opens_nothing() -> None:
    async with open_authenticator(options()) as authenticator:
        for name in ("nobody", "openmcp"):
            with pytest.raises(InvalidCredentials):
                await authenticator.login(name, "")


async def test_a_flood_of_sign_ins_is_bounded() -> None:
    async with open_authenticator(options()) as authenticator:
        names = [f"{number}" for number in range(MAX_WAITING_OF_AN_ADDRESS + THREADS + 5)]
        logins = [authenticator.login(name, "wrong", address="a") for name in names]
        outcomes = await asyncio.gather(*logins, return_exceptions=True)

    assert [type(outcome) for outcome in outcomes].count(TooManyLogins) == 5


async def test_clients_that_never_stop_delay_nobody_at_another_address() -> None:
    """200 with names and passwords of their own each time, while somebody else signs in, within a second each."""

    async def attack(number: int) -> None:
        while True:
            with contextlib.suppress(InvalidCredentials, TooManyLogins):
                await authenticator.login(f"{number} {time.monotonic()}", "wrong", address="attacker")
            await asyncio.sleep(0.05)  # 4,000 a second, more than arrive by HTTP

    async with open_authenticator(options()) as authenticator:
        attackers = [asyncio.create_task(attack(number)) for number in range(200)]
        took = []
        for number in range(5):
            began = time.monotonic()
            with pytest.raises(InvalidCredentials):  # which costs an argon2 each time
                await authenticator.login("openmcp", f"mistyped {number}", address=f"own {number}")
            took.append(time.monotonic() - began)
        await end_tasks(*attackers)
    assert max(took) < 1.0


async def test_guesses_of_one_user_s_password_are_not_looked_at_at_full_speed() -> None:
    async with open_authenticator(options()) as authenticator:
        guesses = [authenticator.login("openmcp", f"guess {number}", address="a") for number in range(150)]
        outcomes = await asyncio.gather(*guesses, return_exceptions=True)
        assert [type(outcome) for outcome in outcomes].count(InvalidCredentials) == FREE_OF_A_PAIR
        with pytest.raises(TooManyLogins):
            await authenticator.login("openmcp", "keti", address="a")
        assert await authenticator.login("openmcp", "keti", address="another")


async def test_many_sign_ins_at_once_with_the_right_password_are_no_guesses() -> None:
    """As the portals have them, one before each call."""
    async with open_authenticator(options()) as authenticator:
        tokens = await asyncio.gather(*(authenticator.login("openmcp", "keti", address="portal") for _ in range(100)))
    assert len(tokens) == 100


async def test_an_unknown_name_takes_as_long_as_a_dear_hash(tmp_path: Path) -> None:
    dear = argon2.PasswordHasher(time_cost=4, memory_cost=64 * 1024, parallelism=1).hash("secret of alice")
    path = write(tmp_path / "users", User("alice", dear, Scope(Role.VIEW)))

    async def time_login(name: str, number: int) -> float:
        began = time.process_time()  # which others on this machine do not lengthen
        with pytest.raises(InvalidCredentials):
            await authenticator.login(name, "wrong", address=f"{number}")
        return time.process_time() - began

    async with open_authenticator(AuthOptions(KEY, users_file=path)) as authenticator:
        took = [[await time_login(name, number) for name in ("alice", "nobody")] for number in range(5)]
    known, unknown = map(min, zip(*took, strict=True))
    assert 0.5 < known / unknown < 2


async def test_a_removed_user_s_token_stops_to_count(tmp_path: Path) -> None:
    path = write(tmp_path / "users", alice())
    async with open_authenticator(options(path)) as authenticator:
        token = await bearer(authenticator)
        write(path)
        await until(lambda: refused(authenticator, token))


@pytest.mark.parametrize("changed", ["password", "same password", "signed out", "removed and added"])
async def test_tokens_of_before_end_and_new_ones_count(tmp_path: Path, changed: str) -> None:
    path = write(tmp_path / "users", alice())
    async with open_authenticator(options(path)) as authenticator:
        old = await bearer(authenticator)
        renewed = f"Bearer {authenticator.renew(old)}"
        foreign = sign(iat=int(time.time()))
        assert [(await authenticator.authenticate(token)).name for token in (foreign, sign())] == ["alice"] * 2
        if changed == "removed and added":
            write(path)
            await until(lambda: refused(authenticator, old))
        end, given = int(time.time()), "another" if changed == "password" else "secret of alice"
        password_hash = HASH if changed == "signed out" else hash_password(given)
        write(path, replace(alice(), password_hash=password_hash, signed_out_at=end))
        for token in (old, renewed, foreign):
            await until(partial(refused, authenticator, token, "new password or a sign-out"))
        new = f"Bearer {await authenticator.login('alice', given)}"
        assert (await authenticator.authenticate(new)).name == "alice"
        assert (await authenticator.authenticate(sign(iat=end + 1))).name == "alice"


async def test_the_administrator_s_tokens_count_in_every_process_with_the_password() -> None:
    async with open_authenticator(options()) as one, open_authenticator(options()) as other:
        assert (await other.authenticate(await bearer(one, "openmcp"))).name == "openmcp"
    changed = AuthOptions(KEY, administrator=("openmcp", "another password"))
    async with open_authenticator(options()) as one, open_authenticator(changed) as other:
        assert await refused(other, await bearer(one, "openmcp"), "new password or a sign-out")


async def test_a_changed_role_counts_for_tokens_that_are_out(tmp_path: Path) -> None:
    path = write(tmp_path / "users", alice(Role.ADMIN))
    async with open_authenticator(options(path)) as authenticator:
        token = await bearer(authenticator)
        write(path, alice(Role.VIEW))
        await until(lambda: has_role(authenticator, token, Role.VIEW))


async def test_a_broken_file_keeps_the_last_good_users_and_is_reported(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "users", alice())
    async with open_authenticator(options(path)) as authenticator:
        path.write_text("- name: alice\n  role: root\n")
        await until(lambda: reported(authenticator))
        await authenticator.authenticate(await bearer(authenticator))

        assert "user 'alice': role: is 'root'" in str(authenticator.problem)
        assert "stay in force" in caplog.text

        write(path, alice())
        await until(lambda: mended(authenticator))


async def test_a_file_that_vanishes_keeps_the_last_good_users_and_is_reported_once(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = write(tmp_path / "users", alice())
    async with open_authenticator(options(path)) as authenticator:
        path.unlink()
        await until(lambda: reported(authenticator))
        await authenticator.authenticate(await bearer(authenticator))
        await asyncio.gather(*(authenticator.login("openmcp", "keti") for _ in range(4)))

    assert caplog.text.count("stay in force") == 1


def make_odd(path: Path, odd: str) -> None:
    path.unlink()
    match odd:
        case "a named pipe":
            os.mkfifo(path)
        case "a folder":
            path.mkdir()
        case "a link to nothing":
            path.symlink_to("nowhere")
        case _:
            path.write_bytes({"empty": b"", "a comment": b"# being written", "not UTF-8": b"\xff\xfe\xfd"}[odd])


ODD = ("a named pipe", "a folder", "a link to nothing", "empty", "a comment", "not UTF-8")


@pytest.mark.parametrize("odd", ODD)
async def test_a_file_that_is_odd_for_a_moment_signs_nobody_out(tmp_path: Path, odd: str) -> None:
    path = write(tmp_path / "users", alice())
    async with open_authenticator(options(path)) as authenticator:
        token = await bearer(authenticator)
        make_odd(path, odd)
        await until(lambda: reported(authenticator))
        assert (await authenticator.authenticate(token)).name == "alice"
        if path.is_dir():
            path.rmdir()
        else:
            path.unlink(missing_ok=True)
        write(path)
        await until(lambda: mended(authenticator))
        assert await refused(authenticator, token)


class DeadMount(type(Path())):  # type: ignore[misc]  # the system's own kind of path
    """A path below a mount whose server may be gone: then whoever looks at it waits."""

    answers = threading.Event()

    def stat(self, **given: Any) -> Any:
        self.answers.wait()
        return super().stat(**given)


async def test_a_dead_mount_ends_no_watching(tmp_path: Path) -> None:
    path = DeadMount(write(tmp_path / "users", alice()))
    path.answers.set()
    directory = Directory(path, None, hanging_seconds=0.05)
    assert directory.file is not None
    await directory.file.load()
    path.answers.clear()
    await directory.file.reload()
    assert (directory.get_user("alice") is not None, directory.problem) == (
        True,
        f"users file {path}: can't be read, since it does not answer: is its mount gone?",
    )
    with pytest.raises(FileInvalid, match="does not answer"):
        await directory.file.load()
    path.answers.set()
    write(path)
    await directory.file.reload()
    assert (directory.get_user("alice"), directory.problem) == (None, None)


async def test_a_file_that_is_wrong_at_the_start_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text("- alice\n")
    with pytest.raises(FileInvalid, match="entry 1: must be a mapping"):
        async with open_authenticator(options(path)):
            pass


async def test_a_user_named_as_the_administrator_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "users", User("openmcp", HASH, Scope(Role.VIEW)))
    with pytest.raises(FileInvalid, match="user 'openmcp': name: is also the administrator's"):
        async with open_authenticator(options(path)):
            pass


def test_no_secret_is_in_the_repr_of_options() -> None:
    assert "keti" not in repr(options())
    assert KEY.decode() not in repr(options())


async def test_a_token_is_renewed_until_a_day_after_the_password_was_given() -> None:
    now = int(time.time())

    def signed(**times: int) -> str:
        return f"Bearer {jwt.encode({'user': 'openmcp', 'exp': now + 60, **times}, KEY, algorithm='HS256')}"

    async with open_authenticator(options()) as authenticator:
        renewed = authenticator.renew(signed(iat=now - 1800))
        claims = jwt.decode(renewed, KEY, algorithms=["HS256"])
        assert (claims["auth_time"], claims["exp"] - claims["iat"]) == (now - 1800, 3600)
        again = jwt.decode(authenticator.renew(f"Bearer {renewed}"), KEY, algorithms=["HS256"])
        assert again["auth_time"] == now - 1800
        for old in (signed(iat=now - 60, auth_time=now - 86_500), signed(iat=now - 86_500), signed()):
            with pytest.raises(Unauthenticated, match="sign in again"):
                authenticator.renew(old)
        with pytest.raises(Unauthenticated, match="expired"):
            authenticator.renew(signed(iat=now - 3700, exp=now - 100))


async def test_a_user_that_is_gone_renews_nothing(tmp_path: Path) -> None:
    path = write(tmp_path / "users", alice())
    async with open_authenticator(options(path)) as authenticator:
        token = await bearer(authenticator)
        write(path)
        await until(lambda: refused(authenticator, token))
        with pytest.raises(Unauthenticated, match="does not exist any more"):
            authenticator.renew(token)


async def test_reach_by_labels_is_that_of_the_moment_and_nobody_is_refused_before_it_is_known(tmp_path: Path) -> None:
    labels: dict[str, dict[str, str]] | None = None

    async def find_labels() -> dict[str, dict[str, str]]:
        if labels is None:
            raise ClusterTimeout("", "the clusters are not known yet")
        return labels

    by_labels = replace(alice(), scope=Scope(Role.VIEW, cluster_labels="env=prod"))
    path = write(tmp_path / "users", by_labels, User("dev", "", by_labels.scope, is_group=True))
    async with open_authenticator(options(path), find_labels=find_labels) as authenticator:
        token = await bearer(authenticator)
        with pytest.raises(IdentityUnavailable, match="not known yet"):
            await authenticator.authenticate(token)
        assert (await authenticator.authenticate(await bearer(authenticator, "openmcp"))).name == "openmcp"
        for labels in ({"c1": {"env": "prod"}, "c2": {}}, {"c1": {}, "c2": {"env": "prod"}}):
            scope = (await authenticator.authenticate(token)).scope
            assert [scope.sees_cluster(name) for name in ("c1", "c2")] == [bool(own) for own in labels.values()]
