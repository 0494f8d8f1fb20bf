"""Waiting for conditions instead of for time."""

import asyncio
import inspect
from collections.abc import Callable

PATIENCE = 60.0
"""Seconds after which a test gives up what should long have happened. Nothing but a failure ever takes as long, and
a slow machine must not: it bounds no behaviour, it keeps a test from hanging."""


async def until(condition: Callable[[], object], *, what: str = "the condition", every: float = 0.005) -> None:
    """Returns as soon as the condition, which may be awaitable, holds; fails the test where it does not."""
    try:
        async with asyncio.timeout(PATIENCE):
            while True:
                held = condition()
                if await held if inspect.isawaitable(held) else held:
                    return
                await asyncio.sleep(every)
    except TimeoutError:
        raise AssertionError(f"{what} did not hold within {PATIENCE:g} s") from None
