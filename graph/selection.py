"""What an operation selects of usage and history, found by one walk over its document.

Metric stores are asked once for a whole page, before the page is completed; so measures and columns have to be known
ahead, through fragments, aliases, variables, `@skip` and `@include`. The plan is the union over the operation: an
object that is reached twice is loaded once, with all that any place asks of it.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLCompositeType,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLObjectType,
    GraphQLResolveInfo,
    InlineFragmentNode,
    SelectionSetNode,
    get_named_type,
    is_composite_type,
    value_from_ast,
)
from msgspec import Struct

from fleet.usage import ALL_MEASURES, Aggregate, Column, Kind, Measure
from graph.windows import WindowRequest

MEASURES: Mapping[str, Measure] = {
    "cpuCores": Measure.CPU_CORES,
    "cpuPercent": Measure.CPU_CORES,
    "memoryBytes": Measure.MEMORY_BYTES,
    "memoryPercent": Measure.MEMORY_BYTES,
    "memoryUsageBytes": Measure.MEMORY_USAGE_BYTES,
    "memoryAvailableBytes": Measure.MEMORY_AVAILABLE_BYTES,
    "fsUsedBytes": Measure.FS_USED_BYTES,
    "fsCapacityBytes": Measure.FS_CAPACITY_BYTES,
    "fsAvailableBytes": Measure.FS_AVAILABLE_BYTES,
    "networkReceiveBytesPerSecond": Measure.NETWORK_RECEIVE_BYTES,
    "networkTransmitBytesPerSecond": Measure.NETWORK_TRANSMIT_BYTES,
}
"""Which measure a field of Usage or UsageHistory is read from."""

_KINDS = {"Pod": Kind.POD, "Node": Kind.NODE}
_SAMPLE = "UsageSample"
_ANY_COLUMN = frozenset({(Measure.CPU_CORES, Aggregate.MEAN)})
_CONNECTIONS = {"PodConnection", "NodeConnection", "_Entity"}


class PageWants(Struct, frozen=True):
    """What a connection's selection asks of its own items."""

    usage: bool = False
    windows: frozenset[WindowRequest] = frozenset()


class OperationPlan(Struct, frozen=True):
    """What the operation asks of metric stores.

    `measures` and `columns` are unions over the operation, never empty: who asks for the time alone still asks of
    something. `wants` is keyed by the identity of the connection's field in
    the document, which lives as long as the request.
    """

    measures: Mapping[Kind, frozenset[Measure]]
    columns: Mapping[tuple[Kind, WindowRequest], frozenset[Column]]
    wants: Mapping[int, PageWants]


def build_plan(info: GraphQLResolveInfo[Any]) -> OperationPlan:
    """Walks the operation that `info` belongs to."""
    walk = _Walk(info)
    root = info.schema.get_root_type(info.operation.operation)
    if root is not None:
        walk.visit(info.operation.selection_set, root, ())
    return OperationPlan(
        measures={kind: frozenset(found) or ALL_MEASURES for kind, found in walk.measures.items()},
        columns={key: frozenset(found) or _ANY_COLUMN for key, found in walk.columns.items()},
        wants={
            key: PageWants(key in walk.wanting_usage, frozenset(walk.wanted_windows.get(key, ())))
            for key in walk.wanting_usage | walk.wanted_windows.keys()
        },
    )


def find_wants(plan: OperationPlan, nodes: Sequence[FieldNode]) -> PageWants:
    """What a connection asks of its items, over all places the field is written (they are merged into one)."""
    found = [plan.wants[id(node)] for node in nodes if id(node) in plan.wants]
    return PageWants(
        any(wants.usage for wants in found),
        frozenset(window for wants in found for window in wants.windows),
    )


