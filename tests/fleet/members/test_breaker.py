"""The circuit breaker."""

import pytest

from fleet.members.breaker import Breaker, BreakerState


def test_it_opens_after_its_limit_in_a_row() -> None:
    breaker = Breaker(3)
    breaker.record_failure()
    breaker.record_failure()
    breaker.record_success()
    breaker.record_failure()
    breaker.record_failure()
    assert not breaker.refuses
    breaker.record_failure()
    assert breaker.refuses


def test_a_probe_half_opens_it_without_letting_callers_through() -> None:
    breaker = Breaker(1)
    breaker.record_failure()
    breaker.record_probe()
    assert (breaker.state, breaker.refuses) == (BreakerState.HALF_OPEN, True)


@pytest.mark.parametrize(("answered", "state"), [(True, BreakerState.CLOSED), (False, BreakerState.OPEN)])
def test_the_probe_decides(answered: bool, state: BreakerState) -> None:
    breaker = Breaker(1)
    breaker.record_failure()
    breaker.record_probe()
    if answered:
        breaker.record_success()
    else:
        breaker.record_failure()
    assert breaker.state is state


def test_a_breaker_that_never_closes_is_refused() -> None:
    with pytest.raises(ValueError, match="at least 1"):
        Breaker(0)
