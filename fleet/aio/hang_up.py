"""Work for somebody who may leave meanwhile."""

import asyncio
from collections.abc import Coroutine, MutableMapping
from typing import Any, TypeVar

T = TypeVar("T")

HANG_UP = "hang_up"
"""The key of a request's state under which the server finds what it calls when the client is gone."""


class HungUp(Exception):
    """Nobody waits for the answer any more."""


async def while_awaited(state: MutableMapping[str, Any], work: Coroutine[Any, Any, T]) -> T:
    """What comes of some work, which ends where it is once the client hangs up. Raises HungUp."""
    task, gone = asyncio.current_task(), False

    def hang_up() -> None:
        nonlocal gone
        gone = True
        if task is not None:
            task.cancel()

    state[HANG_UP] = hang_up
    try:
        return await work
    except asyncio.CancelledError:
        if not gone or task is None or task.uncancel():
            raise
        raise HungUp from None
    finally:
        state[HANG_UP] = None
