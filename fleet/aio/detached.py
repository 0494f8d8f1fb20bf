"""Blocking work that may never end, such as reading a file of a mount whose server is gone.

A thread of an executor would keep the process from ending, and a new one for each try would fill it: here it is one
daemon thread, and as long as it hangs no other is begun.
"""

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any, TypeVar

T = TypeVar("T")

HANGING_SECONDS = 5.0


class Detached:
    """Runs work in a thread, one piece at a time, and waits `seconds` for it at most."""

    def __init__(self, seconds: float = HANGING_SECONDS) -> None:
        self._seconds = seconds
        self._last: asyncio.Future[Any] | None = None

    async def run(self, work: Callable[[], T]) -> T:
        """What the work returns or raises. Raises TimeoutError while it, or what was begun before, hangs."""
        async with asyncio.timeout(self._seconds):
            if self._last is not None:
                await asyncio.wait((self._last,))
            self._last = running = start(work)
            result: T = await asyncio.shield(running)
            return result


def start(work: Callable[[], T]) -> "asyncio.Future[T]":
    """Begins the work in a daemon thread of its own; what it returns or raises is the future's."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[T] = loop.create_future()
    future.add_done_callback(lambda done: done.exception())  # who waited for it may have given up

    def run() -> None:
        try:
            settle = partial(future.set_result, work())
        except Exception as error:  # noqa: BLE001 - whatever it is belongs to who waits
            settle = partial(future.set_exception, error)
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(settle)

    threading.Thread(target=run, daemon=True, name="reads a file").start()
    return future
