"""Lists of objects, completed by their reader; what is odd, item by item, as core would."""

import asyncio
from collections.abc import Awaitable, Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import Any

from graphql import GraphQLObjectType, GraphQLOutputType, GraphQLResolveInfo
from graphql.execution.collect_fields import FieldDetails
from graphql.pyutils import Path, gather_with_cancel
from msgspec import Struct

from graph.compiled.calls import LazyPath, as_path, run_direct
from graph.compiled.readers import Reader
from graph.loading.maybe_await import Deferred


class ListField(Struct, frozen=True):
    """The list that is completed: the field's nodes and info, the type of its items, and where it is."""

    details: list[FieldDetails]
    info: GraphQLResolveInfo[Any]
    kind: GraphQLObjectType
    item_type: GraphQLOutputType
    path: Path


def complete_items(executor: Any, field: ListField, reader: Reader, items: Sequence[Any]) -> Any:
    """As `Executor.complete_iterable_value` of core 3.3, for a reader that leaves nothing to core but odd objects.

    A list that takes longer than a turn of the loop has to be awaited from there on.
    """
    done, time_slice = _Done(), executor.time_slice
    with _settling(executor, done, items):
        rest = iter(items)
        for item in rest:
            if _complete_item(executor, field, reader, item, done.values):
                done.waiting.append(len(done.values) - 1)
            if perf_counter() >= time_slice.ends and time_slice.is_over():
                return executor.dispatch.defer(_resume, executor, field, reader, items, rest, done)
    return Deferred(_gather, done.values, done.waiting) if done.waiting else done.values


async def _resume(
    executor: Any, field: ListField, reader: Reader, items: Sequence[Any], rest: Iterator[Any], done: "_Done"
) -> list[Any]:
    """The rest of the list, a turn at a time."""
    time_slice = executor.time_slice
    try:
        with _settling(executor, done, items):
            for item in rest:
                if perf_counter() >= time_slice.ends and time_slice.is_over():
                    with executor.dispatch.holding():  # resolvers of the items that follow may ask
                        await time_slice.begin_next()
                if _complete_item(executor, field, reader, item, done.values):
                    done.waiting.append(len(done.values) - 1)
    except asyncio.CancelledError:
        for place in done.waiting:
            if asyncio.iscoroutine(started := done.values[place]):
                started.close()
        raise
    return await _gather(done.values, done.waiting) if done.waiting else done.values


class _Done:
    """What is completed of a list so far, and which places have to be waited for."""

    __slots__ = ("values", "waiting")

    def __init__(self) -> None:
        self.values: list[Any] = []
        self.waiting: list[int] = []


@contextmanager
def _settling(executor: Any, done: _Done, items: Sequence[Any]) -> Iterator[None]:
    """An error of the whole list leaves nothing behind that was begun."""
    try:
        yield
    except Exception:
        left: list[Any] = [done.values[place] for place in done.waiting]
        left += [item for item in items[len(done.values) + 1 :] if executor.is_awaitable(item)]
        if left:
            executor.settle_in_background(left)
        raise


def _complete_item(executor: Any, field: ListField, reader: Reader, item: Any, completed: list[Any]) -> bool:
    """Appends the item to the completed ones; whether it has to be waited for."""
    path = (field.path, len(completed))
    try:
        value = reader.read(item, executor)
    except Exception:  # noqa: BLE001 - whatever it is, core answers or reports it in its own way
        return _complete_by_core(executor, field, item, field.path.add_key(path[1], None), completed)
    if reader.direct:
        try:
            value = run_direct(executor, reader.direct, field.kind, item, path, value)
        except Exception as error:  # noqa: BLE001 - as core: it is the item's error
            executor.handle_field_error(error, field.item_type, field.details, as_path(path))
            completed.append(None)
            return False
        if value.__class__ is not dict:
            completed.append(Deferred(_wait, executor, field, path, value))
            return True
    completed.append(value)
    return False


def _complete_by_core(executor: Any, field: ListField, item: Any, path: Path, completed: list[Any]) -> bool:
    if executor.is_awaitable(item):
        completed.append(
            executor.complete_awaitable_list_item_value(item, field.item_type, field.details, field.info, path, None)
        )
        return True
    waits: bool = executor.complete_list_item_value(
        item, completed, field.item_type, field.details, field.info, path, None
    )
    return waits


async def _wait(executor: Any, field: ListField, path: LazyPath, value: Awaitable[Any]) -> Any:
    try:
        return await value
    except Exception as error:  # noqa: BLE001 - as core: it is the item's error
        executor.handle_field_error(error, field.item_type, field.details, as_path(path))
        return None


async def _gather(completed: list[Any], waiting: list[int]) -> list[Any]:
    if len(waiting) == 1:
        completed[waiting[0]] = await completed[waiting[0]]
    else:
        found = await gather_with_cancel(*(completed[place] for place in waiting))
        for place, value in zip(waiting, found, strict=True):
            completed[place] = value
    return completed
