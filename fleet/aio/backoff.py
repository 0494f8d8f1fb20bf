"""How long to wait before the next attempt."""

import random


def jittered(seconds: float, least: float = 0.8) -> float:
    """A time from `least` of it to all of it, so that what began together does not go on in step."""
    return seconds * random.uniform(least, 1.0)  # noqa: S311 - spreads load, protects nothing


class Backoff:
    """Doubles from `first` to `last` seconds; each wait is drawn from its upper half, so that nothing beats in step."""

    def __init__(self, first: float = 0.2, last: float = 10.0) -> None:
        self._first = first
        self._last = last
        self._next = first

    def reset(self) -> None:
        self._next = self._first

    def next_delay(self) -> float:
        delay = self._next
        self._next = min(self._next * 2, self._last)
        return jittered(delay, 0.5)
