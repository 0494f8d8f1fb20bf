"""Values that are there at once, mostly: who has them need not wait, and nobody makes a task to wait for them."""

from collections.abc import Awaitable, Callable
from inspect import isawaitable
from typing import Any, TypeAlias, TypeVar, cast

T = TypeVar("T")
U = TypeVar("U")

Soon: TypeAlias = T | Awaitable[T]
"""A value, or what gives it when it is awaited."""


def then(found: Soon[T], convert: Callable[[T], U]) -> U:
    """What is made of the value, as soon. To type checkers it is there, as resolvers may give either."""
    return cast("U", _convert(found, convert)) if isawaitable(found) else convert(found)


async def _convert(found: Awaitable[Any], convert: Callable[[Any], U]) -> U:
    return convert(await found)
