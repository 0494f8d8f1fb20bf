"""Fields that take an `info`, or wait: called without core's and Strawberry's way to them, and completed as core does.

The info is built when a resolver looks beyond its context. What a resolver gives goes through a reader where the
selection of it is plain, else through core's own completion, as does whatever is odd.
"""

from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import Any

from graphql import FieldNode, GraphQLField, GraphQLObjectType, GraphQLOutputType, GraphQLResolveInfo
from graphql.execution.collect_fields import FieldDetails
from graphql.pyutils import Path, gather_with_cancel
from msgspec import Struct
from strawberry.types.field import StrawberryField
from strawberry.types.info import Info

from graph.soon import Later


class DirectField(Struct, frozen=True):
    """A field that is more than a function of its object. `arguments` are its arguments but the info, converted."""

    key: str
    definition: GraphQLField
    details: list[FieldDetails]
    nodes: list[FieldNode]
    field: StrawberryField
    call: Callable[..., Any]
    info_name: str | None
    arguments: dict[str, Any]
    info_class: type[Info]
    read: Callable[[Any], dict[str, Any]] | None
    origin: type | None


class LazyInfo:
    """Mixed into the schema's own class of infos: the context at hand, the rest made when it is looked at."""

    _build: Callable[[], GraphQLResolveInfo[Any]]

    def __init__(self, context: Any, field: "DirectField", build: Callable[[], GraphQLResolveInfo[Any]]) -> None:
        self.__dict__.update(_context=context, _field=field.field, _build=build, _nodes=field.nodes)

    @property
    def context(self) -> Any:
        """The request's context."""
        return self.__dict__["_context"]

    @property
    def nodes(self) -> list[FieldNode]:
        """Where the document writes the field."""
        found: list[FieldNode] = self.__dict__["_nodes"]
        return found

    @cached_property
    def _raw_info(self) -> GraphQLResolveInfo[Any]:
        return self._build()


def lazy_class(info_class: type[Info]) -> type[Any]:
    """The class of lazy infos that resolvers can't tell from the schema's own."""
    return type(f"Lazy{info_class.__name__}", (LazyInfo, info_class), {})


def run_direct(
    executor: Any, fields: tuple[DirectField, ...], kind: GraphQLObjectType, source: Any, path: Any, results: Any
) -> Any:
    """Fills the fields' places in `results`; an awaitable that does where one of them has to be waited for."""
    waiting: list[str] = []
    try:
        for field in fields:
            value = _run(executor, field, kind, source, path)
            results[field.key] = value
            if value.__class__ is not dict and executor.is_awaitable(value):
                waiting.append(field.key)
    except Exception:
        if waiting:
            executor.settle_in_background([results[key] for key in waiting])
        raise
    return Later(_wait, results, waiting) if waiting else results


def _run(executor: Any, field: DirectField, kind: GraphQLObjectType, source: Any, path: Any) -> Any:
    """As `Executor.execute_field` of core 3.3."""
    returned: GraphQLOutputType = field.definition.type
    own = Path(path, field.key, kind.name)

    def build() -> GraphQLResolveInfo[Any]:
        found: GraphQLResolveInfo[Any] = executor.build_resolve_info(field.definition, field.nodes, kind, own)
        return found

    try:
        if field.info_name is None:
            result = field.call(source, **field.arguments)
        else:
            info = field.info_class(executor.context_value, field, build)  # type: ignore[call-arg, arg-type]  # it is a LazyInfo
            result = field.call(source, **{field.info_name: info}, **field.arguments)
        if field.read is not None and type(result) is field.origin:
            try:
                return field.read(result)
            except Exception:  # noqa: BLE001, S110 - whatever it is, core answers or reports it in its own way
                pass
        if executor.is_awaitable(result):
            return Later(_resolve, executor, field, own, build, result)
        completed = executor.complete_value(returned, field.details, build(), own, result, None)
        if executor.is_awaitable(completed):
            return Later(_complete, executor, field, own, completed)
    except Exception as error:  # noqa: BLE001 - as core: it is the field's error
        executor.handle_field_error(error, returned, field.details, own)
        return None
    return completed


async def _resolve(
    executor: Any,
    field: DirectField,
    path: Path,
    build: Callable[[], GraphQLResolveInfo[Any]],
    waiting: Awaitable[Any],
) -> Any:
    """As `Executor.complete_awaitable_value` of core 3.3."""
    returned: GraphQLOutputType = field.definition.type
    try:
        result = await waiting
        if executor.turn.is_over():
            await executor.turn.begin_another()
        if field.read is not None and type(result) is field.origin:
            try:
                return field.read(result)
            except Exception:  # noqa: BLE001, S110 - whatever it is, core answers or reports it in its own way
                pass
        completed = executor.complete_value(returned, field.details, build(), path, result, None)
        if executor.is_awaitable(completed):
            completed = await completed
    except Exception as error:  # noqa: BLE001 - as core: it is the field's error
        executor.handle_field_error(error, returned, field.details, path)
        return None
    return completed


async def _complete(executor: Any, field: DirectField, path: Path, completed: Awaitable[Any]) -> Any:
    try:
        return await completed
    except Exception as error:  # noqa: BLE001 - as core: it is the field's error
        executor.handle_field_error(error, field.definition.type, field.details, path)
        return None


async def _wait(results: dict[str, Any], waiting: list[str]) -> dict[str, Any]:
    if len(waiting) == 1:
        results[waiting[0]] = await results[waiting[0]]
    else:
        found = await gather_with_cancel(*(results[key] for key in waiting))
        results.update(zip(waiting, found, strict=True))
    return results
