"""Turns of the event loop: of what takes long, one piece is worked on in each."""

import asyncio
import time
from collections.abc import Generator
from typing import TypeVar

V = TypeVar("V")
Steps = Generator[None, None, V]
"""Work that stops after each piece, and what comes of it."""

SLICE_SECONDS = 0.002
"""How long is worked at a stretch."""


class Turns:
    """Those of a process. A piece is some milliseconds; several in one turn would make others wait for all of them."""

    def __init__(self) -> None:
        self._waiting = asyncio.Lock()

    async def wait(self) -> None:
        """Until it is the caller's turn, in the order of the calls; what arrived before is begun before.

        One turn of the loop reads what has arrived, the next one begins it.
        """
        async with self._waiting:
            await asyncio.sleep(0)
            await asyncio.sleep(0)


class Pace:
    """Lets others have their turn whenever a slice is over."""

    def __init__(self, turns: Turns) -> None:
        self._turns = turns
        self._ends = time.perf_counter() + SLICE_SECONDS

    async def wait(self) -> None:
        if time.perf_counter() > self._ends:
            await self._turns.wait()
            self._ends = time.perf_counter() + SLICE_SECONDS

    async def walk(self, steps: Steps[V]) -> V:
        """What comes of some work."""
        while True:
            try:
                next(steps)
            except StopIteration as end:
                result: V = end.value
                return result
            await self.wait()


def finish(steps: Steps[V]) -> V:
    """What comes of some work, done at a stretch."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            result: V = end.value
            return result
