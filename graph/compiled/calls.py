"""Fields that take an `info`, or wait: called without core's and Strawberry's way to them, and completed as core does.

The info is built when a resolver looks beyond its context. What a resolver gives goes through a reader where the
selection of it is plain, else through core's own completion, as does whatever is odd.
"""

from collections.abc import Awaitable, Callable
from functools import cached_property, lru_cache
from typing import Any, TypeAlias

from graphql import FieldNode, GraphQLField, GraphQLObjectType, GraphQLResolveInfo, is_non_null_type
from graphql.execution.collect_fields import FieldDetails
from graphql.pyutils import Path, gather_with_cancel
from msgspec import Struct
from strawberry.types.field import StrawberryField
from strawberry.types.info import Info

from graph.compiled.leaves import Bailout
from graph.loading.maybe_await import Deferred

Read = Callable[[Any, Any], Any]
"""The answer's object of a source, read for an executor."""

LazyPath: TypeAlias = Path | tuple[Path, int] | None
"""An object's path; in a list the list's path and the object's index, since a path is needed only where one errs."""


class DirectField(Struct, frozen=True):
    """A field that is more than a function of its object. `arguments` are its arguments but the info, converted.

    `takes_info` says that the resolver's second parameter is the info, whatever its name; else it is given by its name.
    """

    key: str
    definition: GraphQLField
    details: list[FieldDetails]
    nodes: list[FieldNode]
    field: StrawberryField
    call: Callable[..., Any]
    info_name: str | None
    takes_info: bool
    arguments: dict[str, Any]
    info_class: type[Info]
    read: Read | None
    origin: type | None


class SharedField:
    """A field with an info that shows the same, within a request, for all objects whose models have the same key.

    Resolvers say so by `shared_by` (`graph.types.fields`).
    """

    def __init__(
        self,
        field: DirectField,
        kind: GraphQLObjectType,
        key_of: Callable[[Any], Any],
        origin: type,
        find_read: Callable[[], Read],
    ) -> None:
        self.key_of = key_of
        self._field = field
        self._kind = kind
        self._origin = origin
        self._find_read = find_read

    def __call__(self, run: Any, source: Any) -> Any:
        """The completed value, kept for the request. Raises for what core has to look at."""
        known = run.shared.get(self)
        if known is None:
            known = run.shared[self] = {}
        key = self.key_of(source.model)
        if key not in known:
            found = self.resolve(run, source)
            known[key] = None if found is None else self._read(found, run)
        return known[key]

    def resolve(self, run: Any, source: Any) -> Any:
        """What the resolver gives, of the class that is read. Raises for what core has to look at."""
        found = _call(run, self._field, self._kind, source, None)
        if type(found) is self._origin or (found is None and not is_non_null_type(self._field.definition.type)):
            return found
        raise Bailout

    @cached_property
    def _read(self) -> Read:
        return self._find_read()


class LazyInfo:
    """Mixed into the schema's own class of infos: the context at hand, the rest made when it is looked at."""

    def __init__(self, *call: Any) -> None:
        self._call: tuple[Any, DirectField, GraphQLObjectType, LazyPath] = call

    @property
    def context(self) -> Any:
        return self._call[0].context_value

    @property
    def nodes(self) -> list[FieldNode]:
        return self._call[1].nodes

    @property
    def _field(self) -> StrawberryField:
        return self._call[1].field

    @cached_property
    def _raw_info(self) -> GraphQLResolveInfo[Any]:
        return _build_info(*self._call)


@lru_cache(maxsize=16)
def lazy_class(info_class: type[Info]) -> type[Any]:
    """The class of lazy infos that resolvers can't tell from the schema's own."""
    return type(f"Lazy{info_class.__name__}", (LazyInfo, info_class), {})


def run_direct(
    executor: Any, fields: tuple[DirectField, ...], kind: GraphQLObjectType, source: Any, parent: LazyPath, results: Any
) -> Any:
    """Fills the fields' places in `results`; an awaitable that does where one of them has to be waited for."""
    waiting: list[str] = []
    try:
        for field in fields:
            value = _run(executor, field, kind, source, parent)
            results[field.key] = value
            if value.__class__ is not dict and executor.is_awaitable(value):
                waiting.append(field.key)
    except Exception:
        if waiting:
            executor.settle_in_background([results[key] for key in waiting])
        raise
    return Deferred(_wait, results, waiting) if waiting else results


def as_path(parent: LazyPath) -> Path | None:
    return parent[0].add_key(parent[1], None) if parent.__class__ is tuple else parent  # type: ignore[union-attr, return-value]  # a Path is a tuple of its own class


def _run(executor: Any, field: DirectField, kind: GraphQLObjectType, source: Any, parent: LazyPath) -> Any:
    """As `Executor.execute_field` of core 3.3."""
    try:
        result = _call(executor, field, kind, source, parent)
        if field.read is not None and type(result) is field.origin:
            try:
                return field.read(result, executor)
            except Exception:  # noqa: BLE001, S110 - whatever it is, core answers or reports it in its own way
                pass
        if executor.is_awaitable(result):
            return Deferred(_resolve, executor, field, kind, parent, result)
        own = _own_path(field, kind, parent)
        made = _build_info(executor, field, kind, parent)
        completed = executor.complete_value(field.definition.type, field.details, made, own, result, None)
        if executor.is_awaitable(completed):
            return Deferred(_complete, executor, field, own, completed)
    except Exception as error:  # noqa: BLE001 - as core: it is the field's error
        executor.handle_field_error(error, field.definition.type, field.details, _own_path(field, kind, parent))
        return None
    return completed


def _call(executor: Any, field: DirectField, kind: GraphQLObjectType, source: Any, parent: LazyPath) -> Any:
    if field.info_name is None:
        return field.call(source, **field.arguments)
    info = field.info_class(executor, field, kind, parent)  # type: ignore[call-arg, arg-type]  # it is a LazyInfo
    if field.takes_info:
        return field.call(source, info, **field.arguments)
    return field.call(source, **{field.info_name: info}, **field.arguments)


def _own_path(field: DirectField, kind: GraphQLObjectType, parent: LazyPath) -> Path:
    return Path(as_path(parent), field.key, kind.name)


def _build_info(
    executor: Any, field: DirectField, kind: GraphQLObjectType, parent: LazyPath
) -> GraphQLResolveInfo[Any]:
    found: GraphQLResolveInfo[Any] = executor.build_resolve_info(
        field.definition, field.nodes, kind, _own_path(field, kind, parent)
    )
    return found


async def _resolve(
    executor: Any, field: DirectField, kind: GraphQLObjectType, parent: LazyPath, waiting: Awaitable[Any]
) -> Any:
    """As `Executor.complete_awaitable_value` of core 3.3."""
    path = _own_path(field, kind, parent)
    try:
        result = await waiting
        if executor.time_slice.is_over():
            with executor.dispatch.holding():  # resolvers of what is completed next may ask
                await executor.time_slice.begin_next()
        if field.read is not None and type(result) is field.origin:
            try:
                return field.read(result, executor)
            except Exception:  # noqa: BLE001, S110 - whatever it is, core answers or reports it in its own way
                pass
        info = _build_info(executor, field, kind, parent)
        completed = executor.complete_value(field.definition.type, field.details, info, path, result, None)
        if executor.is_awaitable(completed):
            completed = await completed
    except Exception as error:  # noqa: BLE001 - as core: it is the field's error
        executor.handle_field_error(error, field.definition.type, field.details, path)
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
