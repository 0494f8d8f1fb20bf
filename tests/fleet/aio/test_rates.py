"""Token buckets: a burst, then so many a second; whom they forget loses nothing."""

import asyncio

import pytest

from fleet.aio.rates import BURST_SECONDS, RateLimit, Rates
from fleet.model.errors import TooManyRequests


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


def count_passing(rates: Rates, caller: str, tries: int = 1000) -> int:
    return sum(rates.take(caller) for _ in range(tries))


def test_a_burst_passes_then_so_many_a_second_and_others_have_their_own() -> None:
    clock = Clock()
    rates = Rates(8, clock)
    burst = 8 * BURST_SECONDS + 1
    assert count_passing(rates, "a") == burst
    clock.now += 1
    assert (count_passing(rates, "a"), count_passing(rates, "b")) == (8, burst)
    clock.now += 3600
    assert count_passing(rates, "a") == burst


def test_without_a_rate_all_pass_and_nothing_is_kept() -> None:
    rates = Rates(0)
    assert (count_passing(rates, "a"), len(rates)) == (1000, 0)


def test_millions_of_callers_are_forgotten_as_their_time_is_over() -> None:
    clock = Clock()
    rates = Rates(8, clock)
    assert count_passing(rates, "held") == 33
    for number in range(300_000):
        clock.now += 2**-17
        rates.take(f"2001:db8::{number:x}")
    assert len(rates) <= 2 * 2**14 + 1  # those of the last eighth of a second, twice
    assert count_passing(rates, "held") == 18  # of 2.3 s, as if nobody else had come


async def test_who_asks_most_is_refused_last() -> None:
    limit = RateLimit(1, "a user")
    refused: list[str] = []

    async def be_refused(caller: str) -> None:
        with pytest.raises(TooManyRequests, match="a user may send 1 requests a second"):
            await limit.refuse(caller)
        refused.append(caller)

    await asyncio.gather(*(be_refused("often") for _ in range(50)), be_refused("once"))
    assert refused.index("once") < 25
    assert limit.refusals.count == 51
