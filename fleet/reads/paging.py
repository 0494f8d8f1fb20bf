"""Pages of a changing set: a cursor holds the sort key of its item, and the next page is what sorts after it.

So a page needs nothing of the one before but its cursor, and an object that existed throughout is neither skipped nor
given twice, whatever came, went, or was cut off in between (as long as the values it is ordered by stay the same).
"""

import base64
import binascii
import heapq
from collections import Counter
from collections.abc import Callable
from functools import lru_cache
from typing import Any, Generic, cast

import msgspec

from fleet.model.errors import InvalidQuery
from fleet.model.kinds import NUMBERS, ObjectKind, Value
from fleet.model.objects import Node, Pod, T
from fleet.model.ordered import LazySequence, Ordered, Position, position_of
from fleet.model.queries import MAX_PAGE, Order, Page, PageRequest, Selection
from fleet.model.ranking import UsageColumn, UsageOf, build_reader
from fleet.model.usage import Usage

Values = tuple[Value, ...]
"""What an item is ordered by, then cluster, namespace and name."""

CURSOR_VERSION = 1
MAX_CURSOR = 4096
_NAME_PARTS = 3
_FEW = 8
"""A heap wins while it holds less than an eighth of the items; beyond that one sort is quicker than many sifts."""


class Sorting(Generic[T]):
    """An order made usable: the values an item is sorted by, what sorts first, and cursors."""

    def __init__(self, kind: ObjectKind[T], orders: tuple[Order, ...], usage_of: UsageOf[T]) -> None:
        self._getters: list[Callable[[T], Value]] = []
        names: list[str] = []
        for order in orders:
            column = order.column
            read: Callable[[T], Value] | None = kind.columns.get(column)
            if isinstance(column, UsageColumn):
                read = build_reader(column, usage_of, kind.bases)
            if read is None:
                raise InvalidQuery(f"{kind.name} can't be ordered by {column.name}")
            self._getters.append(read)
            names.append(f"{column.name}{'-' if order.descending else '+'}")
        self._numbers: list[bool] = [
            isinstance(order.column, UsageColumn) or order.column in NUMBERS for order in orders
        ]
        self._descending: list[bool] = [order.descending for order in orders]
        self._spec = ":".join((kind.name, *names))

    def values_of(self, item: T) -> Values:
        return (*(get(item) for get in self._getters), *position_of(item))

    def first_after(self, items: Ordered[T], after: Values | None, count: int) -> tuple[list[T], int]:
        """The first items that sort after a cursor's values, in order, and how many sort after them in all.

        Nulls come last in both directions, ties are in the order of cluster, namespace and name.
        """
        if not self._getters:
            rest = items if after is None else items.after(_position_in(after))
            return rest.first(count), len(rest)
        later = list(items) if after is None else self._later(items, after)
        return self._first(later, count) if count else [], len(later)

    def _later(self, items: Ordered[T], after: Values) -> list[T]:
        """The items behind the cursor, as they stand: mostly the first column tells, which is read in one go."""
        values: list[Any] = list(map(self._getters[0], items))
        bound: Any = after[0]
        pairs = zip(items, values, strict=True)
        if bound is None:
            return [item for item, value in pairs if value is None and self._is_tied_behind(item, after)]
        if self._descending[0]:
            return [
                item
                for item, value in pairs
                if value is None or value < bound or (value == bound and self._is_tied_behind(item, after))
            ]
        return [
            item
            for item, value in pairs
            if value is None or value > bound or (value == bound and self._is_tied_behind(item, after))
        ]

    def _is_tied_behind(self, item: T, after: Values) -> bool:
        """Whether an item is behind the cursor whose first value it has."""
        for get, descending, bound in zip(self._getters[1:], self._descending[1:], after[1:], strict=False):
            value = get(item)
            if value != bound:
                return _is_behind(value, bound, descending)
        return position_of(item) > _position_in(after)

    def _first(self, items: list[T], count: int) -> list[T]:
        """The first of items that are in the order of their places, which sorts that are stable keep for ties."""
        if count * _FEW < len(items):
            items = self._narrowed(items, count)
        for get, descending in zip(reversed(self._getters), reversed(self._descending), strict=True):
            values = list(map(get, items))
            missing = [item for item, value in zip(items, values, strict=True) if value is None]
            if missing:
                items = [item for item, value in zip(items, values, strict=True) if value is not None]
            items.sort(key=cast("Callable[[T], Any]", get), reverse=descending)
            items += missing
        return items[:count]

    def _narrowed(self, items: list[T], count: int) -> list[T]:
        """Those that may be among the first by their first column; the others need not be sorted."""
        values = list(map(self._getters[0], items))
        known: list[Any] = [value for value in values if value is not None]
        if len(known) < count:
            return items
        descending = self._descending[0]
        edge = _edge_of(known, count, descending)
        pairs = zip(items, values, strict=True)
        if descending:
            return [item for item, value in pairs if value is not None and value >= edge]
        return [item for item, value in pairs if value is not None and value <= edge]

    def build_cursor(self, item: T) -> str:
        body = msgspec.json.encode((CURSOR_VERSION, self._spec, self.values_of(item)))
        return base64.urlsafe_b64encode(body).rstrip(b"=").decode()

    def parse_cursor(self, cursor: str) -> Values:
        """The values a cursor holds. Raises InvalidQuery for one of another order or version, and for garbage."""
        version, spec, values = _unpack(cursor)
        if version != CURSOR_VERSION or spec != self._spec:
            raise InvalidQuery(
                "the cursor belongs to another order: page on with the order it came from, or start anew"
            )
        if len(values) != len(self._getters) + _NAME_PARTS or not self._holds_its_types(values):
            raise InvalidQuery("the cursor is not one that this server gave out")
        return values

    def _holds_its_types(self, values: Values) -> bool:
        own = zip(values, self._numbers, strict=False)  # the name parts are looked at below
        return all(
            value is None or (isinstance(value, int | float) if number else isinstance(value, str))
            for value, number in own
        ) and all(isinstance(value, str) for value in values[-_NAME_PARTS:])


