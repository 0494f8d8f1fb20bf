"""What core leaves unawaited after an error is complained of where it was left, and not in a later test."""

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest


@pytest.fixture(autouse=True)
async def ended() -> AsyncIterator[None]:
    """What a test leaves in the background ends, and nothing of it is left to the garbage collector."""
    before = asyncio.all_tasks()
    yield
    own = asyncio.current_task()
    while left := asyncio.all_tasks() - before - {own}:
        await asyncio.wait(left, timeout=5)
        if any(not task.done() for task in left):
            break
    gc.collect()
