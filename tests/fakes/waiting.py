"""Waiting for conditions instead of for time."""

import asyncio
from collections.abc import Callable


async def until(condition: Callable[[], object], *, seconds: float = 5.0, what: str = "the condition") -> None:
    """Returns as soon as the condition holds; fails the test where it does not within the time."""
    try:
        async with asyncio.timeout(seconds):
            while not condition():  # noqa: ASYNC110 - the conditions of tests are states, and states fire no event
                await asyncio.sleep(0.005)
    except TimeoutError:
        raise AssertionError(f"{what} did not hold within {seconds:g} s") from None
