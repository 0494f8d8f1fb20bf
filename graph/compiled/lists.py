"""Lists of objects, completed by their reader; what is odd, item by item, as core would."""

from collections.abc import Awaitable, Sequence
from typing import Any

from graphql import GraphQLObjectType, GraphQLOutputType, GraphQLResolveInfo
from graphql.execution.collect_fields import FieldDetails
from graphql.pyutils import Path, gather_with_cancel
from msgspec import Struct

from graph.compiled.direct import run_direct
from graph.compiled.source import Reader


class ListField(Struct, frozen=True):
    """The list that is completed: the field's nodes and info, the type of its items, and where it is."""

    details: list[FieldDetails]
    info: GraphQLResolveInfo[Any]
    kind: GraphQLObjectType
    item_type: GraphQLOutputType
    path: Path


def complete_items(executor: Any, field: ListField, reader: Reader, items: Sequence[Any]) -> Any:
    """As `Executor.complete_iterable_value` of core 3.3, for a reader that leaves nothing to core but odd objects."""
    completed: list[Any] = []
    waiting: list[int] = []
    index = 0
    try:
        for index, item in enumerate(items):
            if _complete_item(executor, field, reader, item, completed):
                waiting.append(index)
    except Exception:
        left: list[Any] = [completed[place] for place in waiting]
        left += [item for item in items[index + 1 :] if executor.is_awaitable(item)]
        if left:
            executor.settle_in_background(left)
        raise
    return _gather(completed, waiting) if waiting else completed


def _complete_item(executor: Any, field: ListField, reader: Reader, item: Any, completed: list[Any]) -> bool:
    """Appends the item to the completed ones; whether it has to be waited for."""
    path = field.path.add_key(len(completed), None)
    try:
        value = reader.read(item)
    except Exception:  # noqa: BLE001 - whatever it is, core answers or reports it in its own way
        return _complete_by_core(executor, field, item, path, completed)
    if reader.direct:
        try:
            value = run_direct(executor, reader.direct, field.kind, item, path, value)
        except Exception as error:  # noqa: BLE001 - as core: it is the item's error
            executor.handle_field_error(error, field.item_type, field.details, path)
            completed.append(None)
            return False
        if value.__class__ is not dict:
            completed.append(_wait(executor, field, path, value))
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


async def _wait(executor: Any, field: ListField, path: Path, value: Awaitable[Any]) -> Any:
    try:
        return await value
    except Exception as error:  # noqa: BLE001 - as core: it is the item's error
        executor.handle_field_error(error, field.item_type, field.details, path)
        return None


async def _gather(completed: list[Any], waiting: list[int]) -> list[Any]:
    if len(waiting) == 1:
        completed[waiting[0]] = await completed[waiting[0]]
    else:
        found = await gather_with_cancel(*(completed[place] for place in waiting))
        for place, value in zip(waiting, found, strict=True):
            completed[place] = value
    return completed
