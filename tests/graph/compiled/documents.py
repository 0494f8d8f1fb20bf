"""Random documents that are valid for a schema: fragments, aliases, directives, variables, repeats, merged fields."""

import random
from collections import defaultdict
from collections.abc import Mapping
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NamedTuple

from graphql import (
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLUnionType,
    get_named_type,
    is_composite_type,
    is_leaf_type,
)

from tests.graph.compiled.inputs import InputMaker, Together, Values

Composite = GraphQLObjectType | GraphQLInterfaceType | GraphQLUnionType


class Tastes(NamedTuple):
    """What documents are made of. `weights` say by its name how often a field is asked, where it is not 1.

    `varying` are fields, as `Type.field`, whose values differ from call to call: their aliases begin with `t`.
    """

    values: Values
    together: Together = MappingProxyType({})
    weights: Mapping[str, float] = MappingProxyType({})
    varying: frozenset[str] = frozenset()


class Fragment(NamedTuple):
    """A whole fragment, that may be spread again."""

    name: str
    on: Composite
    depth: int


class DocumentMaker:
    """Makes one document, and values for its variables. `asked` are the fields in it, as `Type.field`."""

    def __init__(self, schema: GraphQLSchema, rng: random.Random, tastes: Tastes) -> None:
        self._overlaps, self._ambiguous = _look_at(schema)
        self._schema = schema
        self._rng = rng
        self._tastes = tastes
        self._inputs = InputMaker(rng, tastes.values, tastes.together)
        self._texts: list[str] = []
        self._fragments: list[Fragment] = []
        self._names = 0
        self._left = 0
        self.asked: set[str] = set()

    def make(self, depth: int = 4, size: int = 60) -> str:
        """With about so many selections: what is left when they are made has no selections inside."""
        self._left = size
        root = self._schema.query_type
        assert root is not None
        text = " ".join([self._selection(root, depth), *self._texts])
        return f"query Any{self._inputs.declarations} {text}"

    def draw_variables(self, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Other values at each call, or one that is not as `before`: a key that lacks it finds what was kept then."""
        return self._inputs.draw(before)

    def _selection(self, kind: Composite, depth: int) -> str:
        if self._rng.random() < 0.05 and not isinstance(kind, GraphQLUnionType) and kind is not self._schema.query_type:
            parts = [self._field(kind, name, min(depth, 2)) for name in self._usable(kind, min(depth, 2))]
        else:
            parts = [self._part(kind, depth) for _ in range(self._rng.randint(1, 5))]
        return f"{{ {' '.join(parts or ['__typename'])} }}"

    def _part(self, kind: Composite, depth: int) -> str:
        self._left -= 1
        choice = self._rng.random()
        if choice < 0.08 or (choice < 0.6 and isinstance(kind, GraphQLUnionType)):
            on = self._choose_condition(kind)
            condition = "" if on is kind and self._rng.random() < 0.3 else f" on {on.name}"
            return f"...{condition}{self._directive()} {self._selection(on, depth)}"
        if choice < 0.16:
            return f"...{self._spread(kind, depth)}{self._directive()}"
        usable = [] if choice < 0.22 or isinstance(kind, GraphQLUnionType) else self._usable(kind, depth)
        if not usable:
            return f"{self._alias('b') if self._rng.random() < 0.7 else ''}__typename"
        weights = [self._tastes.weights.get(name, 1) for name in usable]
        return self._field(kind, self._rng.choices(usable, weights)[0], depth)

    def _field(self, kind: Composite, name: str, depth: int) -> str:
        assert not isinstance(kind, GraphQLUnionType)
        definition = kind.fields[name]
        self.asked.add(f"{kind.name}.{name}")
        result, arguments = get_named_type(definition.type), self._arguments(kind, name)
        if f"{kind.name}.{name}" in self._tastes.varying:
            return f"{self._alias('t')}{name}{self._directive()}"
        if not is_composite_type(result):
            needs = arguments or name in self._ambiguous or self._rng.random() < 0.2
            text = f"{self._alias('b') if needs else ''}{name}{arguments}{self._directive()}"
            return f"{text} {self._alias('b')}{name}{self._arguments(kind, name)}" if self._rng.random() < 0.1 else text
        # An alias for all that has arguments: two of one name may not be merged.
        bare = not arguments and name not in self._ambiguous and self._rng.random() < 0.5
        alias, inner = "" if bare else self._alias("a"), self._selection(result, depth - 1)
        text = f"{alias}{name}{arguments}{self._directive()} {inner}"
        again = self._rng.random()
        if again < 0.1:  # the same of it twice
            text += f" {self._alias('a')}{name}{arguments}{self._directive()} {inner}"
        elif again < 0.2:  # the same of another one
            text += f" {self._alias('a')}{name}{self._arguments(kind, name)} {inner}"
        elif again < 0.3:  # merged into one
            text += f" {alias}{name}{arguments}{self._directive()} {self._selection(result, depth - 1)}"
        return text

    def _arguments(self, kind: GraphQLObjectType | GraphQLInterfaceType, name: str) -> str:
        given = kind.fields[name].args
        return self._inputs.arguments(kind.name, name, given) if given else ""

    def _usable(self, kind: GraphQLObjectType | GraphQLInterfaceType, depth: int) -> list[str]:
        """Fields that are still asked here: without selections of their own where there is no room for one."""
        room = depth > 1 and self._left > 0
        return [name for name, field in kind.fields.items() if room or is_leaf_type(get_named_type(field.type))]

    def _spread(self, kind: Composite, depth: int) -> str:
        """The name of a fragment: of one that is there, or of another."""
        fitting = [
            known
            for known in self._fragments
            if known.depth <= depth and known.on in (kind, *self._overlaps[kind.name])
        ]
        if fitting and self._rng.random() < 0.4:
            return self._rng.choice(fitting).name
        on, name = self._choose_condition(kind), f"F{self._names}"
        self._names += 1
        self._texts.append(f"fragment {name} on {on.name} {self._selection(on, depth)}")
        self._fragments.append(Fragment(name, on, depth))
        return name

    def _choose_condition(self, kind: Composite) -> Composite:
        """What a fragment here may be of; often a type that the object can't be."""
        chance = 0.8 if isinstance(kind, GraphQLUnionType) else 0.3
        others = self._overlaps[kind.name]
        return self._rng.choice(others) if others and self._rng.random() < chance else kind

    def _alias(self, first: str) -> str:
        self._names += 1
        return f"{first}{self._names}: "

    def _directive(self) -> str:
        if self._rng.random() < 0.88:
            return ""
        return f" @{self._rng.choice(('skip', 'include'))}(if: {self._inputs.condition()})"


@lru_cache(maxsize=4)
def _look_at(schema: GraphQLSchema) -> tuple[dict[str, list[Composite]], frozenset[str]]:
    """Types that an object of a type may be of as well; and fields that are of several types where they may meet."""
    kinds: list[Any] = [kind for kind in schema.type_map.values() if is_composite_type(kind)]
    possible = {
        kind.name: {kind.name}
        if isinstance(kind, GraphQLObjectType)
        else {one.name for one in schema.get_possible_types(kind)}
        for kind in kinds
    }
    overlaps = {
        kind.name: [other for other in kinds if other is not kind and possible[kind.name] & possible[other.name]]
        for kind in kinds
    }
    types: dict[str, set[str]] = defaultdict(set)
    for kind in kinds:
        if overlaps[kind.name] and not isinstance(kind, GraphQLUnionType):
            for name, field in kind.fields.items():
                types[name].add(str(field.type))
    return overlaps, frozenset(name for name, found in types.items() if len(found) > 1)
