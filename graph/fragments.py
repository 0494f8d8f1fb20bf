"""Bounds what fragments unfold to before anything walks them: a few that spread each other twice unfold to millions."""

from collections.abc import Iterator, Mapping

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLError,
    OperationDefinitionNode,
    SelectionSetNode,
)
from strawberry.extensions import SchemaExtension

MAX_SPREADS = 500
"""Fragment spreads of an operation, those inside of spread fragments counted each time."""

SPREAD_WORDS = "fragment spreads"


class FragmentLimiter(SchemaExtension):
    """Refuses a parsed document before it is validated."""

    def on_parse(self) -> Iterator[None]:
        """Looks at the document once it is there. Raises GraphQLError."""
        yield
        document = self.execution_context.graphql_document
        if document is not None:
            check_spreads(document)


def check_spreads(document: DocumentNode) -> None:
    """Raises GraphQLError where an operation unfolds to too many spreads. Costs no more than the document's text."""
    spreads = {
        node.name.value: list(_list_spreads(node.selection_set))
        for node in document.definitions
        if isinstance(node, FragmentDefinitionNode)
    }
    known: dict[str, int] = {}
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            total = sum(1 + _count(name, spreads, known) for name in _list_spreads(node.selection_set))
            if total > MAX_SPREADS:
                raise GraphQLError(f"the operation unfolds to more than {MAX_SPREADS} {SPREAD_WORDS}", node)


def _count(name: str, spreads: Mapping[str, list[str]], known: dict[str, int]) -> int:
    if name not in known:
        known[name] = 0  # a circle ends here, and is another rule's error
        known[name] = sum(1 + _count(inner, spreads, known) for inner in spreads.get(name, ()))
    return known[name]


def _list_spreads(selections: SelectionSetNode) -> Iterator[str]:
    for node in selections.selections:
        if isinstance(node, FragmentSpreadNode):
            yield node.name.value
        elif (inner := getattr(node, "selection_set", None)) is not None:
            yield from _list_spreads(inner)
