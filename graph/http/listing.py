"""The one list of an operation: what its rows and columns are, and the operation that asks for a page of it.

A document is rewritten once: of the list's own object it then asks for the rows, for where the next page begins and for
who answered, and `first` and `after` are variables of ours. Every page is that same text.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, cast

from graphql import (
    ArgumentNode,
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLNamedType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionSetNode,
    VariableNode,
    Visitor,
    get_named_type,
    get_nullable_type,
    is_list_type,
    parse,
    print_ast,
    value_from_ast_untyped,
    visit,
)
from msgspec import Struct

from graph.cost.reading import find_operation
from graph.limits.limits import Limits, check_text
from graph.limits.spreads import check_spreads
from graph.operation import Operation, Refused

Path = tuple[str, ...]

_ROWS = ("items", "edges")


def _parse_query(text: str) -> OperationDefinitionNode:
    (operation,) = parse(text, no_location=True).definitions
    return cast("OperationDefinitionNode", operation)


_OURS = _parse_query("""query ($rowsFirst: Int, $rowsAfter: String) {
  list(first: $rowsFirst, after: $rowsAfter) { pageInfo { hasNextPage endCursor } clusters { name state message } }
}""")
_LIST = cast("FieldNode", _OURS.selection_set.selections[0])
_ASKED = cast("tuple[FieldNode, ...]", cast("SelectionSetNode", _LIST.selection_set).selections)
_PAGING = _LIST.arguments or ()
_DECLARED = _OURS.variable_definitions or ()


class Listing(Struct, frozen=True):
    """A list, and how a page of it is asked for. `most` is the caller's `first`: how many rows there are at most.

    `path` leads from the data to the rows, through objects that may be null; `outcomes` to who answered, where that is
    known. Where `page_info` is None there is one page.
    """

    text: str
    name: str | None
    variables: Mapping[str, Any]
    path: Path
    columns: tuple[Path, ...]
    page_info: Path | None
    outcomes: Path | None
    most: int | None
    after: str | None

    def ask(self, first: int, after: str | None) -> Operation:
        paging = {} if self.page_info is None else {"rowsFirst": first, "rowsAfter": after}
        return Operation(self.text, {**self.variables, **paging}, self.name)


def find_listing(schema: GraphQLSchema, operation: Operation, limits: Limits) -> Listing | None:
    """The list that a query asks for; None where there is none, or more than one.

    The document may be wrong in any way: what is found in it is to be validated. Raises GraphQLSyntaxError,
    LimitExceeded, RecursionError, Refused.
    """
    check_text(operation.query, limits)
    document = parse(operation.query)
    check_spreads(document, limits.spreads)
    asked = find_operation(document, operation.name)
    if asked is None or schema.query_type is None:
        return None
    return _Finder(schema, document, asked, operation.variables or {}).find(operation.name)


@dataclass(frozen=True)
class _Found:
    selections: SelectionSetNode
    path: Path
    columns: tuple[Path, ...]
    page_info: Path | None


class _Finder:
    def __init__(
        self,
        schema: GraphQLSchema,
        document: DocumentNode,
        operation: OperationDefinitionNode,
        variables: Mapping[str, Any],
    ) -> None:
        self._schema = schema
        self._operation = operation
        self._given = variables
        self._fragments = {
            node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)
        }
        self._most: int | None = None
        self._after: str | None = None
        self._outcomes: Path | None = None

    def find(self, name: str | None) -> Listing | None:
        found = self._descend(self._operation.selection_set, self._schema.query_type, ())
        if found is None:
            return None
        used, spread = self._read_names(found.selections)
        declared = (*(self._operation.variable_definitions or ()), *_DECLARED)
        operation = replace(
            self._operation,
            selection_set=found.selections,
            variable_definitions=tuple(node for node in declared if node.variable.name.value in used),
        )
        parts = [operation, *(node for node in self._fragments.values() if node.name.value in spread)]
        return Listing(
            "\n".join(print_ast(part) for part in parts),
            name,
            {key: value for key, value in self._given.items() if key in used},
            found.path,
            found.columns,
            found.page_info,
            self._outcomes,
            self._most,
            self._after,
        )

    def _descend(self, selections: SelectionSetNode, parent: GraphQLNamedType | None, path: Path) -> "_Found | None":
        """The only list below here. What else is selected beside it is left out."""
        known = _fields_of(parent)
        fields = [node for node in selections.selections if isinstance(node, FieldNode) and node.selection_set]
        rows = [node for node in fields if node.name.value in _ROWS and "pageInfo" in known]
        inner = rows or [node for node in fields if node.name.value not in ("pageInfo", "clusters") or not path]
        if len(inner) != 1 or (kind := known.get(inner[0].name.value)) is None or inner[0].selection_set is None:
            return None
        (node,), of, page_info = inner, get_named_type(kind.type), (*path, "pageInfo") if rows else None
        here, inside = (*path, _key(node)), inner[0].selection_set
        outcomes = "clusters" in known and get_named_type(known["clusters"].type).name == "ClusterOutcome"
        beside = [
            asked
            for asked in _ASKED
            if path and asked.name.value in known and (page_info if asked.name.value == "pageInfo" else outcomes)
        ]
        if any(asked.name.value == "clusters" for asked in beside):
            self._outcomes = (*path, "clusters")
        if is_list_type(get_nullable_type(kind.type)):
            columns = tuple(dict.fromkeys(self._list_columns(inside, of, ())))
            return _Found(SelectionSetNode(selections=(node, *beside)), here, columns, page_info)
        found = self._descend(inside, of, here)
        if found is None:
            return None
        arguments = self._take_paging(node) if found.page_info == (*here, "pageInfo") else node.arguments
        node = replace(node, arguments=arguments, selection_set=found.selections)
        return replace(found, selections=SelectionSetNode(selections=(node, *beside)))

    def _take_paging(self, node: FieldNode) -> tuple[ArgumentNode, ...]:
        """The field's arguments, with variables of ours for the caller's `first` and `after`. Raises Refused."""
        given = {argument.name.value: argument for argument in node.arguments or ()}
        first, after = self._value_of(given.pop("first", None)), self._value_of(given.pop("after", None))
        if first is not None and (not isinstance(first, int) or isinstance(first, bool) or first < 0):
            raise Refused(400, f"`first` is how many rows there are at most, 0 at least, not {str(first)[:50]}")
        if after is not None and not isinstance(after, str):
            raise Refused(400, "`after` is the cursor of the row before the first")
        self._most, self._after = first, after
        return (*given.values(), *_PAGING)

    def _value_of(self, argument: ArgumentNode | None) -> object:
        if argument is None:
            return None
        if not isinstance(argument.value, VariableNode):
            return value_from_ast_untyped(argument.value)
        name = argument.value.name.value
        if name in self._given:
            return self._given[name]
        for node in self._operation.variable_definitions or ():
            if node.variable.name.value == name and node.default_value is not None:
                return value_from_ast_untyped(node.default_value)
        return None

    def _list_columns(
        self,
        selections: SelectionSetNode,
        kind: GraphQLNamedType | None,
        path: Path,
        within: frozenset[str] = frozenset(),
    ) -> Iterator[Path]:
        """Paths of what is no object, in the order of the document; a list is one column."""
        for node in selections.selections:
            if isinstance(node, FieldNode):
                here, field = (*path, _key(node)), _fields_of(kind).get(node.name.value)
                if node.selection_set is None or field is None or is_list_type(get_nullable_type(field.type)):
                    yield here
                else:
                    yield from self._list_columns(node.selection_set, get_named_type(field.type), here, within)
            elif isinstance(node, InlineFragmentNode):
                condition = node.type_condition
                of = kind if condition is None else self._schema.get_type(condition.name.value)
                yield from self._list_columns(node.selection_set, of, path, within)
            elif isinstance(node, FragmentSpreadNode):
                name, fragment = node.name.value, self._fragments.get(node.name.value)
                if fragment is not None and name not in within:
                    of = self._schema.get_type(fragment.type_condition.name.value)
                    yield from self._list_columns(fragment.selection_set, of, path, within | {name})

    def _read_names(self, selections: SelectionSetNode) -> tuple[set[str], set[str]]:
        """The variables that are used, and the fragments, in what is left of the document."""
        names = _Names()
        visit(selections, names)
        for directive in self._operation.directives or ():
            visit(directive, names)
        for fragment in iter(lambda: names.take(), None):
            if fragment in self._fragments:
                visit(self._fragments[fragment], names)
        return names.variables, names.fragments


class _Names(Visitor):
    def __init__(self) -> None:
        super().__init__()
        self.variables: set[str] = set()
        self.fragments: set[str] = set()
        self._open: list[str] = []

    def take(self) -> str | None:
        """A fragment that was not visited yet."""
        return self._open.pop() if self._open else None

    def enter_variable(self, node: VariableNode, *_args: Any) -> None:
        self.variables.add(node.name.value)

    def enter_fragment_spread(self, node: FragmentSpreadNode, *_args: Any) -> None:
        if node.name.value not in self.fragments:
            self.fragments.add(node.name.value)
            self._open.append(node.name.value)


def _key(node: FieldNode) -> str:
    return (node.alias or node.name).value


def _fields_of(kind: GraphQLNamedType | None) -> Mapping[str, Any]:
    found: Mapping[str, Any] = getattr(kind, "fields", {})
    return found
