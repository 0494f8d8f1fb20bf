"""Which reader belongs to which selection, kept as long as the operation's document is.

A selection is found by the nodes it was collected from and by the values of the variables in it, since these decide on
`@skip`, `@include` and arguments. Nodes are known by identity, so the plans of an operation hold it, and a document
that the parser's cache gives again finds its plans made.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar, cast

from graphql import (
    ArgumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLObjectType,
    ListValueNode,
    ObjectValueNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
)
from graphql.execution.collect_fields import CollectedFields, FieldDetails

from fleet.aio.lru import Lru
from graph.compiled.calls import DirectField
from graph.compiled.columns import ColumnWriter
from graph.compiled.encoded import ListEncoder
from graph.compiled.readers import Reader, build_reader

MAX_OPERATIONS = 16
"""Of those that nobody else keeps (`graph.compiled.documents` does)."""

MAX_SHAPES = 16
"""Selections with other values of variables that an operation keeps for each of its fields."""

PlanKey = tuple[Any, ...]
T = TypeVar("T")


class Plan:
    """What is known of one selection: the fields core collected, and how they are read, once somebody wants to know."""

    def __init__(self, kind: GraphQLObjectType, details: Sequence[FieldDetails], collected: CollectedFields) -> None:
        self.collected = collected
        self._kind = kind
        self._details = details
        self._reader: tuple[Reader | None] | None = None
        self._encoder: tuple[ListEncoder | None] | None = None

    def get_reader(self, open_writer: Callable[[], ColumnWriter]) -> Reader | None:
        """None where core does all of it."""
        if self._reader is None:
            self._reader = (build_reader(self._kind, self.collected.grouped_field_set, open_writer()),)
        return self._reader[0]

    def get_encoder(self, open_writer: Callable[[], ColumnWriter]) -> ListEncoder | None:
        """What makes whole lists of it text, None where they stay lists."""
        if self._encoder is None:
            self._encoder = (open_writer().find_encoder(self._kind, self._details),)
        return self._encoder[0]


Root = tuple[DirectField, ...] | None
"""The fields of an operation's root, None where core executes them."""


class OperationPlans:
    """The plans of one operation."""

    def __init__(self, operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]) -> None:
        self.operation = operation
        self._fragments = fragments
        self._root_variables: tuple[str, ...] | None = None
        self._variables: dict[int, tuple[FieldNode, tuple[str, ...]]] = {}
        self._plans: Lru[PlanKey, Plan] = Lru()
        self._roots: Lru[PlanKey, tuple[Root]] = Lru(MAX_SHAPES)
        self._parts: Lru[PlanKey, Any] = Lru()

    def find_key(
        self, kind: GraphQLObjectType, details: Sequence[FieldDetails], variables: Mapping[str, Any]
    ) -> PlanKey | None:
        """The selection's key, None for one that can't be kept: parts deferred, or values that don't hash."""
        names: tuple[str, ...] = ()
        identity: list[int] = []
        for node, defer, fragment_variables in details:
            if defer is not None or fragment_variables is not None:
                return None
            known = self._variables.get(id(node))
            if known is None:
                known = self._variables[id(node)] = (node, self._find_variables(node))
            identity.append(id(node))
            names += known[1]
        return _hashable((kind.name, *identity, _pick(variables, names)))

    def find_root_key(self, variables: Mapping[str, Any]) -> PlanKey | None:
        """The key of the root's fields, None for one that can't be kept."""
        if self._root_variables is None:
            self._root_variables = self._find_variables(self.operation)
        return _hashable(_pick(variables, self._root_variables))

    def get_root(self, key: PlanKey, make: Callable[[], Root]) -> Root:
        """The root's fields, made where they are not kept."""
        found = self._roots.get(key)
        if found is None:
            found = (make(),)
            self._roots.put(key, found)
        return found[0]

    def get(self, key: PlanKey) -> Plan | None:
        return self._plans.get(key)

    def keep(self, key: PlanKey, plan: Plan) -> None:
        """Keeps it, in the place of the one that was not asked for longest where there are too many."""
        self._plans.most = MAX_SHAPES * max(1, len(self._variables))
        self._plans.put(key, plan)

    def get_part(self, key: PlanKey, make: Callable[[], T]) -> T:
        """What was made for a selection, made where it is not kept."""
        found = self._parts.get(key)
        if found is None:
            found = make()
            self._parts.most = MAX_SHAPES * max(1, len(self._variables))
            self._parts.put(key, found)
        return cast("T", found)

    def _find_variables(self, node: FieldNode | OperationDefinitionNode) -> tuple[str, ...]:
        found: set[str] = set()
        if node.selection_set is not None:
            self._look(node.selection_set, found, set())
        return tuple(sorted(found))

    def _look(self, selections: SelectionSetNode, found: set[str], seen: set[str]) -> None:
        for node in selections.selections:
            for directive in node.directives or ():
                _look_at_values(directive.arguments or (), found)
            if isinstance(node, FieldNode):
                _look_at_values(node.arguments or (), found)
            inner: SelectionSetNode | None = getattr(node, "selection_set", None)
            if isinstance(node, FragmentSpreadNode):
                name = node.name.value
                fragment = self._fragments.get(name) if name not in seen else None
                seen.add(name)
                inner = fragment.selection_set if fragment is not None else None
            if inner is not None:
                self._look(inner, found, seen)


def _pick(variables: Mapping[str, Any], names: Iterable[str]) -> PlanKey:
    return tuple((name, variables[name]) for name in names if name in variables)


def _hashable(key: PlanKey) -> PlanKey | None:
    try:
        hash(key)
    except TypeError:
        return None
    return key


def _look_at_values(arguments: Iterable[ArgumentNode], found: set[str]) -> None:
    waiting = [argument.value for argument in arguments]
    while waiting:
        value = waiting.pop()
        if isinstance(value, VariableNode):
            found.add(value.name.value)
        elif isinstance(value, ListValueNode):
            waiting.extend(value.values)
        elif isinstance(value, ObjectValueNode):
            waiting.extend(field.value for field in value.fields)


class Plans:
    """The plans of the operations that were asked lately."""

    def __init__(self) -> None:
        self._operations: Lru[int, OperationPlans] = Lru(MAX_OPERATIONS)

    def of(self, operation: OperationDefinitionNode, fragments: Mapping[str, FragmentDefinitionNode]) -> OperationPlans:
        """Those of an operation. Its identity can't be taken by another one while they are held."""
        found = self._operations.get(id(operation))
        if found is None:
            found = OperationPlans(operation, fragments)
            self._operations.put(id(operation), found)
        return found
