"""The garbage collector of a server that holds a fleet in memory: what was read first lives on, and is left alone.

A full collection looks at every object that can hold others, and nothing else happens meanwhile. After the first lists
there are hundreds of thousands of them, nearly none of which will ever be garbage.
"""

import asyncio
import gc
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fleet.aio.tasks import open_task
from fleet.federation import Federation

SYNC_SECONDS = 60.0
_THRESHOLDS = (25_000, 20, 100)


@asynccontextmanager
async def open_gc_tuning(federation: Federation) -> AsyncIterator[None]:
    """Collects seldom, and freezes what is in memory once the first lists are, or a minute has passed (`gc.freeze`).

    For the one server of a process, since the collector is the process's. Leaving puts it back as it was.
    """

    async def freeze() -> None:
        await federation.wait_synced(SYNC_SECONDS)
        gc.collect()
        gc.freeze()
        await asyncio.Event().wait()

    before = gc.get_threshold()
    gc.set_threshold(*_THRESHOLDS)
    try:
        async with open_task("set aside what is in memory", freeze):
            yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()
