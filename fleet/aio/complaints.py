"""What keeps going wrong, told at once where it is of another kind than before, and again ever more rarely."""

import time
from collections.abc import Callable, Hashable

from msgspec import Struct

MOST_KINDS = 5
"""Of one subject, until it is well: a text that is another one each time is no news."""


class _Told(Struct):
    again_at: float
    wait: float


class Complaints:
    """Whoever tells asks first. The same is told again after `first` seconds, then twice as long, up to `last`."""

    def __init__(
        self, first: float = 300.0, last: float = 6 * 3600.0, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._first = first
        self._last = last
        self._clock = clock
        self._told: dict[Hashable, dict[Hashable, _Told]] = {}

    def is_due(self, subject: Hashable, kind: Hashable) -> bool:
        """Whether to tell now that this is wrong with the subject; if so it counts as told."""
        now, kinds = self._clock(), self._told.setdefault(subject, {})
        told = kinds.get(kind)
        if told is None and len(kinds) < MOST_KINDS:
            kinds[kind] = _Told(now + self._first, self._first)
            return True
        told = told or min(kinds.values(), key=lambda each: each.again_at)
        if now < told.again_at:
            return False
        told.wait = min(told.wait * 2, self._last)
        told.again_at = now + told.wait
        return True

    def settle(self, subject: Hashable) -> bool:
        """All is well with the subject. Whether something else was told."""
        return self._told.pop(subject, None) is not None
