"""The smallest document that is still answered wrongly: what can be left out of it is, until nothing can."""

from collections.abc import Awaitable, Callable, Iterator, Mapping
from dataclasses import replace
from typing import Any, TypeVar

from graphql import (
    DocumentNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLSchema,
    InlineFragmentNode,
    Node,
    OperationDefinitionNode,
    VariableNode,
    parse,
    print_ast,
    validate,
)

N = TypeVar("N", bound=Node)


async def shrink(schema: GraphQLSchema, text: str, fails: Callable[[str], Awaitable[bool]], most: int = 2_000) -> str:
    """A valid document that still `fails`, none of whose parts can be left out alone; tries `most` documents."""
    smallest, tried, shrinking = text, 0, True
    while shrinking:
        shrinking = False
        for candidate in _list_smaller(parse(smallest)):
            tried += 1
            if tried > most:
                return smallest
            if not validate(schema, parse(candidate)) and await fails(candidate):
                smallest, shrinking = candidate, True
                break
    return smallest


def _list_smaller(document: DocumentNode) -> Iterator[str]:
    """The document without one of its parts, the outermost first."""
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    for smaller in _smaller(document, fragments):
        yield print_ast(_drop_unused(smaller))


def _smaller(node: N, fragments: Mapping[str, FragmentDefinitionNode]) -> Iterator[N]:
    for name in ("selections", "directives", "arguments", "fields", "values", "definitions"):
        parts = tuple(getattr(node, name, None) or ())
        for index, part in enumerate(parts):
            before, after = parts[:index], parts[index + 1 :]
            if name != "definitions" and (name != "selections" or len(parts) > 1):
                yield _with(node, {name: (*before, *after)})
            if isinstance(part, InlineFragmentNode):
                yield _with(node, {name: (*before, *part.selection_set.selections, *after)})
            if isinstance(part, FragmentSpreadNode):
                spread = fragments[part.name.value]
                inline = InlineFragmentNode(
                    type_condition=spread.type_condition,
                    directives=part.directives,
                    selection_set=spread.selection_set,
                )
                yield _with(node, {name: (*before, inline, *after)})
            for less in _smaller(part, fragments):
                yield _with(node, {name: (*before, less, *after)})
    for name in ("selection_set", "value"):
        inner = getattr(node, name, None)
        if isinstance(inner, Node):
            for less in _smaller(inner, fragments):
                yield _with(node, {name: less})


def _with(node: N, changes: dict[str, Any]) -> N:
    return replace(node, **changes)


def _drop_unused(document: DocumentNode) -> DocumentNode:
    """Without fragments that nothing spreads any more, and variables that nothing uses."""
    (operation,) = (node for node in document.definitions if isinstance(node, OperationDefinitionNode))
    fragments = {node.name.value: node for node in document.definitions if isinstance(node, FragmentDefinitionNode)}
    used: dict[str, FragmentDefinitionNode] = {}
    waiting: list[Node] = [operation.selection_set]
    variables: set[str] = set()
    while waiting:
        for node in _walk(waiting.pop()):
            if isinstance(node, VariableNode):
                variables.add(node.name.value)
            elif isinstance(node, FragmentSpreadNode) and node.name.value not in used:
                used[node.name.value] = fragments[node.name.value]
                waiting.append(fragments[node.name.value])
    kept = tuple(given for given in operation.variable_definitions or () if given.variable.name.value in variables)
    return replace(document, definitions=(replace(operation, variable_definitions=kept), *used.values()))


def _walk(node: Node) -> Iterator[Node]:
    yield node
    for key in node.keys:
        value: Any = getattr(node, key, None)
        for part in value if isinstance(value, list | tuple) else (value,):
            if isinstance(part, Node) and key != "loc":
                yield from _walk(part)
