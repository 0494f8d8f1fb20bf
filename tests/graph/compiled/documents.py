"""Random documents that are valid for a schema: fragments, aliases, directives, variables, repeated fields."""

import random
from collections.abc import Callable, Mapping

from graphql import (
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNonNull,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_composite_type,
    is_leaf_type,
)

Arguments = Mapping[str, Callable[[random.Random], str]]
"""Text of a field's arguments, by `Type.field`; a field with required arguments that is not named is left out."""

Composite = GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType

_VARIABLES = {"$yes": "$yes: Boolean! = true", "$no": "$no: Boolean! = false", "$size": "$size: Int = 3"}
_CONDITIONS = ("$yes", "$no", "true", "false")


class DocumentMaker:
    """Makes one document. `skipped` names fields, as `Type.field`, whose values differ from call to call."""

    def __init__(
        self, schema: GraphQLSchema, rng: random.Random, arguments: Arguments, skipped: frozenset[str] = frozenset()
    ) -> None:
        self._schema = schema
        self._rng = rng
        self._arguments = arguments
        self._skipped = skipped
        self._fragments: dict[str, str] = {}

    def make(self, depth: int = 4) -> str:
        """The document; its variables are `yes`, `no` and `size`."""
        root = self._schema.query_type
        assert root is not None
        text = " ".join([self._selection(root, depth), *self._fragments.values()])
        used = [declared for name, declared in _VARIABLES.items() if name in text]
        return f"query Any{f'({chr(44).join(used)})' if used else ''} {text}"

    def _selection(self, kind: Composite, depth: int) -> str:
        parts = [self._part(kind, depth) for _ in range(self._rng.randint(1, 5))]
        known = [part for part in parts if part]
        return "{ " + " ".join(known or ["__typename"]) + " }"

    def _part(self, kind: Composite, depth: int) -> str:
        choice = self._rng.random()
        if choice < 0.08:
            return self._inline(kind, depth)
        if choice < 0.16:
            return self._spread(kind, depth)
        if choice < 0.22:
            return self._aliased("__typename")
        return self._field(kind, depth)

    def _field(self, kind: Composite, depth: int) -> str:
        if isinstance(kind, GraphQLUnionType):
            return "__typename"
        usable = [name for name, field in kind.fields.items() if self._is_usable(kind, name, field, depth)]
        if not usable:
            return "__typename"
        name = self._rng.choice(usable)
        given = self._arguments.get(f"{kind.name}.{name}")
        arguments = given(self._rng) if given is not None else ""
        result = get_named_type(kind.fields[name].type)
        inner = f" {self._selection(result, depth - 1)}" if is_composite_type(result) else ""
        # An alias for all that has arguments or a selection of its own: two of one name may not be merged.
        alias = f"a{self._rng.getrandbits(40)}: " if arguments or inner else self._alias(name)
        return f"{alias}{name}{arguments}{self._directive()}{inner}"

    def _is_usable(self, kind: Composite, name: str, field: GraphQLField, depth: int) -> bool:
        if f"{kind.name}.{name}" in self._skipped or (depth <= 1 and not is_leaf_type(get_named_type(field.type))):
            return False
        needed = any(
            isinstance(given.type, GraphQLNonNull) and not given.default_value for given in field.args.values()
        )
        return not needed or f"{kind.name}.{name}" in self._arguments

    def _inline(self, kind: Composite, depth: int) -> str:
        on = self._narrowed(kind)
        return f"... on {on.name}{self._directive()} {self._selection(on, depth)}"

    def _spread(self, kind: Composite, depth: int) -> str:
        on = self._narrowed(kind)
        name = f"F{len(self._fragments)}"
        self._fragments[name] = ""  # its place, so that those inside it get other names
        self._fragments[name] = f"fragment {name} on {on.name} {self._selection(on, depth)}"
        return f"...{name}{self._directive()}"

    def _narrowed(self, kind: Composite) -> Composite:
        if isinstance(kind, GraphQLInterfaceType | GraphQLUnionType) and self._rng.random() < 0.7:
            return self._rng.choice(self._schema.get_possible_types(kind))
        return kind

    def _alias(self, name: str) -> str:
        return self._aliased(name)[: -len(name)] if self._rng.random() < 0.2 else ""

    def _aliased(self, name: str) -> str:
        return f"b{self._rng.getrandbits(40)}: {name}"

    def _directive(self) -> str:
        if self._rng.random() < 0.88:
            return ""
        return f" @{self._rng.choice(('skip', 'include'))}(if: {self._rng.choice(_CONDITIONS)})"
