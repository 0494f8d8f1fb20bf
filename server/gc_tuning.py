"""The garbage collector of a server that holds a fleet in memory: what was read first lives on, and is left alone.

A full collection looks at every object that can hold others, and nothing else happens meanwhile. After the first lists
there are hundreds of thousands of them, nearly none of which will ever be garbage: what can be is collected before.
"""

import asyncio
import gc
from collections.abc import Iterator
from contextlib import contextmanager

from fleet.federation import Federation

SYNC_SECONDS = 60.0
"""How long the first lists are waited for."""
_THRESHOLDS = (25_000, 20, 100)


@contextmanager
def gc_tuning() -> Iterator[None]:
    """Collects now, and seldom from then on. For the one server of a process, since the collector is the process's.

    Leaving puts it back as it was.
    """
    before = gc.get_threshold()
    gc.collect()
    gc.freeze()
    gc.set_threshold(*_THRESHOLDS)
    try:
        yield
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


async def freeze_synced(federation: Federation) -> None:
    """Sets aside what is in memory once the first lists are, or a while has passed (`gc.freeze`): it takes no time."""
    await federation.wait_synced(SYNC_SECONDS)
    gc.freeze()
    await asyncio.Event().wait()
