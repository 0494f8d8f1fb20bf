"""Time slices of the event loop: answers that take long to make let others have theirs in between."""

import asyncio
import time

from fleet.aio.turns import Turns

SLICE_SECONDS = 0.003
"""How long an answer is worked on at a stretch."""


class TimeSlices:
    """Those of a process: of the answers that take long, one is worked on in each turn of the loop, for `seconds`.

    With the `turns` of a federation, none of its own pieces falls into the same one.
    """

    def __init__(self, seconds: float = SLICE_SECONDS, turns: Turns | None = None) -> None:
        self.seconds = seconds
        self.wait = (turns or Turns()).wait


class TimeSlice:
    """An answer's share of the loop's time: until `ends`, by the clock of `time.perf_counter`."""

    __slots__ = ("_slices", "ends")

    def __init__(self, slices: TimeSlices) -> None:
        self._slices = slices
        self.ends = time.perf_counter() + slices.seconds

    def is_over(self) -> bool:
        """Whether others should have a turn; never without an event loop, where there are no others."""
        if time.perf_counter() < self.ends:
            return False
        try:
            asyncio.get_running_loop()
        except RuntimeError:
            return False
        return True

    async def begin_next(self) -> None:
        """Lets the others have theirs."""
        await self._slices.wait()
        self.ends = time.perf_counter() + self._slices.seconds
