"""Pages of a changing set: a cursor holds the sort key of its item, and the next page is what sorts after it.

So a page needs nothing of the one before but its cursor, and an object that existed throughout is neither skipped nor
given twice, whatever came, went, or was cut off in between (as long as the values it is ordered by stay the same).
"""

import base64
import binascii
from collections.abc import Callable, Sequence
from functools import lru_cache
from itertools import compress
from math import isqrt
from typing import Any, Generic, TypeVar, cast

import msgspec

from fleet.model.errors import InvalidQuery
from fleet.model.kinds import NUMBERS, ObjectKind, Value
from fleet.model.objects import T
from fleet.model.ordered import LazySequence, Ordered, Position, read_positions
from fleet.model.queries import MAX_PAGE, Order, Page, PageRequest, Selection
from fleet.model.ranking import Reader, UsageColumn, build_reader
from fleet.model.usage import Usage

Values = tuple[Value, ...]
"""What an item is ordered by, then cluster, namespace and name."""

V = TypeVar("V")
Usages = Sequence[Usage | None]
Rows = tuple[Sequence[T], Usages, int]

CURSOR_VERSION = 1
MAX_CURSOR = 4096
_NAME_PARTS = 3
_FEW = 8
"""A page of less than an eighth of the items is sought among those that may be on it; a longer one is sorted out."""


