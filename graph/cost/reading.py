"""From an operation to the tree of what it asks for, as execution will merge it.

Fragments are unfolded, directives applied, arguments coerced. Source: GraphQL specification, "Field Collection".
"""

from collections.abc import Iterable, Mapping
from typing import Any

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLCompositeType,
    GraphQLError,
    GraphQLIncludeDirective,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLSchema,
    GraphQLSkipDirective,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    get_named_type,
    get_nullable_type,
    get_variable_values,
    is_composite_type,
    is_list_type,
)
from graphql.execution.values import VariableValues, get_argument_values, get_directive_values
from msgspec import Struct

from fleet.aio import tracing
from fleet.aio.request_context import MOST_OF_A_NAME, current_request
from graph.limits.errors import LimitExceeded
from graph.loading.lookahead import narrow
from graph.spans import name_operation

MAX_FIELDS = 5_000
"""Selections an operation may unfold to: what a person writes, or a client generates, has some hundreds."""


class Part(Struct, frozen=True, gc=False):
    """A field as it will be executed, with what is asked inside it. `path` is of response keys, dotted."""

    parent: str
    name: str
    path: str
    result: str
    listed: bool
    arguments: Mapping[str, Any]
    inner: tuple["Part", ...]

    @property
    def coordinate(self) -> str:
        """The field in the schema: `Pod.usage`."""
        return f"{self.parent}.{self.name}"


KnownParts = dict[tuple[int, str], Part]
"""Parts of a document that are the same for all variables, by the identity of their field and their path."""


def read_operation(
    schema: GraphQLSchema,
    document: DocumentNode,
    name: str | None,
    variables: Mapping[str, Any] | None,
    known: KnownParts | None = None,
) -> tuple[Part, ...] | None:
    """The top-level fields, or None where nothing will run: no such operation, or variables that the core refuses.

    The document is valid. `known` is taken from, and added to. Raises LimitExceeded for one that unfolds to more than
    `MAX_FIELDS`.
    """
    operation = find_operation(document, name)
    root = schema.get_root_type(operation.operation) if operation is not None else None
    if operation is None or root is None:
        return None
    values = get_variable_values(schema, operation.variable_definitions or (), dict(variables or {}), max_errors=1)
    if isinstance(values, list):
        return None
    return _Reader(schema, document, values, known).read((operation.selection_set,), root, "")


def _is_constant(node: FieldNode) -> bool:
    """Whether no variable decides on anything in it: it holds none, and spreads nothing that may."""
    if node.loc is None:
        return False
    text = node.loc.source.body[node.loc.start : node.loc.end]
    return "$" not in text and "..." not in text


def find_operation(document: DocumentNode, name: str | None) -> OperationDefinitionNode | None:
    """The operation that a request names, or the only one; None where that is unclear."""
    operations = [node for node in document.definitions if isinstance(node, OperationDefinitionNode)]
    if name is None:
        return operations[0] if len(operations) == 1 else None
    return next((node for node in operations if node.name is not None and node.name.value == name), None)


def note_operation(operation: OperationDefinitionNode | None) -> None:
    """For logs and traces: the name that the document has for it, which is not always what the request says."""
    if operation is not None and tracing.tracer is not None:
        name_operation(operation)
    if (request := current_request()) is not None and operation is not None and operation.name is not None:
        request.operation = operation.name.value[:MOST_OF_A_NAME]


_Group = tuple[GraphQLCompositeType, list[FieldNode]]


class _Reader:
    def __init__(
        self, schema: GraphQLSchema, document: DocumentNode, values: VariableValues, known: KnownParts | None
    ) -> None:
        self._schema = schema
        self._known = known
        self._values = values
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._visited = 0

    def read(self, selections: Iterable[SelectionSetNode], parent: GraphQLCompositeType, path: str) -> tuple[Part, ...]:
        groups: dict[tuple[str, str], _Group] = {}
        spread: set[tuple[str, str]] = set()
        for selection_set in selections:
            self._collect(selection_set, parent, groups, spread)
        parts = (self._find(of, nodes, f"{path}.{key}" if path else key) for (key, _), (of, nodes) in groups.items())
        return tuple(part for part in parts if part is not None)

    def _find(self, of: GraphQLCompositeType, nodes: list[FieldNode], path: str) -> Part | None:
        if self._known is None or len(nodes) > 1:
            return self._build(of, nodes, path)
        place = (id(nodes[0]), path)
        found = self._known.get(place)
        if found is not None and found.parent == of.name:
            return found
        found = self._build(of, nodes, path)
        if found is not None and found.inner and _is_constant(nodes[0]):
            self._known[place] = found
        return found

    def _build(self, of: GraphQLCompositeType, nodes: list[FieldNode], path: str) -> Part | None:
        """The part, or None for a field that asks about the schema, or whose own arguments will be its error."""
        first = nodes[0]
        name = first.name.value
        if name.startswith("__") or not isinstance(of, GraphQLObjectType | GraphQLInterfaceType):
            return None
        definition = of.fields.get(name)
        if definition is None:
            return None
        try:
            arguments = get_argument_values(definition, first, self._values)
        except GraphQLError:
            return None
        result = get_named_type(definition.type)
        inner: tuple[Part, ...] = ()
        if is_composite_type(result):
            inside = (node.selection_set for node in nodes if node.selection_set is not None)
            inner = self.read(inside, result, path)
        listed = is_list_type(get_nullable_type(definition.type))
        return Part(of.name, name, path, result.name, listed, arguments, inner)

    def _collect(
        self,
        selections: SelectionSetNode,
        parent: GraphQLCompositeType,
        groups: dict[tuple[str, str], _Group],
        spread: set[tuple[str, str]],
    ) -> None:
        for node in selections.selections:
            self._visited += 1
            if self._visited > MAX_FIELDS:
                raise LimitExceeded(
                    f"the operation unfolds to more than {MAX_FIELDS:,} selections: ask in several operations",
                    node,
                    {"limit": MAX_FIELDS},
                )
            if not self._is_included(node):
                continue
            if isinstance(node, FieldNode):
                key = node.alias.value if node.alias is not None else node.name.value
                groups.setdefault((key, parent.name), (parent, []))[1].append(node)
            elif isinstance(node, InlineFragmentNode):
                for kind in narrow(self._schema, node.type_condition, parent):
                    self._collect(node.selection_set, kind, groups, spread)
            elif isinstance(node, FragmentSpreadNode) and (node.name.value, parent.name) not in spread:
                spread.add((node.name.value, parent.name))
                fragment = self._fragments[node.name.value]
                for kind in narrow(self._schema, fragment.type_condition, parent):
                    self._collect(fragment.selection_set, kind, groups, spread)

    def _is_included(self, node: Any) -> bool:
        if not node.directives:
            return True
        skip = get_directive_values(GraphQLSkipDirective, node, self._values)
        include = get_directive_values(GraphQLIncludeDirective, node, self._values)
        return not (skip and skip["if"]) and not (include and not include["if"])
