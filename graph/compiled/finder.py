"""What each field of a selection is to generated code: read from its object, called directly, shared, or batched."""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from functools import partial
from inspect import Parameter
from operator import attrgetter
from typing import Any, Self, cast

from graphql import (
    FieldNode,
    GraphQLField,
    GraphQLList,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLOutputType,
)
from graphql.execution.collect_fields import FieldDetails, GroupedFieldSet
from msgspec import Struct
from strawberry.types.field import StrawberryField

from graph.compiled.calls import DirectField, Read, SharedField, lazy_class
from graph.compiled.encoded import EncodedBudget
from graph.compiled.fields import NotCompilable, convert_arguments, find_field
from graph.compiled.rows import BatchedField, RowReader, write_one
from graph.types.fields import BATCHED, SHARED_BY, Batched

Collect = Callable[[GraphQLObjectType, Sequence[FieldDetails]], GroupedFieldSet]
Arguments = Callable[[GraphQLField, FieldNode], dict[str, Any]]
Remember = Callable[[str, GraphQLObjectType, Sequence[FieldDetails], Callable[[], Any]], Any]
"""What was made for a selection in a role, made by the last argument where it is not kept."""


class Operation(Struct, frozen=True):
    """What is asked of the operation that is compiled. With a `budget`, lists of views become text."""

    collect: Collect
    arguments: Arguments
    scalars: Any
    config: Any
    remember: Remember
    budget: EncodedBudget | None


class FieldFinder(ABC):
    """Of one selection and of those inside it."""

    def __init__(self, operation: Operation) -> None:
        self._operation = operation

    @abstractmethod
    def write_nested(self, kind: GraphQLObjectType, details: Sequence[FieldDetails]) -> tuple[str, type]:
        """Writes the function of an object inside another, and says what class it reads. Raises NotCompilable."""

    @abstractmethod
    def finish(self, name: str) -> Callable[[], Read]:
        """What compiles the function of that name when it is called; it keeps nothing of the operation."""

    def compile(self, name: str) -> Read:
        return self.finish(name)()

    @abstractmethod
    def build_rows(self, kind: GraphQLObjectType, details: Sequence[FieldDetails]) -> tuple[RowReader, type]:
        """What reads lists of such objects by columns, and their class. Raises NotCompilable."""

    def find_direct(
        self, kind: GraphQLObjectType, key: str, details: list[FieldDetails], *, read: bool = True
    ) -> DirectField | None:
        """The field as one whose resolver is called directly, None where core has to do that.

        Without `read` its result is read by who calls it.
        """
        try:
            definition, field = find_field(kind, details[0].node.name.value)
            resolver = field.base_resolver
            if resolver is None:
                return None
            arguments = self.arguments_of(definition, field, details[0].node)
        except NotCompilable:
            return None
        info_name = None if resolver.info_parameter is None else resolver.info_parameter.name
        if info_name is not None:
            arguments.pop(info_name)
        parameters = list(resolver.signature.parameters.values())
        found, origin = self._find_result(definition.type, details) if read else (None, None)
        return DirectField(
            key=key,
            definition=definition,
            details=details,
            nodes=[each.node for each in details],
            field=field,
            call=cast("Callable[..., Any]", resolver.wrapped_func),
            info_name=info_name,
            takes_info=info_name is not None and _is_second(parameters, info_name),
            arguments=arguments,
            info_class=lazy_class(self._operation.config.info_class),
            read=found,
            origin=origin,
        )

    def _find_result(self, returned: GraphQLOutputType, details: list[FieldDetails]) -> tuple[Read | None, type | None]:
        """How a field's own object is read, and of what class it is, where all of its selection is plain."""
        kind = present(returned)
        if not isinstance(kind, GraphQLObjectType):
            return None, None
        found: tuple[Read | None, type | None] = self._operation.remember(
            "result", kind, details, lambda: self._compile_result(kind, details)
        )
        return found

    def _compile_result(
        self, kind: GraphQLObjectType, details: Sequence[FieldDetails]
    ) -> tuple[Read | None, type | None]:
        inner = self._another()
        try:
            name, origin = inner.write_nested(kind, details)
        except NotCompilable:
            return None, None
        return inner.compile(name), origin

    def find_shared(
        self, kind: GraphQLObjectType, field: StrawberryField, details: Sequence[FieldDetails], *, by_columns: bool
    ) -> SharedField | None:
        """The field as one whose resolver says that objects share it. Raises NotCompilable where not all is plain.

        With `by_columns` its values are text.
        """
        shared_by = field.metadata.get(SHARED_BY)
        if not shared_by or field.base_resolver is None or field.base_resolver.info_parameter is None:
            return None
        direct = self.find_direct(kind, field.python_name, list(details), read=False)
        item = None if direct is None else present(direct.definition.type)
        if direct is None or not isinstance(item, GraphQLObjectType):
            raise NotCompilable
        inner, key_of = self._another(), attrgetter(*shared_by)
        if by_columns:
            rows, origin = inner.build_rows(item, details)
            return SharedField(direct, kind, key_of, origin, lambda: partial(write_one, rows))
        name, origin = inner.write_nested(item, details)
        return SharedField(direct, kind, key_of, origin, inner.finish(name))

    def find_batched(
        self, returned: GraphQLOutputType, field: StrawberryField, details: Sequence[FieldDetails]
    ) -> BatchedField | None:
        batched: Batched | None = field.metadata.get(BATCHED)
        if batched is None or not isinstance(returned, GraphQLObjectType):
            return None
        rows, _ = self._another().build_rows(returned, details)
        return None if rows.stamped else BatchedField(batched, rows)

    def arguments_of(self, definition: GraphQLField, field: StrawberryField, node: FieldNode) -> dict[str, Any]:
        return convert_arguments(
            field,
            lambda: self._operation.arguments(definition, node),
            config=self._operation.config,
            scalars=self._operation.scalars,
        )

    def _another(self) -> Self:
        return type(self)(self._operation)


def _is_second(parameters: Sequence[Parameter], name: str) -> bool:
    """Whether the parameter of that name is given by its place as well, after the object."""
    return len(parameters) > 1 and parameters[1].name == name and parameters[1].kind is Parameter.POSITIONAL_OR_KEYWORD


def present(kind: GraphQLOutputType) -> Any:
    """The type of what is not null."""
    return kind.of_type if isinstance(kind, GraphQLNonNull) else kind


def inner(kind: GraphQLList[Any]) -> Any:
    """The type of what is in it and not null."""
    return kind.of_type.of_type if isinstance(kind.of_type, GraphQLNonNull) else kind.of_type
