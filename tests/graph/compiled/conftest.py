"""What core leaves unawaited after an error is complained of where it was left, and not in a later test."""

import asyncio
import gc
from collections.abc import AsyncIterator

import pytest


@pytest.fixture(autouse=True)
async def ended() -> AsyncIterator[None]:
    """What a test leaves in the background ends, and nothing of it is left to the garbage collector."""
    yield
    for _ in range(100):
        await asyncio.sleep(0)
    gc.collect()
