"""Source text that turns a leaf's value into what graphql-core would make of it.

Built-in scalars are checked inline, since their usual values stay as they are; all other values go through the type's
own `coerce_output_value`, which is what core does, and what core would complain about is `Bailout`.
"""

import enum
import math
import sys
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from graphql import (
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLFloat,
    GraphQLID,
    GraphQLInt,
    GraphQLLeafType,
    GraphQLString,
    Undefined,
)

from graph.scalars import LARGEST_BIG_INT, SMALLEST_BIG_INT, serialize_big_int


class Bailout(Exception):
    """A value that generated code does not treat itself."""


_BUILT_IN = {kind.name: kind for kind in (GraphQLString, GraphQLID, GraphQLBoolean, GraphQLInt, GraphQLFloat)}
_NONE = type(None)
_NO_VALUES = frozenset({_NONE, type(Undefined)})
_USUAL: dict[str, set[type]] = {
    "String": {str},
    "ID": {str},
    "Boolean": {bool},
    "Int": {int},
    "Float": {float},
    "BigInt": {int},
}
_BOUNDS: dict[str, tuple[float, float]] = {
    "Int": (-2147483648, 2147483647),
    "Float": (-sys.float_info.max, sys.float_info.max),
    "BigInt": (SMALLEST_BIG_INT, LARGEST_BIG_INT),
}
_INLINE = {
    "String": "type(value) is not str",
    "ID": "type(value) is not str",
    "Boolean": "value is not True and value is not False",
    **{
        name: f"type(value) is not {kind} or not {least!r} <= value <= {most!r}"
        for (name, (least, most)), kind in zip(_BOUNDS.items(), ("int", "float", "int"), strict=True)
    },
}
_FLOAT_OR_NULL = frozenset({float, type(None)})
PLAIN = frozenset({str, int, float, bool})
"""Classes of usual values, which are looked at more quickly than an abstract class is."""

_NEVER_PLAIN = (Exception, Awaitable)


def find_check(kind: GraphQLLeafType) -> str | None:
    """The condition on `value` under which a value has to be coerced, None where that is always so."""
    return _INLINE[kind.name] if _is_checked_inline(kind) else None


def _is_checked_inline(kind: GraphQLLeafType) -> bool:
    return _BUILT_IN.get(kind.name) is kind or kind.coerce_output_value is serialize_big_int


def are_floats(values: Sequence[Any]) -> bool:
    """Whether all are floats that JSON has, or null: then they stay as they are, without a look at each in Python."""
    return {*map(type, values)} <= _FLOAT_OR_NULL and math.isfinite(sum(filter(None, values)))


def build_column_check(kind: GraphQLLeafType, *, nullable: bool) -> Callable[[list[Any]], list[Any]]:
    """What core makes of many values. Usual ones are looked at by C code. Raises Bailout as `build_coercion`'s."""
    if isinstance(kind, GraphQLEnumType):
        return _build_enum_check(build_coercion(kind), nullable=nullable)
    coerce, usual, bounds = build_coercion(kind), _USUAL.get(kind.name), _BOUNDS.get(kind.name)
    built_in = _is_checked_inline(kind)
    own = None if built_in else kind.coerce_output_value

    def check(values: list[Any]) -> list[Any]:
        found = {*map(type, values)}
        if _NONE in found:
            if not nullable:
                raise Bailout
            present = [value for value in values if value is not None]
            if not present:
                return values
            found.discard(_NONE)
        else:
            present = values
        if built_in and found == usual and _are_within(present, bounds):
            return values
        if own is not None and found <= PLAIN and len(present) == len(values):
            written = list(map(own, values))
            if not {*map(type, written)} & _NO_VALUES:
                return written
            raise Bailout
        return [None if value is None else coerce(value) for value in values]

    return check


def _build_enum_check(coerce: Callable[[Any], Any], *, nullable: bool) -> Callable[[list[Any]], list[Any]]:
    """By the members' identity: their hash is Python code."""
    members: list[Any] = []
    known: dict[int, Any] = {id(None): None} if nullable else {}

    def check(values: list[Any]) -> list[Any]:
        try:
            return list(map(known.__getitem__, map(id, values)))
        except KeyError:
            new = {id(value): value for value in values if id(value) not in known}
            known.update({identity: coerce(value) for identity, value in new.items()})
            members.extend(new.values())  # so that no other object gets their identity
            return [known[id(value)] for value in values]

    return check


def _are_within(values: list[Any], bounds: tuple[float, float] | None) -> bool:
    return bounds is None or (bounds[0] <= min(values) and max(values) <= bounds[1] and not math.isnan(sum(values)))


def build_coercion(kind: GraphQLLeafType) -> Callable[[Any], Any]:
    """What core makes of a value. Raises Bailout where core would call it an error."""

    def coerce(value: Any) -> Any:
        if value.__class__ not in PLAIN and isinstance(value, _NEVER_PLAIN):
            raise Bailout
        found = kind.coerce_output_value(value)
        if found is None or found is Undefined:
            raise Bailout
        return found

    return _remember_members(coerce) if isinstance(kind, GraphQLEnumType) else coerce


def _remember_members(coerce_any: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Members are few and coerced by a search through all of them, so what was found once is kept."""
    known: dict[enum.Enum, Any] = {}

    def coerce(value: Any) -> Any:
        if not isinstance(value, enum.Enum):
            raise Bailout
        found = known.get(value)
        if found is None:
            found = coerce_any(value)
            known[value] = found
        return found

    return coerce
