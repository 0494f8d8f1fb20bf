"""How groups are asked for: what is grouped by, and their orders."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Annotated

import strawberry

from fleet.model.errors import InvalidQuery
from fleet.model.groups import MAX_KEYS, GroupBy, GroupField
from fleet.model.label_selector import find_key_mistake
from fleet.model.ranking import build_column
from fleet.reads.grouping import GroupOrder, SumColumn
from graph.enums import Direction, NodeGroupColumn, PercentOf, PodGroupColumn, ResourceField, UsageField
from graph.types.inputs import MAX_ORDERS, PERCENT_OF

_EXTENDED = "Another resource of their {}, by its name, such as nvidia.com/gpu."


@strawberry.input(description="One sort key of groups of pods: a number, an amount or a usage; one of them.")
class PodGroupOrder:
    """What is ordered by, and a direction."""

    field: PodGroupColumn | None = strawberry.field(default=None, description="A number.")
    requests: ResourceField | None = strawberry.field(default=None, description="An amount of their requests.")
    limits: ResourceField | None = strawberry.field(default=None, description="An amount of their limits.")
    extended: str | None = strawberry.field(default=None, description=_EXTENDED.format("requests"))
    usage: UsageField | None = strawberry.field(default=None, description="Their usage.")
    percent_of: PercentOf | None = strawberry.field(default=None, description=PERCENT_OF)
    direction: Direction = strawberry.field(default=Direction.ASC, description="Which end comes first.")


@strawberry.input(description="One sort key of groups of nodes: a number, an amount or a usage; one of them.")
class NodeGroupOrder:
    """What is ordered by, and a direction."""

    field: NodeGroupColumn | None = strawberry.field(default=None, description="A number.")
    capacity: ResourceField | None = strawberry.field(default=None, description="An amount of their capacity.")
    allocatable: ResourceField | None = strawberry.field(default=None, description="An amount of their allocatable.")
    requested: ResourceField | None = strawberry.field(default=None, description="An amount of what is requested.")
    extended: str | None = strawberry.field(default=None, description=_EXTENDED.format("allocatable"))
    usage: UsageField | None = strawberry.field(default=None, description="Their usage.")
    percent_of: PercentOf | None = strawberry.field(default=None, description=PERCENT_OF)
    direction: Direction = strawberry.field(default=Direction.ASC, description="Which end comes first.")


_WITH_EXTENDED: Mapping[type, str] = {PodGroupOrder: "requests", NodeGroupOrder: "allocatable"}
Labels = Annotated[
    list[str] | None, strawberry.argument(description="Keys of labels to group by, after what `by` names.")
]


def build_by(fields: Sequence[GroupField] | None, labels: Sequence[str] | None) -> list[GroupBy]:
    """What is grouped by. Raises InvalidQuery."""
    found = [*(fields or ()), *(labels or ())]
    if not 0 < len(found) <= MAX_KEYS:
        raise InvalidQuery(
            f"groups take 1 to {MAX_KEYS} keys, not {len(found)}: `by` names fields, such as CLUSTER, and `labels` "
            "keys of labels"
        )
    for label in labels or ():
        if reason := find_key_mistake(label):
            raise InvalidQuery(f"`labels`: {label[:80]!r} is no label key: {reason}")
    return found


def build_group_orders(orders: Sequence[PodGroupOrder | NodeGroupOrder] | None) -> list[GroupOrder]:
    """The sort keys, first ones first. Raises InvalidQuery."""
    if orders and len(orders) > MAX_ORDERS:
        raise InvalidQuery(f"groups take {MAX_ORDERS} orders at most, not {len(orders)}")
    return [_build_order(order) for order in orders or ()]


def _build_order(order: PodGroupOrder | NodeGroupOrder) -> GroupOrder:
    names = [entry.name for entry in dataclasses.fields(order) if entry.name not in ("percent_of", "direction")]
    given = [name for name in names if getattr(order, name) is not None]
    if len(given) != 1:
        raise InvalidQuery(f"an order of groups takes one of {', '.join(names)}, not {' and '.join(given) or 'none'}")
    (name,) = given
    column = getattr(order, name)
    descending = order.direction is Direction.DESC
    if name == "usage":
        return GroupOrder(build_column(column, order.percent_of), descending)
    if order.percent_of is not None:
        raise InvalidQuery(f"`percentOf` belongs to a `usage` in percent, not to {name}")
    if name == "extended":
        return GroupOrder(
            SumColumn("requests" if isinstance(order, PodGroupOrder) else "allocatable", column), descending
        )
    return GroupOrder(SumColumn(column.value) if name == "field" else SumColumn(name, column.value), descending)
