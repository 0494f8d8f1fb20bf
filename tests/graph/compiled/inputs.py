"""Random arguments of any input type, as literals and as variables: given, left out, null, defaulted, wrong."""

import json
import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from graphql import (
    GraphQLArgument,
    GraphQLBoolean,
    GraphQLEnumType,
    GraphQLInputField,
    GraphQLInputObjectType,
    GraphQLInputType,
    GraphQLList,
    GraphQLNonNull,
    Undefined,
    get_named_type,
)

Values = Mapping[str, Sequence[Any]]
"""What scalars may be, by `Owner.name` of the argument or input field, its name, or the type's; the first counts."""

Together = Mapping[str, Sequence[tuple[str, ...]]]
"""Which optional arguments or input fields are given together, by `Type.field`, field or input type."""

WRONG: tuple[Any, ...] = (17.5, "nonsense", True, [None], {"nonsense": 1}, -(1 << 70), [[]])
_BOOLEAN = GraphQLNonNull(GraphQLBoolean)
_BUILT_IN: Values = {"Boolean": (True, False), "Int": (0, 1, 3), "Float": (0, 0.1, 2.5), "String": ("a",), "ID": ("a",)}


class Name(str):
    """An enum's value or a variable: written without quotes."""

    __slots__ = ()


class Variable(NamedTuple):
    """A declared variable. `name` is that of the argument or input field it was made for."""

    kind: GraphQLInputType
    owner: str
    name: str
    declared: str
    has_default: bool


class InputMaker:
    """Makes the arguments of one document, and any number of values for its variables."""

    def __init__(self, rng: random.Random, values: Values, together: Together) -> None:
        self._rng = rng
        self._values = {**_BUILT_IN, **values}
        self._together = together
        self._variables: dict[str, Variable] = {}

    @property
    def declarations(self) -> str:
        declared = ", ".join(f"${name}: {variable.declared}" for name, variable in self._variables.items())
        return f"({declared})" if declared else ""

    def draw(self, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Values for the variables; a few are missing, null or wrong. Those of `before`, but for one, where given."""
        drawn = dict(before or {})
        names = [*self._variables]
        for name in names if before is None or not names else [self._rng.choice(names)]:
            drawn.pop(name, None)
            variable = self._variables[name]
            roll = self._rng.random()
            may_miss = variable.has_default or not isinstance(variable.kind, GraphQLNonNull)
            if roll < (0.15 if may_miss else 0.01):
                continue
            if roll > 0.98:
                drawn[name] = self._rng.choice(WRONG)
            else:
                drawn[name] = self._make(variable.kind, variable.owner, variable.name, constant=True)
        return drawn

    def arguments(self, owner: str, name: str, given: Mapping[str, GraphQLArgument]) -> str:
        """`(first: 2, filter: {name: {eq: $v0}})`, or nothing."""
        field = f"{owner}.{name}"
        made = self._fields(given, field, self._together.get(field) or self._together.get(name), constant=False)
        return f"({', '.join(f'{key}: {_write(value)}' for key, value in made.items())})" if made else ""

    def condition(self) -> str:
        """The value of an `if`."""
        return _write(self._place(GraphQLArgument(_BOOLEAN), "Directive", "if", constant=False))

    def _fields(
        self,
        given: Mapping[str, GraphQLArgument] | Mapping[str, GraphQLInputField],
        owner: str,
        together: Sequence[tuple[str, ...]] | None,
        *,
        constant: bool,
    ) -> dict[str, Any]:
        chosen = self._rng.choice(together) if together else [name for name in given if self._rng.random() < 0.3]
        return {
            name: self._place(one, owner, name, constant=constant)
            for name, one in given.items()
            if name in chosen or (isinstance(one.type, GraphQLNonNull) and one.default_value is Undefined)
        }

    def _place(self, given: GraphQLArgument | GraphQLInputField, owner: str, name: str, *, constant: bool) -> Any:
        if not constant and self._rng.random() < 0.4:
            return Name(f"${self._declare(given.type, owner, name)}")
        return self._make(given.type, owner, name, constant=constant)

    def _declare(self, kind: GraphQLInputType, owner: str, name: str) -> str:
        """A variable that may stand where this type is wanted: one that is there, or another."""
        same = [key for key, known in self._variables.items() if (known.kind, known.name) == (kind, name)]
        if same and self._rng.random() < 0.5:
            return self._rng.choice(same)
        nullable = kind.of_type if isinstance(kind, GraphQLNonNull) else kind
        roll = self._rng.random()
        if roll < 0.4:  # null is no default where null is not taken: then the variable's type says so
            text = f"{nullable} = {_write(self._present(nullable, owner, name, constant=True))}"
        else:
            text = f"{nullable}!" if roll < 0.5 else str(kind)
        known = Variable(kind, owner, name, text, roll < 0.4)
        key = f"v{len(self._variables)}"
        self._variables[key] = known
        return key

    def _make(self, kind: GraphQLInputType, owner: str, name: str, *, constant: bool) -> Any:
        if isinstance(kind, GraphQLNonNull):
            return self._present(kind.of_type, owner, name, constant=constant)
        return None if self._rng.random() < 0.06 else self._present(kind, owner, name, constant=constant)

    def _present(self, kind: Any, owner: str, name: str, *, constant: bool) -> Any:
        if isinstance(kind, GraphQLList):
            if self._rng.random() < 0.15:  # one item stands for a list of it
                return self._present(get_named_type(kind), owner, name, constant=True)
            item = GraphQLArgument(kind.of_type)
            return [
                self._place(item, owner, f"{name}[]", constant=constant)
                for _ in range(self._rng.choice((0, 1, 1, 2, 3, 4)))
            ]
        if isinstance(kind, GraphQLEnumType):
            return Name(self._rng.choice([*kind.values]))
        if isinstance(kind, GraphQLInputObjectType):
            return self._fields(kind.fields, kind.name, self._together.get(kind.name), constant=constant)
        name = name.removesuffix("[]")
        found = next(self._values[key] for key in (f"{owner}.{name}", name, kind.name) if key in self._values)
        return self._rng.choice(found)


def _write(value: Any) -> str:
    """As a literal of GraphQL."""
    if isinstance(value, Name):
        return value
    if isinstance(value, dict):
        return f"{{{', '.join(f'{key}: {_write(inner)}' for key, inner in value.items())}}}"
    if isinstance(value, list):
        return f"[{', '.join(map(_write, value))}]"
    return json.dumps(value)
