"""Pages of a changing set: a cursor holds the sort key of its item, and the next page is what sorts after it.

So a page needs nothing of the one before but its cursor, and an object that existed throughout is neither skipped nor
given twice, whatever came, went, or was cut off in between (as long as the values it is ordered by stay the same).
"""

import base64
import binascii
import heapq
import math
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from itertools import compress
from operator import attrgetter, itemgetter
from typing import Any, Generic, TypeVar, cast

import msgspec

from fleet.errors import InvalidQuery
from fleet.models import Node, Pod
from fleet.queries import MAX_PAGE, Column, NodeColumn, Order, Page, PageRequest, PodColumn, Selection
from fleet.ranking import UsageColumn, UsageOf, node_value, pod_value
from fleet.usage import Usage

T = TypeVar("T", Pod, Node)
Value = str | int | float | None
Values = tuple[Value, ...]
"""What an item is ordered by, then cluster, namespace and name."""

CURSOR_VERSION = 1
MAX_CURSOR = 4096
_NAME_PARTS = 3
_FEW = 8
"""A heap wins while it holds less than an eighth of the items; beyond that one sort is quicker than many sifts."""

_POD_VALUES: Mapping[Column, Callable[[Pod], Value]] = {
    PodColumn.NAME: attrgetter("name"),
    PodColumn.NAMESPACE: attrgetter("namespace"),
    PodColumn.CLUSTER: attrgetter("cluster"),
    PodColumn.NODE: attrgetter("node_name"),
    PodColumn.PHASE: attrgetter("phase.value"),
    PodColumn.STATUS: attrgetter("status"),
    PodColumn.RESTARTS: attrgetter("restarts"),
    PodColumn.CREATED_AT: attrgetter("created_at"),
}
_NODE_VALUES: Mapping[Column, Callable[[Node], Value]] = {
    NodeColumn.NAME: attrgetter("name"),
    NodeColumn.CLUSTER: attrgetter("cluster"),
    NodeColumn.STATUS: attrgetter("status"),
    NodeColumn.CREATED_AT: attrgetter("created_at"),
}
_NUMBERS: Collection[Column] = {PodColumn.RESTARTS, PodColumn.CREATED_AT, NodeColumn.CREATED_AT}


class _Descending:
    """Turns the order of a text round."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __lt__(self, other: "_Descending") -> bool:
        return other.text < self.text

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Descending) and other.text == self.text

    def __hash__(self) -> int:
        return hash(self.text)


class Sorting(Generic[T]):
    """An order made usable: the values an item is sorted by, their sort key, and cursors of them.

    `read_column` gives what an item's value in a column is read by, None for a column that such items do not have.
    """

    def __init__(
        self, kind: str, orders: tuple[Order, ...], read_column: Callable[[Column], Callable[[T], Value] | None]
    ) -> None:
        self._getters: list[Callable[[T], Value]] = []
        names: list[str] = []
        for order in orders:
            read = read_column(order.column)
            if read is None:
                raise InvalidQuery(f"{kind} can't be ordered by {order.column.name}")
            self._getters.append(read)
            names.append(f"{order.column.name}{'-' if order.descending else '+'}")
        self._numbers: list[bool] = [
            isinstance(order.column, UsageColumn) or order.column in _NUMBERS for order in orders
        ]
        self._descending: list[bool] = [order.descending for order in orders]
        self._spec = ":".join((kind, *names))

    def values_of(self, item: T) -> Values:
        """The values the item is ordered by."""
        namespace = item.namespace if isinstance(item, Pod) else ""
        return (*(get(item) for get in self._getters), item.cluster, namespace, item.name)

    def sort_key(self, values: Values) -> tuple[Any, ...]:
        """A key that sorts as the order says, nulls last in both directions, ties by cluster, namespace and name."""
        if not self._getters:
            return values
        key: list[Any] = []
        for value, descending in zip(values, self._descending, strict=False):  # the name parts stay as they are
            key.append(value is None)
            if value is None:
                key.append(0)
            elif isinstance(value, str):
                key.append(_Descending(value) if descending else value)
            else:
                key.append(-value if descending else value)
        return (*key, *values[-_NAME_PARTS:])

    def first_after(self, items: Collection[T], after: Values | None, count: int) -> tuple[list[T], int]:
        """The first items that sort after a cursor's values, in order, and how many sort after them in all."""
        ranks = self._ranks(items)
        if after is not None:
            later = self._later(items, ranks, after)
            items = list(compress(items, later))
            ranks = None if ranks is None else list(compress(ranks, later))
        size = len(items)
        if not count:
            return [], size
        if ranks is not None and count * _FEW < size:
            # Whole keys are dear: they are made only for those that may be among the first by their first value.
            edge = heapq.nsmallest(count, ranks)[-1]
            items = [item for item, rank in zip(items, ranks, strict=True) if rank <= edge]
        keyed = [(self._key_of(item), item) for item in items]
        if count * _FEW < len(keyed):
            keyed = heapq.nsmallest(count, keyed, key=itemgetter(0))
        else:
            keyed.sort(key=itemgetter(0))
        return [item for _, item in keyed[:count]], size

    def _later(self, items: Collection[T], ranks: Sequence[float] | None, after: Values) -> list[bool]:
        bound = self.sort_key(after)
        if ranks is None:
            return [self._key_of(item) > bound for item in items]
        (edge,) = self._as_ranks((after[0],))
        return [
            rank > edge or (rank == edge and self._key_of(item) > bound)
            for item, rank in zip(items, ranks, strict=True)
        ]

    def _key_of(self, item: T) -> tuple[Any, ...]:
        return self.sort_key(self.values_of(item))

    def _ranks(self, items: Collection[T]) -> list[float] | None:
        """The first value of each item as a number that no whole key contradicts; None where it is a text."""
        return self._as_ranks(map(self._getters[0], items)) if self._getters and self._numbers[0] else None

    def _as_ranks(self, values: Iterable[Value]) -> list[float]:
        numbers = cast("Iterable[float | None]", values)
        if self._descending[0]:
            return [math.inf if value is None else -value for value in numbers]
        return [math.inf if value is None else value for value in numbers]

    def build_cursor(self, item: T) -> str:
        """The cursor of an item."""
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


