"""Signing in, and what a token is worth while the users file changes."""

import asyncio
import contextlib
import time
from pathlib import Path

import argon2
import jwt
import pytest

from auth.attempts import FREE_OF_A_PAIR
from auth.authenticator import Authenticator, AuthOptions, open_authenticator
from auth.errors import InvalidCredentials, TooManyLogins, Unauthenticated, UsersFileInvalid
from auth.passwords import MAX_WAITING_OF_AN_ADDRESS, THREADS, hash_password
from auth.users import User, save_users
from fleet.aio.tasks import end_tasks
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


async def refused(authenticator: Authenticator, token: str) -> bool:
    try:
        await authenticator.authenticate(token)
    except Unauthenticated as error:
        return "does not exist any more" in str(error)
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
            await asyncio.sleep(0.001)

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
        began = time.monotonic()
        with pytest.raises(InvalidCredentials):
            await authenticator.login(name, "wrong", address=f"{number}")
        return time.monotonic() - began

    async with open_authenticator(AuthOptions(KEY, users_file=path)) as authenticator:
        known, unknown = [min([await time_login(name, n) for n in range(5)]) for name in ("alice", "nobody")]
    assert 0.5 < known / unknown < 2


async def test_a_removed_user_s_token_stops_to_count(tmp_path: Path) -> None:
    path = write(tmp_path / "users", alice())
    async with open_authenticator(options(path)) as authenticator:
        token = await bearer(authenticator)
        write(path)
        await until(lambda: refused(authenticator, token))


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


async def test_a_file_that_is_wrong_at_the_start_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "users"
    path.write_text("- alice\n")
    with pytest.raises(UsersFileInvalid, match="entry 1: must be a mapping"):
        async with open_authenticator(options(path)):
            pass


async def test_a_user_named_as_the_administrator_is_an_error(tmp_path: Path) -> None:
    path = write(tmp_path / "users", User("openmcp", HASH, Scope(Role.VIEW)))
    with pytest.raises(UsersFileInvalid, match="user 'openmcp': name: is also the administrator's"):
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
