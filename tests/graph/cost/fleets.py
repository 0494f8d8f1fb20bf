"""Fleets of numbers, operations against them, and changes made to their text."""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from graphql import (
    ArgumentNode,
    FieldNode,
    NameNode,
    OperationDefinitionNode,
    SelectionNode,
    SelectionSetNode,
    parse,
    parse_value,
    print_ast,
)

from fleet.model.selectors import LabelSelector
from graph.cost.estimate import Estimate, estimate
from graph.cost.reading import Part, read_operation
from graph.cost.suggestions import Change, Suggestion, suggest
from graph.limits.limits import DEFAULT_LIMITS
from graph.scalars import format_duration
from graph.schema import schema

NOW = 1_790_000_000.0
LIMIT = DEFAULT_LIMITS.cost


class Numbers:
    """Clusters `c0` ... of equal size and labelled by `number`, pods evenly in ten namespaces and on all nodes."""

    def __init__(self, clusters: int, pods: int, nodes: int) -> None:
        self._names = [f"c{number}" for number in range(clusters)]
        self._pods = pods
        self._nodes = nodes

    def names(self, cluster: str) -> Collection[str]:
        return (cluster,)

    @property
    def clusters(self) -> Collection[str]:
        return self._names

    def labelled(self, selector: LabelSelector) -> Collection[str]:
        return [name for name in self._names if selector.matches((("number", name[1:]),))]

    def pods(self, cluster: str, namespaces: Collection[str] | None, nodes: Collection[str] | None) -> int:
        if cluster not in self._names:
            return 0
        in_namespaces = self._pods if namespaces is None else self._pods // 10 * len(namespaces)
        on_nodes = self._pods if nodes is None else self.fullest_node(cluster) * len(nodes)
        return min(self._pods, in_namespaces, on_nodes)

    def nodes(self, cluster: str) -> int:
        return self._nodes if cluster in self._names else 0

    def workloads(self, cluster: str, namespaces: Collection[str] | None) -> int:
        return self.pods(cluster, namespaces, None) // 10

    def unwell(self, cluster: str) -> int:
        return self.pods(cluster, None, None) // 100

    def namespaces(self, cluster: str) -> int:
        return 10

    def events(self, cluster: str) -> int:
        return 2_000

    def fullest_node(self, cluster: str) -> int:
        return -(-self._pods // self._nodes) if cluster in self._names else 0


SMALL = Numbers(clusters=3, pods=60, nodes=3)
LARGE = Numbers(clusters=100, pods=1_000, nodes=100)


def read(query: str, variables: dict[str, Any] | None = None) -> tuple[Part, ...]:
    parts = read_operation(schema._schema, parse(query), None, variables)
    assert parts is not None
    return parts


def cost(query: str, fleet: Numbers = LARGE, variables: dict[str, Any] | None = None) -> Estimate:
    return estimate(read(query, variables), fleet, NOW)


def advise(query: str, fleet: Numbers = LARGE) -> Suggestion | None:
    return suggest(read(query), fleet, NOW, LIMIT)


def rewrite(query: str, changes: Iterable[Change]) -> str:
    """The query's text with the changes made, as a person would make them. For queries without fragments."""
    (operation,) = parse(query).definitions
    assert isinstance(operation, OperationDefinitionNode)
    for change in changes:
        keys = change.path.split(".")
        operation = replace(operation, selection_set=_edit(operation.selection_set, keys, change))
    return print_ast(operation)


def _edit(selections: SelectionSetNode, keys: Sequence[str], change: Change) -> SelectionSetNode:
    edited: list[SelectionNode] = []
    for field in selections.selections:
        assert isinstance(field, FieldNode)
        if (field.alias or field.name).value != keys[0]:
            edited.append(field)
        elif len(keys) > 1:
            assert field.selection_set is not None
            edited.append(replace(field, selection_set=_edit(field.selection_set, keys[1:], change)))
        elif change.argument is not None:
            edited.append(_with_argument(field, *_written(change)))
    return replace(selections, selections=tuple(edited))


def _written(change: Change) -> tuple[str, str]:
    if change.argument == "clusters":
        return "filter", f'{{ clusters: ["{change.value}"] }}'
    return str(change.argument), f'"{format_duration(change.value)}"' if change.argument == "step" else str(
        change.value
    )


def _with_argument(field: FieldNode, name: str, text: str) -> FieldNode:
    kept = [argument for argument in field.arguments or () if argument.name.value != name]
    given = ArgumentNode(name=NameNode(value=name), value=parse_value(text))
    return replace(field, arguments=(*kept, given))