def unread(entry: Pod | Node) -> Usage | None:
    """In the place of usage that is not to be read yet, or not at all. Raises RuntimeError."""
    raise RuntimeError(f"the usage of {entry.name} was not read, and a list is ordered by it")


class Cut(msgspec.Struct, Generic[T], frozen=True):
    """One page cut out of a set."""

    items: tuple[T, ...]
    cursors: tuple[str, ...]
    has_next: bool
    has_previous: bool


def build_pod_sorting(orders: tuple[Order, ...], usage_of: UsageOf[Pod] = unread) -> Sorting[Pod]:
    """The order of a list of pods. Raises InvalidQuery for a column that pods do not have.

    `usage_of` is needed to sort by usage; without it the order can only be checked, and cursors be read.
    """

    def read(column: Column) -> Callable[[Pod], Value] | None:
        return pod_value(column, usage_of) if isinstance(column, UsageColumn) else _POD_VALUES.get(column)

    return Sorting("pods", orders, read)


def build_node_sorting(orders: tuple[Order, ...], usage_of: UsageOf[Node] = unread) -> Sorting[Node]:
    """The order of a list of nodes; as `build_pod_sorting`."""

    def read(column: Column) -> Callable[[Node], Value] | None:
        return node_value(column, usage_of) if isinstance(column, UsageColumn) else _NODE_VALUES.get(column)

    return Sorting("nodes", orders, read)


def check_page(request: PageRequest, sorting: Sorting[T]) -> Values | None:
    """What the request's cursor holds, None where it has none; to be called before any work. Raises InvalidQuery."""
    if not 0 <= request.first <= MAX_PAGE:
        raise InvalidQuery(f"first must be from 0 to {MAX_PAGE:,}, not {request.first:,}")
    return None if request.after is None else sorting.parse_cursor(request.after)


def cut_page(matched: Collection[T], sorting: Sorting[T], request: PageRequest) -> Cut[T]:
    """Cuts the requested page out of the whole filtered set. Raises InvalidQuery."""
    after = check_page(request, sorting)
    if after is None and not request.first:
        return Cut((), (), bool(matched), has_previous=False)  # what is only counted needs no keys
    items, size = sorting.first_after(matched, after, request.first)
    return Cut(
        items=tuple(items),
        cursors=tuple(sorting.build_cursor(item) for item in items),
        has_next=size > len(items),
        has_previous=size < len(matched),
    )


def build_page(selection: Selection[T], sorting: Sorting[T], request: PageRequest) -> Page[T]:
    """The requested page of what was selected. Raises InvalidQuery."""
    cut = cut_page(selection.matched, sorting, request)
    return Page(cut.items, cut.cursors, selection.matched, cut.has_next, cut.has_previous, selection.outcomes)


def _unpack(cursor: str) -> tuple[int, str, Values]:
    if len(cursor) > MAX_CURSOR:
        raise InvalidQuery("the cursor is not one that this server gave out")
    try:
        body = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(body, type=tuple[int, str, tuple[Value, ...]])
    except (binascii.Error, ValueError) as error:  # msgspec's errors and non-ASCII text are ValueErrors
        raise InvalidQuery("the cursor is not one that this server gave out") from error