class Sorting(Generic[T]):
    """An order made usable: what sorts first, and cursors. Usages are in step with the objects they belong to."""

    def __init__(self, kind: ObjectKind[T], orders: tuple[Order, ...]) -> None:
        self._readers: list[Reader[T]] = []
        names: list[str] = []
        for order in orders:
            column = order.column
            get = kind.columns.get(column)
            if isinstance(column, UsageColumn):
                self._readers.append(build_reader(column, kind.bases))
            elif get is not None:
                self._readers.append(_reading(get))
            else:
                raise InvalidQuery(f"{kind.name} can't be ordered by {column.name}")
            names.append(f"{column.name}{'-' if order.descending else '+'}")
        self._numbers: list[bool] = [
            isinstance(order.column, UsageColumn) or order.column in NUMBERS for order in orders
        ]
        self._descending: list[bool] = [order.descending for order in orders]
        self._spec = ":".join((kind.name, *names))

    def first_after(self, matched: Ordered[T], usages: Usages, after: Values | None, count: int) -> Rows[T]:
        """The first objects that sort after a cursor's values, in order, and how many sort after them in all.

        Nulls come last in both directions, ties are in the order of cluster, namespace and name.
        """
        if not self._readers:
            rest = matched if after is None else matched.after(_position_in(after))
            start = len(matched) - len(rest)
            return rest.first(count), usages[start : start + count], len(rest)
        items = list(matched)
        values = self._readers[0](items, usages)
        if after is not None:
            behind = self._behind(items, usages, values, after, 0)
            items, values = list(compress(items, behind)), list(compress(values, behind))
            usages = list(compress(usages, behind))
        first = self._first(items, usages, values, count) if count else []
        return _at(items, first), _at(usages, first), len(items)

    def _behind(
        self, items: list[T], usages: Usages, values: list[Any], after: Values, number: int
    ) -> list[bool | None]:
        """Which objects are behind the cursor, all being level with it up to the column whose values are given."""
        bound: Any = after[number]
        behind: list[bool | None]  # None for those that are level with it in this column, too
        if bound is None:
            behind = [None if value is None else False for value in values]
        elif self._descending[number]:
            behind = [value is None or value < bound or (None if value == bound else False) for value in values]
        else:
            behind = [value is None or value > bound or (None if value == bound else False) for value in values]
        level = [place for place, known in enumerate(behind) if known is None]
        rest = _at(items, level)
        if number + 1 < len(self._readers):
            theirs = _at(usages, level)
            decided = self._behind(rest, theirs, self._readers[number + 1](rest, theirs), after, number + 1)
        else:
            position = _position_in(after)
            decided = [place > position for place in map(read_positions(rest[0]), rest)] if rest else []
        for place, known in zip(level, decided, strict=True):
            behind[place] = known
        return behind

    def _first(self, items: list[T], usages: Usages, values: list[Any], count: int) -> list[int]:
        """The places of the first ones; ties stay as they stand. `values` are those of the first column."""
        order = self._narrowed(values, count) if count * _FEW < len(values) else list(range(len(values)))
        for number in reversed(range(len(self._readers))):
            column: Any = values
            if number:
                column = dict(zip(order, self._readers[number](_at(items, order), _at(usages, order)), strict=True))
            missing = [place for place in order if column[place] is None]
            if missing:
                order = [place for place in order if column[place] is not None]
            order.sort(key=column.__getitem__, reverse=self._descending[number])
            order += missing
        return order[:count]

    def _narrowed(self, values: list[Any], count: int) -> list[int]:
        """The places of those that may be among the first by their first column; the others need not be sorted.

        What is no worse than the last of the first in a sample: of all, too, there are that many.
        """
        descending = self._descending[0]
        sample = values[:: isqrt(len(values) // count)]
        known = sorted((value for value in sample if value is not None), reverse=descending)
        if len(known) < count:
            return list(range(len(values)))
        edge = known[count - 1]
        if descending:
            return [place for place, value in enumerate(values) if value is not None and value >= edge]
        return [place for place, value in enumerate(values) if value is not None and value <= edge]

    def build_cursor(self, item: T, usage: Usage | None) -> str:
        values = [read((item,), (usage,))[0] for read in self._readers]
        return pack_cursor(self._spec, (*values, *read_positions(item)(item)))

    def parse_cursor(self, cursor: str) -> Values:
        """The values a cursor holds. Raises InvalidQuery for one of another order or version, and for garbage."""
        values = unpack_cursor(self._spec, cursor)
        if len(values) != len(self._readers) + _NAME_PARTS or not self._holds_its_types(values):
            raise InvalidQuery("the cursor is not one that this server gave out")
        return values

    def _holds_its_types(self, values: Values) -> bool:
        own = zip(values, self._numbers, strict=False)  # the name parts are looked at below
        return all(
            value is None or (isinstance(value, int | float) if number else isinstance(value, str))
            for value, number in own
        ) and all(isinstance(value, str) for value in values[-_NAME_PARTS:])


def _reading(get: Callable[[T], Value]) -> Reader[T]:
    return lambda items, _: list(map(get, items))


def _at(entries: Sequence[V], places: list[int]) -> list[V]:
    """The entries at places; none of usages where none were needed."""
    return list(map(entries.__getitem__, places)) if entries else []


def _position_in(values: Values) -> Position:
    return cast("Position", values[-_NAME_PARTS:])  # that they are texts was looked at when the cursor was parsed


def build_sorting(kind: ObjectKind[T], orders: tuple[Order, ...]) -> Sorting[T]:
    """The order of a list. Raises InvalidQuery for a column that its objects do not have."""
    return _build_sorting(kind, orders)


@lru_cache(maxsize=256)
def _build_sorting(kind: ObjectKind[Any], orders: tuple[Order, ...]) -> Sorting[Any]:  # lru_cache is not generic
    return Sorting(kind, orders)


def check_page(request: PageRequest, sorting: Sorting[T]) -> Values | None:
    """What the request's cursor holds, None where it has none; to be called before any work. Raises InvalidQuery."""
    if not 0 <= request.first <= MAX_PAGE:
        raise InvalidQuery(f"first must be from 0 to {MAX_PAGE:,}, not {request.first:,}")
    return None if request.after is None else sorting.parse_cursor(request.after)


def build_page(
    selection: Selection[T], sorting: Sorting[T], request: PageRequest, after: Values | None, usages: Usages = ()
) -> Page[T]:
    """The requested page of what was selected; `after` is what `check_page` found in the request.

    `usages` are those of all that was selected, where it is sorted by them.
    """
    matched, outcomes = selection.matched, selection.outcomes
    if after is None and not request.first:
        return Page((), (), matched, bool(matched), False, outcomes)  # what is only counted needs no keys
    items, measured, size = sorting.first_after(matched, usages, after, request.first)
    cursors = LazySequence(
        lambda place: sorting.build_cursor(items[place], measured[place] if measured else None), range(len(items))
    )
    return Page(tuple(items), cursors, matched, size > len(items), size < len(matched), outcomes, measured)


def pack_cursor(spec: str, values: Values) -> str:
    """A cursor that holds values and, in `spec`, what it belongs to."""
    body = msgspec.json.encode((CURSOR_VERSION, spec, values))
    return base64.urlsafe_b64encode(body).rstrip(b"=").decode()


def unpack_cursor(spec: str, cursor: str) -> Values:
    """The values that `pack_cursor` was given. Raises InvalidQuery for a cursor of another `spec`, and for garbage."""
    if len(cursor) > MAX_CURSOR:
        raise InvalidQuery("the cursor is not one that this server gave out")
    try:
        body = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        version, own, values = msgspec.json.decode(body, type=tuple[int, str, tuple[Value, ...]])
    except (binascii.Error, ValueError) as error:  # msgspec's errors and non-ASCII text are ValueErrors
        raise InvalidQuery("the cursor is not one that this server gave out") from error
    if version != CURSOR_VERSION or own != spec:
        raise InvalidQuery("the cursor belongs to another order: page on with the order it came from, or start anew")
    return values
