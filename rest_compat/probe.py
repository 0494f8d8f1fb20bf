"""Asking now and then whether a member is still well, beside an answer that may be silent for as long as it likes."""

import asyncio
from collections.abc import Callable

PROBE_SECONDS = 15.0
"""A process that hangs keeps its connections open: only what is known of the member tells that it is gone."""


async def probe(check: Callable[[], object], every: float = PROBE_SECONDS) -> None:
    """Runs until it is cancelled, or until `check` raises; `every` is in seconds."""
    while True:
        await asyncio.sleep(every)
        check()
