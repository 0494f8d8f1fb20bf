"""How this process is: what it is asked, how late its event loop is, and how long the garbage collector stops it."""

import asyncio
import gc
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, NoReturn

from fleet.aio.counts import Durations
from fleet.aio.tasks import open_task
from server.asgi.requests import RequestCounts

LOOK_SECONDS = 0.25
"""How often it is looked how late the event loop is: it costs nothing, and no stop of a second is missed."""


class ProcessCounts:
    """`collections` are pauses by generation, `lag` how late the loop ran what was due."""

    def __init__(self) -> None:
        self.requests = RequestCounts()
        self.lag = Durations()
        self.collections = {str(generation): Durations() for generation in range(3)}
        self._begun = 0.0

    async def watch(self) -> NoReturn:
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + LOOK_SECONDS
            await asyncio.sleep(LOOK_SECONDS)
            self.lag.note(max(0.0, loop.time() - due))

    def note_collection(self, phase: str, info: dict[str, Any]) -> None:
        """For `gc.callbacks`."""
        if phase == "start":
            self._begun = time.perf_counter()
            return
        generation = str(info["generation"])
        self.collections[generation].note(time.perf_counter() - self._begun)


@asynccontextmanager
async def open_process_counts() -> AsyncIterator[ProcessCounts]:
    """Counts until the `with` is left."""
    counts = ProcessCounts()
    gc.callbacks.append(counts.note_collection)
    try:
        async with open_task("how late the event loop is", counts.watch):
            yield counts
    finally:
        gc.callbacks.remove(counts.note_collection)
