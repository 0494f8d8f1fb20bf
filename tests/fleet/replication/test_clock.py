"""Times of a server's clock, on another one, however the two stand to each other and however late one hears of them."""

import pytest

from fleet.replication.clock import ServerClock

AHEAD = 1_000_000.0
"""What the server's clock is ahead of ours."""


def hear(clock: ServerClock, said: float, *, late: float = 0.0, ahead: float = AHEAD, prompt: bool = True) -> float:
    """What was said at a time of ours is heard so much later. When it was, as far as the clock can tell."""
    clock.note(said + ahead, said + late, prompt=prompt)
    return clock.local(said + ahead)


def test_what_is_heard_late_is_as_old_as_it_is() -> None:
    clock = ServerClock()
    hear(clock, 0.0)
    assert [hear(clock, at, late=3.0, prompt=False) for at in (1.0, 30.0, 300.0)] == [1.0, 30.0, 300.0]


@pytest.mark.parametrize("step", [-3600.0, -2.0, 2.0, 3600.0])
def test_a_step_of_the_servers_clock_heals(step: float) -> None:
    clock = ServerClock()
    for second in range(60):
        assert hear(clock, second) == second
    heard = [hear(clock, second, ahead=AHEAD + step) - second for second in range(60, 120)]
    assert set(heard[22:]) == {0.0}, "within two periods"
    assert all(late in (0.0, step) for late in heard)
    assert max(heard) == 0.0, "nothing is ever younger than it is"


def test_who_lags_for_long_does_not_take_it_for_a_step() -> None:
    clock = ServerClock()
    hear(clock, 0.0)
    heard = [hear(clock, second, late=5.0, prompt=False) for second in range(1, 200)]
    assert heard == list(range(1, 200))


def test_what_the_network_takes_now_and_then_changes_nothing() -> None:
    clock = ServerClock()
    heard = [hear(clock, second, late=0.5 * (second % 4 > 0)) - second for second in range(100)]
    assert set(heard) == {0.0}
