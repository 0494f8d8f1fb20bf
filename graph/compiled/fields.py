"""What Strawberry declared of a type and of its fields, as far as generated code may read it."""

from collections.abc import Callable
from typing import Any

from graphql import GraphQLField, GraphQLObjectType, GraphQLResolveInfo
from strawberry.schema.schema_converter import get_arguments
from strawberry.types.base import StrawberryObjectDefinition
from strawberry.types.field import StrawberryField

from graph.types.views import View

_DEFINITION = "strawberry-definition"

_NO_INFO: Any = GraphQLResolveInfo
"""Stands where no resolver that takes an info is called."""


class NotCompilable(Exception):
    """A field that generated code can't read: it takes `info`, waits, is of an abstract type, or is extended."""


def find_definition(kind: GraphQLObjectType) -> StrawberryObjectDefinition | None:
    """The class behind an object type, None where its objects may be of others."""
    found = kind.extensions.get(_DEFINITION) if kind.extensions else None
    return found if isinstance(found, StrawberryObjectDefinition) and found.is_type_of is None else None


def find_field(kind: GraphQLObjectType, name: str) -> tuple[GraphQLField, StrawberryField]:
    """A field that nothing stands around. Raises NotCompilable."""
    definition = kind.fields.get(name)
    field = definition.extensions.get(_DEFINITION) if definition is not None and definition.extensions else None
    if definition is None or not isinstance(field, StrawberryField) or field.extensions or field.permission_classes:
        raise NotCompilable
    return definition, field


def find_attribute(name: str, origin: type) -> str:
    """Where a plain field is read: a view that neither has nor gets it would look it up in its model."""
    declared = getattr(origin, "__dataclass_fields__", {}).get(name)
    if issubclass(origin, View) and not hasattr(origin, name) and declared is not None and not declared.init:
        return f"model.{name}"
    return f"source.{name}"


def convert_arguments(
    field: StrawberryField, given: Callable[[], dict[str, Any]], *, config: Any, scalars: Any
) -> dict[str, Any]:
    """A method's arguments but the object itself, as Strawberry hands them over. Raises NotCompilable."""
    resolver = field.base_resolver
    if (
        resolver is None
        or resolver.parent_parameter is not None
        or resolver.root_parameter is not None
        or resolver.self_parameter is None
    ):
        raise NotCompilable
    source = object()
    try:
        positional, named = get_arguments(
            field=field,
            source=source,
            info=_NO_INFO,
            kwargs=given(),
            config=config,
            scalar_registry=scalars,
        )
    except Exception as error:  # a value that the argument can't take: core says so at the field
        raise NotCompilable from error
    if positional != [source]:
        raise NotCompilable
    return named