class _Walk:
    """One walk. `connections` are the fields of the connections whose own items the place is in, outermost first."""

    def __init__(self, info: GraphQLResolveInfo[Any]) -> None:
        self.info = info
        self.variables: dict[str, Any] = info.variable_values  # type: ignore[assignment]  # Strawberry passes the plain dict
        self.measures: dict[Kind, set[Measure]] = {}
        self.columns: dict[tuple[Kind, WindowRequest], set[Column]] = {}
        self.wanting_usage: set[int] = set()
        self.wanted_windows: dict[int, set[WindowRequest]] = {}
        self.spreads: set[tuple[str, tuple[int, ...]]] = set()

    def visit(self, selections: SelectionSetNode | None, parent: GraphQLCompositeType, path: tuple[int, ...]) -> None:
        for field, of in self.fields(selections, parent, path):
            definition = _definition(of, field)
            if definition is None:
                continue
            if of.name == _SAMPLE and field.name.value == "usage":
                measured = self.measured(field, get_named_type(definition.type))
                for each in Kind:  # a sample's usage is a pod's or a node's
                    self.measures.setdefault(each, set()).update(measured)
                continue
            kind = _KINDS.get(of.name)
            result = get_named_type(definition.type)
            if kind is not None and field.name.value == "usage":
                self.measures.setdefault(kind, set()).update(self.measured(field, result))
                self.wanting_usage.update(path)
            elif kind is not None and field.name.value == "history":
                window = self.window(field, definition)
                self.columns.setdefault((kind, window), set()).update(self.aggregated(field, result))
                for connection in path:
                    self.wanted_windows.setdefault(connection, set()).add(window)
            elif is_composite_type(result):
                inner = (id(field),) if result.name in _CONNECTIONS else path if of.name not in _KINDS else ()
                self.visit(field.selection_set, result, inner)

    def fields(
        self, selections: SelectionSetNode | None, parent: GraphQLCompositeType, path: tuple[int, ...]
    ) -> Iterable[tuple[FieldNode, GraphQLCompositeType]]:
        """Fields that are included, each with the type it is asked of; a fragment once for each place."""
        for node in selections.selections if selections is not None else ():
            if not self.included(node):
                continue
            if isinstance(node, FieldNode):
                yield node, parent
            elif isinstance(node, InlineFragmentNode):
                yield from self.fields(node.selection_set, self.narrowed(node.type_condition, parent), path)
            elif isinstance(node, FragmentSpreadNode):
                fragment = self.info.fragments.get(node.name.value)
                if fragment is not None and (node.name.value, path) not in self.spreads:
                    self.spreads.add((node.name.value, path))
                    yield from self.fields(fragment.selection_set, self.narrowed(fragment.type_condition, parent), path)

    def narrowed(self, condition: Any, parent: GraphQLCompositeType) -> GraphQLCompositeType:
        named = self.info.schema.get_type(condition.name.value) if condition is not None else parent
        return named if named is not None and is_composite_type(named) else parent

    def included(self, node: Any) -> bool:
        for directive in node.directives or ():
            condition = next((a.value for a in directive.arguments or () if a.name.value == "if"), None)
            holds = self.boolean(condition)
            if (directive.name.value == "skip" and holds) or (directive.name.value == "include" and not holds):
                return False
        return True

    def boolean(self, node: Any) -> bool:
        name = getattr(getattr(node, "name", None), "value", None)
        return bool(self.variables.get(name) if name is not None else getattr(node, "value", False))

    def measured(self, field: FieldNode, usage: Any) -> set[Measure]:
        names = {inner.name.value for inner, _ in self.fields(field.selection_set, usage, (id(field),))}
        return {MEASURES[name] for name in names & MEASURES.keys()}

    def aggregated(self, field: FieldNode, history: Any) -> set[Column]:
        found: set[Column] = set()
        for inner, _ in self.fields(field.selection_set, history, (id(field),)):
            definition = _definition(history, inner)
            if definition is not None and inner.name.value in MEASURES:
                aggregate = self.arguments(inner, definition).get("aggregate") or Aggregate.MEAN
                found.add((MEASURES[inner.name.value], aggregate))
        return found

    def window(self, field: FieldNode, definition: GraphQLField) -> WindowRequest:
        return WindowRequest(**self.arguments(field, definition))

    def arguments(self, field: FieldNode, definition: GraphQLField) -> dict[str, Any]:
        """The arguments that are given, as the resolver will get them (validated already)."""
        return {
            node.name.value: value_from_ast(node.value, definition.args[node.name.value].type, self.variables)
            for node in field.arguments or ()
            if not self.left_out(node.value)
        }

    def left_out(self, node: Any) -> bool:
        return node.kind == "variable" and node.name.value not in self.variables


def _definition(parent: GraphQLCompositeType, field: FieldNode) -> GraphQLField | None:
    if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
        found: GraphQLField | None = parent.fields.get(field.name.value)
        return found
    return None
