"""Background work that lives as long as a `with` and is never silently gone."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

from fleet.aio.backoff import Backoff

logger = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def open_task(name: str, work: Callable[[], Awaitable[None]]) -> AsyncIterator[None]:
    """Runs endless work until the `with` is left, and has ended it by then."""
    task = asyncio.create_task(_keep_running(name, work), name=name)
    try:
        yield
    finally:
        await end_tasks(task)


async def end_tasks(*tasks: "asyncio.Task[None]") -> None:
    """Cancels tasks and waits until they are gone, without taking over how they ended."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks)


async def _keep_running(name: str, work: Callable[[], Awaitable[None]]) -> None:
    backoff = Backoff(first=0.1, last=30.0)
    while True:
        try:
            await work()
            logger.error("%s ended, though it never should; it is started again", name)
        except Exception:  # the last seam before a task would be gone unseen: told, and started again
            logger.exception("%s failed; it is started again", name)
        await asyncio.sleep(backoff.next_delay())
