"""Bounds a document's shape: levels of fields, aliases, directives."""

from typing import Any, ClassVar

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    Node,
    OperationDefinitionNode,
    SelectionSetNode,
    ValidationRule,
)

from graph.limits.errors import LimitExceeded


class ShapeRule(ValidationRule):
    """Refuses a document with more than a subclass says. Fields about the schema itself count no level."""

    max_depth: ClassVar[int]
    max_aliases: ClassVar[int]
    max_directives: ClassVar[int]

    def __init__(self, context: Any) -> None:
        super().__init__(context)
        self._aliases = 0
        self._directives = 0
        self._depths: dict[str, int] = {}

    def enter_field(self, node: FieldNode, *_: Any) -> None:
        self._aliases += node.alias is not None

    def enter_directive(self, *_: Any) -> None:
        self._directives += 1

    def enter_operation_definition(self, node: OperationDefinitionNode, *_: Any) -> None:
        depth = self._measure(node.selection_set)
        if depth > self.max_depth:
            self._refuse(
                f"the operation is {depth} levels of fields deep, at most {self.max_depth} are allowed: "
                "ask for the inner ones in a query of their own",
                depth,
                self.max_depth,
                node,
            )

    def leave_document(self, node: DocumentNode, *_: Any) -> None:
        for found, limit, what in (
            (self._aliases, self.max_aliases, "aliases"),
            (self._directives, self.max_directives, "directives"),
        ):
            if found > limit:
                message = f"the document has {found} {what}, at most {limit} are allowed: ask in several requests"
                self._refuse(message, found, limit, node)

    def _refuse(self, message: str, found: int, limit: int, node: Node) -> None:
        self.report_error(LimitExceeded(message, node, {"found": found, "limit": limit}))

    def _measure(self, selections: SelectionSetNode | None) -> int:
        deepest = 0
        for node in selections.selections if selections is not None else ():
            if isinstance(node, FragmentSpreadNode):
                deepest = max(deepest, self._measure_fragment(node.name.value))
            elif not isinstance(node, FieldNode):
                deepest = max(deepest, self._measure(getattr(node, "selection_set", None)))
            elif not node.name.value.startswith("__"):
                deepest = max(deepest, 1 + self._measure(node.selection_set))
        return deepest

    def _measure_fragment(self, name: str) -> int:
        """Each fragment is measured once, however often it is spread. A circle is another rule's error."""
        if name not in self._depths:
            self._depths[name] = 0
            fragment: FragmentDefinitionNode | None = self.context.get_fragment(name)
            self._depths[name] = self._measure(fragment.selection_set) if fragment is not None else 0
        return self._depths[name]
