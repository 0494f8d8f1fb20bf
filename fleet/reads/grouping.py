"""Pages of groups: in the order of their sums, or of what their objects have in common.

A cursor holds the values of its group, as those of lists do (`fleet.reads.paging`).
"""

from collections.abc import Callable, Mapping, Sequence
from heapq import nsmallest
from operator import attrgetter, itemgetter
from typing import Any

from msgspec import Struct

from fleet.model.errors import InvalidQuery
from fleet.model.groups import Group, GroupBy
from fleet.model.kinds import ObjectKind
from fleet.model.objects import Resources
from fleet.model.ordered import LazySequence
from fleet.model.ranking import PercentOf, UsageColumn, build_reader
from fleet.reads.paging import pack_cursor, unpack_cursor

Place = tuple[Any, ...]
"""Where a group stands among others: compares as it is ordered. What is None comes last, in both directions."""


class SumColumn(Struct, frozen=True):
    """A sum, or with `amount` one of those in it: a name in `Resources`, or of an extended resource."""

    sum: str
    amount: str | None = None

    @property
    def name(self) -> str:
        return self.sum if self.amount is None else f"{self.sum}.{self.amount}"


class GroupOrder(Struct, frozen=True):
    """One sort key. Ties are in the order of keys."""

    column: SumColumn | UsageColumn
    descending: bool = False

    @property
    def name(self) -> str:
        return f"{self.column.name}{'-' if self.descending else '+'}"


class GroupPage(Struct, frozen=True):
    """A page of all `total` groups; `cursors[i]` belongs to `items[i]`, and is made when it is read."""

    items: Sequence[Group[Any]]
    cursors: Sequence[str]
    total: int
    has_next: bool
    has_previous: bool


class GroupSorting:
    """An order of groups made usable. `sums` are those that it reads of each group."""

    def __init__(self, kind: ObjectKind[Any], by: Sequence[GroupBy], orders: Sequence[GroupOrder]) -> None:
        self._readers = [_build_reader(order.column, kind.bases) for order in orders]
        self._descending = [order.descending for order in orders]
        names = (key if isinstance(key, str) else key.value for key in by)
        self._spec = ":".join((kind.name, "groups", *names, *(order.name for order in orders)))
        self._size = len(orders) + len(by)
        self.by_usage = any(isinstance(order.column, UsageColumn) for order in orders)
        self.sums: list[str] = []
        for order in orders:
            if isinstance(order.column, SumColumn):
                self.sums.append(order.column.sum)
            else:
                base = None if order.column.percent_of is None else kind.bases.get(order.column.percent_of)
                self.sums += ("usage",) if base is None else ("usage", base)

    def place(self, group: Group[Any]) -> Place:
        return self._place(self._read(group))

    def parse(self, cursor: str) -> Place:
        """The place of a cursor's group. Raises InvalidQuery."""
        values, count = unpack_cursor(self._spec, cursor), len(self._readers)
        numbers, keys = values[:count], values[count:]
        if len(values) != self._size or not (
            all(value is None or isinstance(value, int | float) for value in numbers)
            and all(value is None or isinstance(value, str) for value in keys)
        ):
            raise InvalidQuery("the cursor is not one that this server gave out")
        return self._place(values)

    def build_page(self, groups: Sequence[tuple[Place, Group[Any]]], first: int, after: Place | None) -> GroupPage:
        """The first groups, or the first after a place."""
        behind = groups if after is None else [entry for entry in groups if entry[0] > after]
        items = [group for _, group in nsmallest(first, behind, key=itemgetter(0))]
        cursors = LazySequence(self._build_cursor, items)
        return GroupPage(items, cursors, len(groups), len(behind) > len(items), len(behind) < len(groups))

    def _build_cursor(self, group: Group[Any]) -> str:
        return pack_cursor(self._spec, self._read(group))

    def _read(self, group: Group[Any]) -> tuple[Any, ...]:
        return (*(read(group) for read in self._readers), *group.values)

    def _place(self, values: Sequence[Any]) -> Place:
        parts: list[Any] = []
        for descending, value in zip(self._descending, values, strict=False):
            parts += (True, 0) if value is None else (False, -value if descending else value)
        for value in values[len(self._descending) :]:
            parts += (value is None, value or "")
        return tuple(parts)


def _build_reader(column: SumColumn | UsageColumn, bases: Mapping[PercentOf, str]) -> Callable[[Group[Any]], Any]:
    if isinstance(column, SumColumn):
        if column.amount is None or column.amount in Resources.__struct_fields__:
            return attrgetter(column.name)
        return lambda group: dict(getattr(group, column.sum).extended).get(column.amount)
    read = build_reader(column, bases)
    return lambda group: read((group,), (group.usage,))[0]
