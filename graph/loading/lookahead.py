"""Look-ahead: what an operation selects of usage and history, found by one walk over its document.

Metric stores are asked once for a whole page, before the page is completed; so measures and columns have to be known
ahead, through fragments, aliases, variables, `@skip` and `@include`. The plan is the union over the operation: an
object that is reached twice is loaded once, with all that any place asks of it.
"""

import enum
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import msgspec
from graphql import (
    FieldNode,
    FragmentSpreadNode,
    GraphQLCompositeType,
    GraphQLField,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLResolveInfo,
    GraphQLSchema,
    InlineFragmentNode,
    NamedTypeNode,
    OperationType,
    SelectionSetNode,
    VariableNode,
    get_named_type,
    is_abstract_type,
    is_composite_type,
)
from graphql.execution.values import VariableValues
from graphql.utilities import coerce_input_literal
from msgspec import Struct

from fleet.model.ranking import PercentOf
from fleet.model.usage import ALL_MEASURES, Aggregate, Column, Kind, Measure
from graph.loading.time_range import TimeRangeRequest

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

_GROUPS = {"GroupedPods": Kind.POD, "GroupedNodes": Kind.NODE}
_KINDS = {"Pod": Kind.POD, "Node": Kind.NODE, "Workload": Kind.POD, "Cluster": Kind.NODE, **_GROUPS}
"""Which metrics a type's usage and history are made of; a cluster's are sums over its nodes, a workload's over pods."""

_SAMPLE = "UsageSample"
_METRICS = ("usage", "history")
_ANY_COLUMN = frozenset({(Measure.CPU_CORES, Aggregate.MEAN)})
_CONNECTIONS = {
    "PodConnection": Kind.POD,
    "NodeConnection": Kind.NODE,
    "WorkloadConnection": Kind.POD,
    **{f"{name}Connection": kind for name, kind in _GROUPS.items()},
}
_ENTITIES = "_Entity"
"""The union of what gateways ask for by keys: primed as a page is, and ordered by nothing."""


class Via(enum.Enum):
    """How an object hangs on a connection: it is an item, or the node or the cluster that an item is in."""

    ITEM = "item"
    NODE = "node"
    CLUSTER = "cluster"


Trail = tuple[tuple[int, Via], ...]
"""The connections whose items lead to a place, by the identity of the connection's field in the document."""


class Wants(Struct, frozen=True):
    """Whether usage is asked for, and which time ranges of history."""

    usage: bool = False
    time_ranges: frozenset[TimeRangeRequest] = frozenset()


_NOTHING = Wants()


class PageWants(Wants, frozen=True):
    """What a connection's selection asks of its own items, of the nodes its items are on, and of their clusters."""

    nodes: Wants = _NOTHING
    clusters: Wants = _NOTHING
    lists_inside: bool = False
    """Whether items have lists of their own that want metrics, in the same batches."""

    sums: frozenset[str | PercentOf] = frozenset()
    """Of groups: the fields that are selected of them, and what percentages are of."""

    @property
    def anything(self) -> bool:
        """Whether a metric store has to be asked for the items, or for what they are in."""
        return self.usage or bool(self.time_ranges) or self.nodes != _NOTHING or self.clusters != _NOTHING


class OperationPlan(Struct, frozen=True):
    """What the operation asks of metric stores.

    `measures` and `columns` are unions over the operation, never empty: who asks for the time alone still asks of
    something. `wants` is keyed by the identity of the connection's field in the document, which lives as long as the
    plan, and by how the wanting object hangs on it. `holding` are the connections with lists inside that want metrics,
    `sums` what is selected of groups, by their connection.
    `is_single` says that all of it is asked of the items of one connection, which is a field of the query itself: then
    nobody else will want metrics in the same request.
    """

    measures: Mapping[Kind, frozenset[Measure]]
    columns: Mapping[tuple[Kind, TimeRangeRequest], frozenset[Column]]
    wants: Mapping[tuple[int, Via], Wants]
    holding: frozenset[int]
    sums: Mapping[int, frozenset[str | PercentOf]]
    is_single: bool = False
    pages: dict[int, PageWants] = msgspec.field(default_factory=dict)
    """What connections want, by their field's identity, once it was found."""


def build_plan(info: GraphQLResolveInfo[Any]) -> OperationPlan:
    ahead = _LookAhead(info)
    root = info.schema.get_root_type(info.operation.operation)
    if root is not None:
        ahead.visit(info.operation.selection_set, root, ())
    return OperationPlan(
        measures={kind: frozenset(found) or ALL_MEASURES for kind, found in ahead.measures.items()},
        columns={key: frozenset(found) or _ANY_COLUMN for key, found in ahead.columns.items()},
        wants={
            key: Wants(key in ahead.wanting_usage, frozenset(ahead.wanted_time_ranges.get(key, ())))
            for key in ahead.wanting_usage | ahead.wanted_time_ranges.keys()
        },
        holding=ahead.find_holding(),
        sums={connection: frozenset(names) for connection, names in ahead.sums.items()},
        is_single=ahead.is_single(root),
    )


