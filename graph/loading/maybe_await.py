"""Values that are there at once, mostly: who has them need not wait, and nobody makes a task to wait for them."""

from collections.abc import Awaitable, Callable, Coroutine, Generator
from inspect import isawaitable, iscoroutine
from typing import Any, Generic, TypeAlias, TypeVar, cast

T = TypeVar("T")
U = TypeVar("U")

AwaitableOrValue: TypeAlias = T | Awaitable[T]
"""A value, or what gives it when it is awaited."""


class Deferred(Generic[T]):
    """Stands for a coroutine of some arguments. Whoever is cancelled before its first step drops what it was to await.

    Coroutines among the arguments are closed then: Python complains of those that were never awaited.
    """

    __slots__ = ("_arguments", "_begin")

    def __init__(self, begin: Callable[..., Coroutine[Any, Any, T]], *arguments: Any) -> None:
        self._begin = begin
        self._arguments: tuple[Any, ...] = arguments

    def __await__(self) -> Generator[Any, None, T]:
        arguments, self._arguments = self._arguments, ()
        return self._begin(*arguments).__await__()

    def __del__(self) -> None:
        for argument in self._arguments:
            if iscoroutine(argument):
                argument.close()


def map_value(found: AwaitableOrValue[T], convert: Callable[[T], U]) -> U:
    """What is made of the value, as soon. To type checkers it is there, as resolvers may give either."""
    return cast("U", Deferred(_convert, found, convert)) if isawaitable(found) else convert(found)


def map_found(found: AwaitableOrValue[T | None], convert: Callable[[T], U]) -> U | None:
    """As `map_value`; null stays null."""
    if isawaitable(found):
        return cast("U", Deferred(_convert_found, found, convert))
    return None if found is None else convert(found)


async def _convert(found: Awaitable[Any], convert: Callable[[Any], U]) -> U:
    return convert(await found)


async def _convert_found(found: Awaitable[Any], convert: Callable[[Any], U]) -> U | None:
    value = await found
    return None if value is None else convert(value)
