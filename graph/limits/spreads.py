"""Bounds what fragments unfold to before anything walks them: a few that spread each other twice unfold to millions."""

from collections.abc import Iterator, Mapping

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    OperationDefinitionNode,
    SelectionSetNode,
)

from graph.limits.errors import LimitExceeded

_COUNTED = 10**9
"""More spreads are not told apart: the numbers grow with a power of the text's length."""


def check_spreads(document: DocumentNode, limit: int) -> None:
    """Raises LimitExceeded where an operation unfolds to more spreads, those inside of spread fragments counted too.

    Costs no more than the document's text.
    """
    spreads = {
        node.name.value: list(_list_spreads(node.selection_set))
        for node in document.definitions
        if isinstance(node, FragmentDefinitionNode)
    }
    known: dict[str, int] = {}
    for node in document.definitions:
        if isinstance(node, OperationDefinitionNode):
            total = sum(1 + _count(name, spreads, known) for name in _list_spreads(node.selection_set))
            total = min(total, _COUNTED)
            if total > limit:
                raise LimitExceeded(
                    f"the operation unfolds to {total:,} fragment spreads, at most {limit:,} are allowed: "
                    "spread fewer fragments inside fragments",
                    node,
                    {"found": total, "limit": limit},
                )


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