def find_wants(plan: OperationPlan, nodes: Sequence[FieldNode]) -> PageWants:
    """What a connection asks of its items, over all places the field is written (they are merged into one)."""
    if len(nodes) != 1:
        return _find_wants(plan, nodes)
    found = plan.pages.get(id(nodes[0]))
    if found is None:
        found = plan.pages[id(nodes[0])] = _find_wants(plan, nodes)
    return found


def _find_wants(plan: OperationPlan, nodes: Sequence[FieldNode]) -> PageWants:
    own, of_nodes, of_clusters = (_union(plan, nodes, via) for via in (Via.ITEM, Via.NODE, Via.CLUSTER))
    inside = any(id(node) in plan.holding for node in nodes)
    sums = frozenset[str | PercentOf]().union(*(plan.sums.get(id(node), ()) for node in nodes))
    return PageWants(own.usage, own.time_ranges, of_nodes, of_clusters, inside, sums)


def _union(plan: OperationPlan, nodes: Sequence[FieldNode], via: Via) -> Wants:
    found = [plan.wants.get((id(node), via), _NOTHING) for node in nodes]
    return Wants(
        any(wants.usage for wants in found),
        frozenset(time_range for wants in found for time_range in wants.time_ranges),
    )


class _LookAhead:
    """One walk over the operation's document."""

    def __init__(self, info: GraphQLResolveInfo[Any]) -> None:
        self.info = info
        self.variables: dict[str, Any] = info.variable_values  # type: ignore[assignment]  # Strawberry passes the plain dict
        self.measures: dict[Kind, set[Measure]] = {}
        self.columns: dict[tuple[Kind, TimeRangeRequest], set[Column]] = {}
        self.wanting_usage: set[tuple[int, Via]] = set()
        self.wanted_time_ranges: dict[tuple[int, Via], set[TimeRangeRequest]] = {}
        self.spreads: set[tuple[str, str, Hashable]] = set()
        self.ranked_by_usage: set[int] = set()
        self.inside: list[tuple[int, int]] = []
        self.connections: dict[int, GraphQLCompositeType] = {}
        self.sums: dict[int, set[str | PercentOf]] = {}
        self.asks_elsewhere = False

    def is_single(self, root: GraphQLObjectType | None) -> bool:
        """As `OperationPlan` has it."""
        operation = self.info.operation.operation
        asking = self.wanting_usage | self.wanted_time_ranges.keys()
        if operation is not OperationType.QUERY or self.asks_elsewhere or len(asking) != 1:
            return False
        ((connection, via),) = asking
        return via is Via.ITEM and self.connections.get(connection) is root and len(self.connections) == 1

    def visit(self, selections: SelectionSetNode | None, parent: GraphQLCompositeType, trail: Trail) -> None:
        for field, of in self.fields(selections, parent, trail):
            definition = _definition(of, field)
            if definition is None:
                continue
            if of.name == _SAMPLE and field.name.value == "usage":
                measured = self.measured(field, get_named_type(definition.type))
                for each in Kind:  # a sample's usage is a pod's or a node's
                    self.measures.setdefault(each, set()).update(measured)
                continue
            kind = _KINDS.get(of.name)
            for connection, _ in trail if of.name in _GROUPS else ():
                self.sums.setdefault(connection, set()).add(field.name.value)
            if kind is not None and field.name.value in _METRICS:
                self.asks_elsewhere = self.asks_elsewhere or not trail
            result = get_named_type(definition.type)
            if kind is not None and field.name.value == "usage":
                groups = trail if of.name in _GROUPS else ()
                self.measures.setdefault(kind, set()).update(self.measured(field, result, groups))
                self.wanting_usage.update(trail)
            elif kind is not None and field.name.value == "history":
                time_range = TimeRangeRequest(**self.arguments(field, definition))
                self.columns.setdefault((kind, time_range), set()).update(self.aggregated(field, result))
                for place in trail:
                    self.wanted_time_ranges.setdefault(place, set()).add(time_range)
            elif is_composite_type(result):
                if result.name in _CONNECTIONS:
                    self.connections[id(field)] = of
                    self.ranked(field, definition, _CONNECTIONS[result.name])
                    self.inside.extend((connection, id(field)) for connection, _ in trail)
                self.visit(field.selection_set, result, _onward(of.name, field, result.name, trail))

    def find_holding(self) -> frozenset[int]:
        """The connections with a list inside, however deep, that metrics are asked for."""
        places = self.wanting_usage | self.wanted_time_ranges.keys()
        asking = self.ranked_by_usage | {connection for connection, _ in places}
        holding: set[int] = set()
        while found := {outer for outer, inner in self.inside if inner in asking} - holding:
            holding |= found
            asking |= found
        return frozenset(holding)

    def fields(
        self, selections: SelectionSetNode | None, parent: GraphQLCompositeType, trail: Hashable
    ) -> Iterable[tuple[FieldNode, GraphQLCompositeType]]:
        """Fields that are included, each with the type it is asked of; a fragment once for each place and type."""
        for node in selections.selections if selections is not None else ():
            if not self.included(node):
                continue
            if isinstance(node, FieldNode):
                yield node, parent
            elif isinstance(node, InlineFragmentNode):
                for of in narrow(self.info.schema, node.type_condition, parent):
                    yield from self.fields(node.selection_set, of, trail)
            elif isinstance(node, FragmentSpreadNode):
                fragment = self.info.fragments.get(node.name.value)
                place = (node.name.value, parent.name, trail)
                if fragment is not None and place not in self.spreads:
                    self.spreads.add(place)
                    for of in narrow(self.info.schema, fragment.type_condition, parent):
                        yield from self.fields(fragment.selection_set, of, trail)

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

    def ranked(self, field: FieldNode, definition: GraphQLField, kind: Kind) -> None:
        """What a connection's bounds and orders have to know."""
        given = self.arguments(field, definition)
        fields = [order.get("usage") for order in given.get("orderBy") or ()]
        fields += [bound["field"] for bound in (given.get("filter") or {}).get("usage") or ()]
        if found := {entry.measure for entry in fields if entry is not None}:
            self.measures.setdefault(kind, set()).update(found)
            self.ranked_by_usage.add(id(field))

    def measured(self, field: FieldNode, usage: Any, groups: Trail = ()) -> set[Measure]:
        """The measures, and for groups what they show percentages of."""
        found: set[Measure] = set()
        for inner, of in self.fields(field.selection_set, usage, (id(field),)):
            name = inner.name.value
            if name in MEASURES:
                found.add(MEASURES[name])
            definition = _definition(of, inner)
            if groups and name.endswith("Percent") and definition is not None:
                percent_of = self.arguments(inner, definition).get("of") or PercentOf.LIMIT
                for connection, _ in groups:
                    self.sums.setdefault(connection, set()).add(percent_of)
        return found

    def aggregated(self, field: FieldNode, history: Any) -> set[Column]:
        found: set[Column] = set()
        for inner, _ in self.fields(field.selection_set, history, (id(field),)):
            definition = _definition(history, inner)
            if definition is not None and inner.name.value in MEASURES:
                aggregate = self.arguments(inner, definition).get("aggregate") or Aggregate.MEAN
                found.add((MEASURES[inner.name.value], aggregate))
        return found

    def arguments(self, field: FieldNode, definition: GraphQLField) -> dict[str, Any]:
        """The arguments that are given, as the resolver will get them (validated already)."""
        values = VariableValues({}, self.variables)
        return {
            node.name.value: coerce_input_literal(node.value, definition.args[node.name.value].type, values)
            for node in field.arguments or ()
            if not isinstance(node.value, VariableNode) or node.value.name.value in self.variables
        }


