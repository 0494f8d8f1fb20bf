"""Whether a document is valid, by core's own rules: what is wrong with one that is not, core's `validate` says.

A rule is made when the document has a node that it looks at, and nodes are handed to the rules that look at their kind:
core's visitor, which may edit what it visits, asks all rules about each node.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

from graphql import (
    SKIP,
    ASTValidationRule,
    DocumentNode,
    FragmentDefinitionNode,
    GraphQLError,
    GraphQLSchema,
    NameNode,
    Node,
    NoUndefinedVariablesRule,
    NoUnusedVariablesRule,
    TypeInfo,
    ValidationContext,
    VariablesInAllowedPositionRule,
    Visitor,
)
from graphql.pyutils import RefMap
from graphql.validation import specified_rules
from graphql.validation.validate import query_document_keys_to_validate
from graphql.validation.validation_context import VariableUsage, VariableUsageVisitor
from strawberry.schema.validation_rules.maybe_null import MaybeNullValidationRule
from strawberry.schema.validation_rules.one_of import OneOfInputValidationRule

Rules = tuple[type[ASTValidationRule], ...]
Visitors = tuple[type[Visitor], ...]
Handler = tuple[int, str]
"""A visitor's number and the name of its method."""

_OF_VARIABLES = frozenset({NoUndefinedVariablesRule, NoUnusedVariablesRule, VariablesInAllowedPositionRule})
"""Rules that walk through each operation once more, for its variables."""

_GOES_ON = (None, SKIP, False)
_OF_STRAWBERRY = (MaybeNullValidationRule, OneOfInputValidationRule)


class _Invalid(Exception):
    pass


def is_valid(schema: GraphQLSchema, text: str, document: DocumentNode, more: Rules) -> bool:
    """Whether Strawberry and core would find nothing wrong with it, and neither would these rules.

    May say False of a document that is valid, where a rule asks for something that rules do not ask for today.
    """
    try:
        type_info = TypeInfo(schema)
        context = _Context(schema, document, type_info, _refuse)
        _Walk(type_info, _pick_rules(more, "$" in text), lambda rule: rule(context)).visit(document, None, None)
    except (_Invalid, RecursionError):
        return False
    return True


class _Context(ValidationContext):
    """As core's, which looks nodes up by all that is in them, and visits them for their variables."""

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self._fragment_spreads: Any = RefMap()
        self._variable_usages: Any = RefMap()
        self._recursive_variable_usages: Any = RefMap()

    def get_variable_usages(self, node: Any) -> list[VariableUsage]:
        usages: list[VariableUsage] | None = self._variable_usages.get(node)
        if usages is None:
            fragment = node if isinstance(node, FragmentDefinitionNode) else None
            visitor = VariableUsageVisitor(self._type_info, fragment)
            _Walk(self._type_info, (VariableUsageVisitor,), lambda _: visitor).visit(node, None, None)
            usages = self._variable_usages[node] = visitor.usages
        return usages


class _Walk:
    """One through a document, or a part of it. `open_visitor` makes the visitor of a class."""

    def __init__(self, type_info: TypeInfo, visitors: Visitors, open_visitor: Callable[[type[Any]], Any]) -> None:
        self._type_info = type_info
        self._visitors = visitors
        self._open_visitor = open_visitor
        self._made: dict[int, Any] = {}
        self._handlers: dict[str, tuple[list[Any], list[Any], Any, Any]] = {}
        self._skipping: dict[int, Node] = {}
        self._path: list[Any] = []
        self._ancestors: list[Any] = []

    def visit(self, node: Node, key: Any, parent: Any) -> None:
        """One node and all inside it. Raises _Invalid."""
        entering, leaving, step_in, step_out = self._handlers.get(node.kind) or self._find_handlers(node.kind)
        if step_in is not None:
            step_in(node)
        skipping, path, ancestors = self._skipping, self._path, self._ancestors
        for number, enter in entering:
            if number not in skipping and (said := enter(node, key, parent, path, ancestors)) is not None:
                if said not in _GOES_ON:
                    raise _Invalid
                skipping[number] = node
        if parent is None:
            self._visit_inside(node)
        else:
            ancestors.append(parent)
            self._visit_inside(node)
            ancestors.pop()
        for number, leave in leaving:
            if number not in skipping and leave(node, key, parent, path, ancestors) not in _GOES_ON:
                raise _Invalid
        if skipping:
            for number in [number for number, skipped in skipping.items() if skipped is node]:
                del skipping[number]
        if step_out is not None:
            step_out()

    def _visit_inside(self, node: Node) -> None:
        path, ancestors = self._path, self._ancestors
        for name in query_document_keys_to_validate.get(node.kind, ()):
            inner = getattr(node, name, None)
            if inner is None or inner.__class__ is NameNode:
                continue
            path.append(name)
            if inner.__class__ is tuple:
                ancestors.append(node)
                for place, entry in enumerate(inner):
                    path.append(place)
                    self.visit(entry, place, inner)
                    path.pop()
                ancestors.pop()
            else:
                self.visit(inner, name, node)
            path.pop()

    def _find_handlers(self, kind: str) -> Any:
        entering, leaving = _list_handlers(self._visitors, kind)
        found = self._handlers[kind] = (
            [(number, self._bind(number, name)) for number, name in entering],
            [(number, self._bind(number, name)) for number, name in leaving],
            getattr(self._type_info, f"enter_{kind}", None),
            getattr(self._type_info, f"leave_{kind}", None),
        )
        return found

    def _bind(self, number: int, name: str) -> Callable[..., Any]:
        visitor = self._made.get(number)
        if visitor is None:
            visitor = self._made[number] = self._open_visitor(self._visitors[number])
        method: Callable[..., Any] = getattr(visitor, name)
        return method


@lru_cache(maxsize=32)
def _pick_rules(more: Rules, has_variables: bool) -> Rules:
    rules = (*specified_rules, *more, *_OF_STRAWBERRY)
    return rules if has_variables else tuple(rule for rule in rules if rule not in _OF_VARIABLES)


@lru_cache(maxsize=1024)
def _list_handlers(visitors: Visitors, kind: str) -> tuple[Sequence[Handler], Sequence[Handler]]:
    """The visitors' methods for nodes of a kind, on entering and on leaving them."""
    return _list_methods(visitors, "enter", kind), _list_methods(visitors, "leave", kind)


def _list_methods(visitors: Visitors, when: str, kind: str) -> Sequence[Handler]:
    found = []
    for number, visitor in enumerate(visitors):
        name = next((name for name in (f"{when}_{kind}", when) if hasattr(visitor, name)), None)
        if name is not None:
            found.append((number, name))
    return found


def _refuse(_: GraphQLError) -> None:
    raise _Invalid
