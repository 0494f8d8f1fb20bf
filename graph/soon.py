"""Values that are there at once, or can be waited for: a field that need not wait costs no coroutine and no task."""

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import TypeAlias, TypeVar, cast

M = TypeVar("M")
W = TypeVar("W")

Soon: TypeAlias = M | Awaitable[M]


def then(found: Soon[M], make: Callable[[M], W]) -> W:
    """What is made of it, at once or when it is there: the core waits for what can be awaited."""
    if isawaitable(found):

        async def later() -> W:
            return make(await found)

        return cast("W", later())
    return make(found)