def narrow(
    schema: GraphQLSchema, condition: NamedTypeNode | None, parent: GraphQLCompositeType
) -> Iterable[GraphQLCompositeType]:
    """What an object can be inside a fragment: nothing in that of `... on Object { ... on Pod` where it is a node."""
    if condition is None or condition.name.value == parent.name:
        return (parent,)
    possible = _possible(schema, schema.get_type(condition.name.value))
    return [kind for kind in _possible(schema, parent) if kind in possible]


def _possible(schema: GraphQLSchema, kind: GraphQLNamedType | None) -> Sequence[GraphQLObjectType]:
    if is_abstract_type(kind):
        return schema.get_possible_types(kind)
    return (kind,) if isinstance(kind, GraphQLObjectType) else ()


def _onward(parent: str, field: FieldNode, result: str, trail: Trail) -> Trail:
    """The trail of what a field leads to: items lead to their own node and cluster, and no further."""
    if result in _CONNECTIONS or result == _ENTITIES:
        return ((id(field), Via.ITEM),)
    if parent not in _KINDS:
        return trail
    via = {"Node": Via.NODE, "Cluster": Via.CLUSTER}.get(result)
    return tuple((connection, via) for connection, _ in trail) if via is not None else ()


def _definition(parent: GraphQLCompositeType, field: FieldNode) -> GraphQLField | None:
    if isinstance(parent, GraphQLObjectType | GraphQLInterfaceType):
        found: GraphQLField | None = parent.fields.get(field.name.value)
        return found
    return None
