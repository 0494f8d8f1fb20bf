"""Asks many members the same thing at once."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from typing import TypeVar

from fleet.model.errors import ClusterError, ClusterTimeout

T = TypeVar("T")


async def ask_all(
    clusters: Iterable[str], ask: Callable[[str], Awaitable[T]], *, timeout: float
) -> dict[str, T | ClusterError]:
    """The answer of each cluster, in the order given, with an error in the place of one that failed.

    After `timeout` seconds those that have not answered are given up: ClusterTimeout. Only a ClusterError is a
    cluster's own; anything else is a fault of this server, ends the others and is raised.
    """
    tasks = {name: asyncio.create_task(_ask_one(name, ask)) for name in clusters}
    if not tasks:
        return {}
    try:
        done, _ = await asyncio.wait(tasks.values(), timeout=timeout, return_when=asyncio.FIRST_EXCEPTION)
        answers = {name: task.result() for name, task in tasks.items() if task in done}
    finally:
        left = [task for task in tasks.values() if not task.done()]
        for task in left:
            task.cancel()
        if left:
            await asyncio.wait(left)
        for task in tasks.values():
            if not task.cancelled():
                task.exception()  # the first one is raised; the loop must not complain of the others
    late = {name: ClusterTimeout(name, f"{name} did not answer within {timeout:g} s") for name in tasks}
    return {name: answers.get(name, late[name]) for name in tasks}


async def _ask_one(name: str, ask: Callable[[str], Awaitable[T]]) -> T | ClusterError:
    try:
        return await ask(name)
    except ClusterError as error:
        return error
