"""Requests a second: whose are too many, and how those are told."""

import asyncio
import time
from collections import Counter
from collections.abc import Callable, Hashable
from typing import NoReturn

from fleet.model.errors import TooManyRequests

BURST_SECONDS = 4.0
"""Who was silent may send at once what is allowed in this time."""

REFUSALS_A_SECOND = 200
_SWEPT_FROM = 10_000


class Rates:
    """Token buckets, by the generic cell rate algorithm (ITU-T I.371): one time a caller, kept while it matters.

    So what is held is bounded by what was let in within `burst_seconds`, however many callers there were.
    """

    def __init__(
        self, a_second: float, clock: Callable[[], float] = time.monotonic, burst_seconds: float = BURST_SECONDS
    ) -> None:
        self._interval = 1.0 / a_second if a_second else 0.0
        self._clock = clock
        self._burst_seconds = burst_seconds
        self._full_at: dict[Hashable, float] = {}
        self._swept_from = _SWEPT_FROM

    def __len__(self) -> int:
        return len(self._full_at)

    def take(self, caller: Hashable) -> bool:
        """Whether one more of the caller's may pass; always where no rate is set."""
        if not self._interval:
            return True
        now = self._clock()
        full_at = self._full_at.get(caller, now)
        if full_at < now:
            full_at = now
        elif full_at > now + self._burst_seconds:
            return False
        self._full_at[caller] = full_at + self._interval
        if len(self._full_at) > self._swept_from:
            self._full_at = {name: at for name, at in self._full_at.items() if at > now}
            self._swept_from = max(_SWEPT_FROM, 2 * len(self._full_at))
        return True


class Refusals:
    """Lets callers wait for their refusals: who is told at once asks at once, and to tell it costs."""

    def __init__(self) -> None:
        self.count = 0
        self._waiting: Counter[str] = Counter()

    async def wait(self, caller: str, most: float = BURST_SECONDS) -> None:
        """The caller's turn to be refused, for `most` seconds at most."""
        self.count += 1
        self._waiting[caller] += 1
        try:
            await asyncio.sleep(min(most, self._waiting[caller] / REFUSALS_A_SECOND))
        finally:
            self._waiting[caller] -= 1
            if not self._waiting[caller]:
                del self._waiting[caller]


class RateLimit:
    """`a_second` requests of each caller, 0 for as many as come. `who` says in messages whose they are.

    `take` says whether one more may pass; it costs each request, and is no coroutine therefore.
    """

    def __init__(self, a_second: float, who: str) -> None:
        self.take = Rates(a_second).take
        self._words = f"{who} may send {a_second:g} requests a second: send fewer, or wait"
        self.refusals = Refusals()

    async def refuse(self, caller: str) -> NoReturn:
        """Raises TooManyRequests, after a while: for whom `take` said no."""
        await self.refusals.wait(caller)
        raise TooManyRequests(self._words)