def _edge_of(values: list[Any], count: int, descending: bool) -> Any:
    """The value that is at a place in their order."""
    if not isinstance(values[0], float):
        amounts = Counter(values)
        if len(amounts) * _FEW < len(values):  # phases, nodes, restarts: few values that many have
            for value in sorted(amounts, reverse=descending):
                count -= amounts[value]
                if count <= 0:
                    return value
    if descending:
        # From behind, since texts rise with the places: a heap that seldom changes is quick.
        return heapq.nlargest(count, reversed(values))[-1]
    return heapq.nsmallest(count, values)[-1]


def _is_behind(value: Any, bound: Any, descending: bool) -> bool:
    if value is None or bound is None:
        return value is None and bound is not None
    return bool(value < bound if descending else value > bound)


def _position_in(values: Values) -> Position:
    return cast("Position", values[-_NAME_PARTS:])  # that they are texts was looked at when the cursor was parsed


def unread(entry: Pod | Node) -> Usage | None:
    """In the place of usage that is not to be read yet, or not at all. Raises RuntimeError."""
    raise RuntimeError(f"the usage of {entry.name} was not read, and a list is ordered by it")


def build_sorting(kind: ObjectKind[T], orders: tuple[Order, ...], usage_of: UsageOf[T] = unread) -> Sorting[T]:
    """The order of a list. Raises InvalidQuery for a column that its objects do not have.

    `usage_of` is needed to sort by usage; without it the order can only be checked, and cursors be read.
    """
    return _sorting_without_usage(kind, orders) if usage_of is unread else Sorting(kind, orders, usage_of)


@lru_cache(maxsize=256)
def _sorting_without_usage(
    kind: ObjectKind[Any], orders: tuple[Order, ...]
) -> Sorting[Any]:  # lru_cache is not generic
    return Sorting(kind, orders, unread)


def check_page(request: PageRequest, sorting: Sorting[T]) -> Values | None:
    """What the request's cursor holds, None where it has none; to be called before any work. Raises InvalidQuery."""
    if not 0 <= request.first <= MAX_PAGE:
        raise InvalidQuery(f"first must be from 0 to {MAX_PAGE:,}, not {request.first:,}")
    return None if request.after is None else sorting.parse_cursor(request.after)


def build_page(selection: Selection[T], sorting: Sorting[T], request: PageRequest, after: Values | None) -> Page[T]:
    """The requested page of what was selected; `after` is what `check_page` found in the request."""
    matched, outcomes = selection.matched, selection.outcomes
    if after is None and not request.first:
        return Page((), (), matched, bool(matched), False, outcomes)  # what is only counted needs no keys
    items, size = sorting.first_after(matched, after, request.first)
    cursors = LazySequence(sorting.build_cursor, items)
    return Page(tuple(items), cursors, matched, size > len(items), size < len(matched), outcomes)


def _unpack(cursor: str) -> tuple[int, str, Values]:
    if len(cursor) > MAX_CURSOR:
        raise InvalidQuery("the cursor is not one that this server gave out")
    try:
        body = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(body, type=tuple[int, str, tuple[Value, ...]])
    except (binascii.Error, ValueError) as error:  # msgspec's errors and non-ASCII text are ValueErrors
        raise InvalidQuery("the cursor is not one that this server gave out") from error
