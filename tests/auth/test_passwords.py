"""A password that was right a moment ago is known again; everything else costs an argon2 each time."""

from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pytest

from auth.passwords import MAX_KNOWN, THREADS, Passwords, hash_password
from tests.fakes.waiting import until

HASH, OTHER = hash_password("right"), hash_password("right")


class Counted(ThreadPoolExecutor):
    """Threads that say how much they were given to do."""

    asked = 0

    def submit(self, *given: Any, **named: Any) -> Future[Any]:
        self.asked += 1
        return super().submit(*given, **named)


@pytest.fixture
def threads() -> Iterator[Counted]:
    with Counted(1) as opened:
        yield opened


async def test_a_password_is_known_again(threads: Counted) -> None:
    passwords = Passwords(threads)
    assert [await passwords.matches(HASH, "right") for _ in range(100)] == [True] * 100
    assert threads.asked == 1


async def test_a_wrong_password_costs_as_much_beside_a_known_one(threads: Counted) -> None:
    passwords = Passwords(threads)
    await passwords.matches(HASH, "right")
    for password_hash, password in ((HASH, "wrong"), (HASH, "wrong"), (HASH, "righ"), (None, "right"), (None, "right")):
        before = threads.asked
        assert not await passwords.matches(password_hash, password)
        assert threads.asked == before + 1
    assert (await passwords.matches(HASH, "right"), threads.asked) == (True, 6)


async def test_a_hash_that_was_replaced_knows_nothing(threads: Counted) -> None:
    """Of the same password: what is known is known of this hash alone."""
    passwords = Passwords(threads)
    assert (await passwords.matches(HASH, "right"), await passwords.matches(OTHER, "right")) == (True, True)
    assert threads.asked == 2


async def test_what_is_known_is_forgotten_in_time_and_bounded(threads: Counted) -> None:
    passwords = Passwords(threads, known_seconds=0.05)
    await passwords.matches(HASH, "right")
    await until(lambda: not len(passwords.known), what="the end of what is known")
    assert (await passwords.matches(HASH, "right"), threads.asked) == (True, 2)
    assert passwords.known.most == MAX_KNOWN


async def test_who_gets_no_thread_keeps_no_place(threads: Counted) -> None:
    passwords = Passwords(threads)
    threads.shutdown()
    for _ in range(THREADS + 1):
        with pytest.raises(RuntimeError):
            await passwords.matches(HASH, "right")
