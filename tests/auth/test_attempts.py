"""Guessing gets slow, by user and by address, and nobody is locked out by somebody else."""

import pytest

from auth.attempts import (
    ATTACKED,
    FREE_OF_A_PAIR,
    FREE_OF_AN_ADDRESS,
    LONGEST_WAIT,
    WINDOW_SECONDS,
    Attempts,
    normalise_address,
)
from auth.errors import TooManyLogins


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def wait_of(attempts: Attempts, address: str, name: str) -> float:
    """Seconds, none where the password is looked at."""
    try:
        attempts.check(address, name)
    except TooManyLogins as error:
        return error.retry_after
    return 0


def guess(attempts: Attempts, address: str, name: str, times: int) -> None:
    for _ in range(times):
        attempts.add_failure(address, name)


def test_each_wrong_password_beyond_a_few_doubles_the_wait() -> None:
    attempts, clock = Attempts(clock := Clock()), clock
    waits = []
    for _ in range(FREE_OF_A_PAIR + 8):
        guess(attempts, "a", "alice", 1)
        waits.append(wait_of(attempts, "a", "alice"))
        clock.now += waits[-1]
    assert waits == [0] * (FREE_OF_A_PAIR - 1) + [1, 2, 4, 8, 16, 32, 60, 60, 60]


def test_the_right_password_counts_from_another_address_however_many_guess() -> None:
    attempts = Attempts(Clock())
    for number in range(200):
        guess(attempts, f"guesser {number}", "alice", 10)
    assert wait_of(attempts, "hers", "alice") == 0


def test_under_attack_an_address_has_one_guess() -> None:
    attempts = Attempts(Clock())
    for number in range(ATTACKED + 1):
        guess(attempts, f"guesser {number}", "alice", 1)
    assert wait_of(attempts, f"guesser {ATTACKED}", "alice") == 1


def test_an_address_that_tries_many_names_waits_until_its_minute_is_over() -> None:
    attempts = Attempts(clock := Clock())
    attempts.add_success("shared", "bob")
    for number in range(FREE_OF_AN_ADDRESS):
        guess(attempts, "shared", f"user {number}", 1)
    assert (wait_of(attempts, "shared", "alice"), wait_of(attempts, "shared", "bob")) == (WINDOW_SECONDS, 0)
    assert wait_of(attempts, "other", "alice") == 0
    clock.now += WINDOW_SECONDS
    assert wait_of(attempts, "shared", "alice") == 0


def test_the_right_password_starts_anew() -> None:
    attempts = Attempts(clock := Clock())
    guess(attempts, "a", "alice", FREE_OF_A_PAIR + 20)
    clock.now += LONGEST_WAIT
    attempts.add_success("a", "alice")
    guess(attempts, "a", "alice", FREE_OF_A_PAIR - 1)
    assert wait_of(attempts, "a", "alice") == 0


@pytest.mark.parametrize(
    ("host", "stands_for"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2::9%eth0", "2001:db8:1:2::/64"),
        ("a socket", "a socket"),
        ("", ""),
    ],
)
def test_an_ipv6_network_counts_as_one(host: str, stands_for: str) -> None:
    assert normalise_address(host) == stands_for
