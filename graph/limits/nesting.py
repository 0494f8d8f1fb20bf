"""Bounds how often a list is asked for inside a list inside a list: work grows with the product of their lengths."""

from typing import Any, ClassVar

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLInterfaceType,
    GraphQLObjectType,
    InlineFragmentNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    ValidationRule,
    get_named_type,
)

from graph.limits.errors import LimitExceeded

_LISTS = ("Connection", "_Entity")
"""How the names of the types end whose objects come in great numbers."""


class NestedListsRule(ValidationRule):
    """Refuses an operation with more connections on one path than a subclass says, fragments included."""

    most: ClassVar[int]

    def enter_operation_definition(self, node: OperationDefinitionNode, *_: Any) -> None:
        root = self.context.schema.get_root_type(node.operation)
        if root is not None and (path := self._find_too_deep(node.selection_set, root, (), set())):
            self.report_error(
                LimitExceeded(
                    f"{'.'.join(path)} asks for {len(path)} lists inside each other, at most {self.most} are "
                    "allowed: ask for the inner one in a query of its own",
                    node,
                    {"found": len(path), "limit": self.most},
                )
            )

    def _find_too_deep(
        self, selections: SelectionSetNode, parent: Any, path: tuple[str, ...], entered: set[tuple[str, int]]
    ) -> tuple[str, ...] | None:
        """The names of the connections on the first path that has too many.

        A fragment is entered once at each number of connections: so neither a circle nor fragments that spread each
        other many times over cost more than their text.
        """
        if len(path) > self.most:
            return path
        for node in selections.selections:
            inner, kind, longer = self._step_into(node, parent, path)
            if inner is None:
                continue
            if isinstance(node, FragmentSpreadNode):
                place = (node.name.value, len(path))
                if place in entered:
                    continue
                entered.add(place)
            if found := self._find_too_deep(inner, kind, longer, entered):
                return found
        return None

    def _step_into(
        self, node: SelectionNode, parent: Any, path: tuple[str, ...]
    ) -> tuple[SelectionSetNode | None, Any, tuple[str, ...]]:
        """What is selected inside, of which type, and the path with this field if it is a connection."""
        schema = self.context.schema
        if isinstance(node, FieldNode):
            fields = parent.fields if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType) else {}
            field = fields.get(node.name.value)
            if field is None:
                return None, None, path
            kind = get_named_type(field.type)
            return node.selection_set, kind, (*path, node.name.value) if kind.name.endswith(_LISTS) else path
        if isinstance(node, InlineFragmentNode):
            condition = node.type_condition
            return node.selection_set, schema.get_type(condition.name.value) if condition else parent, path
        fragment = self.context.get_fragment(node.name.value) if isinstance(node, FragmentSpreadNode) else None
        if fragment is None:
            return None, None, path
        return fragment.selection_set, schema.get_type(fragment.type_condition.name.value), path
