"""Who is worked for now: a few requests at a time, by rank and with turns for callers; more while the process is idle.

What would have to wait for long is refused while its caller still listens, instead of answered when nobody does: a
server that takes on all that comes is late with all of it. Refusals are paced, since who is told at once asks at once.
"""

import asyncio
from enum import IntEnum

from msgspec import Struct

from fleet.aio.demand import read_demand
from fleet.aio.fair import FairPlaces, Full
from fleet.aio.rates import RateLimit, Refusals
from fleet.model.errors import Busy, Overloaded, TooManyRequests

LOOK_SECONDS = 0.05
"""How often it is looked whether the process is busy, while more is at work than always may be."""

BUSY_SHARE = 0.7
"""Of one processor: a process that wanted more since the last look has no time to spare, nor has a late event loop."""

STEP = 4
"""Requests beyond `places` that may be at work from the start, and as many more after each look that finds time."""


class Rank(IntEnum):
    """What goes first."""

    INTERACTIVE = 0
    STREAM = 1
    BULK = 2


class AdmissionOptions(Struct, frozen=True):
    """`places` may always be at work, all but one of them for one caller, and `most` while the process is idle.

    `waiting` are requests that wait, `wait_seconds` is for how long they do. What is `BULK` waits until its deadline.
    `a_second` are requests of a caller, 0 for as many as come.
    """

    places: int = 4
    most: int = 256
    waiting: int = 1_000
    waiting_of_one: int = 200
    wait_seconds: float = 0.5
    a_second: float = 0.0


class Admission:
    """The places of a process. `refusals` counts what was not worked on."""

    def __init__(self, options: AdmissionOptions | None = None) -> None:
        self.options = options or AdmissionOptions()
        self.rate = RateLimit(self.options.a_second, "a user")
        self.refusals = Refusals()
        places = self.options.places
        self._places = FairPlaces(places, self.options.waiting, self.options.waiting_of_one, max(1, places - 1))
        self._most_of_one = self.options.most * 3 // 4
        self._beyond = self._most_beyond(STEP)
        self._timer: asyncio.TimerHandle | None = None
        self._looked_at = self._demand = 0.0

    @property
    def at_work(self) -> int:
        """How many requests have a place."""
        return self._places.held

    @property
    def waiting(self) -> int:
        """How many requests wait for a place."""
        return len(self._places)

    async def enter(self, caller: str, deadline: float, rank: Rank = Rank.INTERACTIVE) -> None:
        """Returns with a place, to be given back by `leave`. `deadline` is in the loop's time. Raises Busy."""
        if not self.rate.take(caller):
            await self.rate.refuse(caller)
        if asyncio.get_running_loop().time() > deadline:
            self.refusals.count += 1
            raise Overloaded("the request waited for longer than an answer may take: try again")
        if self._places.take_free(caller):
            return
        if self._may_lend and not self._places.waited_for and self._places.lend(self._most_of_one, caller):
            self._watch()
            return
        await self._wait(caller, deadline, rank)

    def leave(self, caller: str) -> None:
        """Gives a place back."""
        self._places.release(caller)
        if self._places.waited_for and self._may_lend:
            self._places.lend(self._most_of_one)

    async def _wait(self, caller: str, deadline: float, rank: Rank) -> None:
        self._watch()
        soon = asyncio.get_running_loop().time() + self.options.wait_seconds
        try:
            async with asyncio.timeout_at(deadline if rank is Rank.BULK else min(deadline, soon)):
                await self._places.take(caller, rank)
        except (TimeoutError, Full):
            refusal = self._refuse(caller)
        else:
            return
        await self.refusals.wait(caller, deadline - asyncio.get_running_loop().time())
        raise refusal

    def _refuse(self, caller: str) -> Busy:
        others = self._places.count(caller)
        if others >= self.options.places:
            return TooManyRequests(f"{others} other requests of yours wait for their turn: send fewer at a time")
        return Overloaded("the server has more to do than it can: try again soon")

    def _watch(self) -> None:
        if self._timer is None:
            loop = asyncio.get_running_loop()
            self._looked_at, self._demand = loop.time(), read_demand()
            self._timer = loop.call_later(LOOK_SECONDS, self._look)

    def _look(self) -> None:
        """Lets more be at work where the process had time to spare since the last look, else no more."""
        took, wanted = asyncio.get_running_loop().time() - self._looked_at, read_demand() - self._demand
        self._timer = None
        idle = took < 2 * LOOK_SECONDS and wanted < BUSY_SHARE * took
        self._beyond = self._most_beyond(self._beyond + STEP) if idle else 0
        while self._places.waited_for and self._may_lend and self._places.lend(self._most_of_one):
            pass
        if self._places.lent or self._places.waited_for or not idle:
            self._watch()
        else:
            self._beyond = self._most_beyond(STEP)

    @property
    def _may_lend(self) -> bool:
        return self._places.lent < self._beyond

    def _most_beyond(self, asked: int) -> int:
        return min(asked, self.options.most - self.options.places)
