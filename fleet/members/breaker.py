"""The circuit breaker of one member."""

import enum


class BreakerState(enum.Enum):
    """CLOSED lets callers through, OPEN refuses them, HALF_OPEN refuses them while one probe is under way."""

    CLOSED = "CLOSED"
    OPEN = "OPEN"
    HALF_OPEN = "HALF_OPEN"


class Breaker:
    """Opens after `limit` failures in a row; then only the heartbeat asks, and its first success closes it."""

    def __init__(self, limit: int) -> None:
        if limit < 1:
            raise ValueError(f"a breaker needs at least 1 failure to open, not {limit}")
        self.state = BreakerState.CLOSED
        self.failures = 0
        self.limit = limit

    @property
    def refuses(self) -> bool:
        """Whether callers are to be turned away at once."""
        return self.state is not BreakerState.CLOSED

    def record_probe(self) -> None:
        if self.state is BreakerState.OPEN:
            self.state = BreakerState.HALF_OPEN

    def record_success(self) -> None:
        self.failures = 0
        self.state = BreakerState.CLOSED

    def record_failure(self) -> None:
        self.failures += 1
        if self.failures >= self.limit:
            self.state = BreakerState.OPEN
