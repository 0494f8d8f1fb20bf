"""Pages of a changing set: a cursor holds the sort key of its item, and the next page is what sorts after it.

So a page needs nothing of the one before but its cursor, and an object that existed throughout is neither skipped nor
given twice, whatever came, went, or was cut off in between (as long as the values it is ordered by stay the same).
"""

import base64
import binascii
import heapq
from collections.abc import Callable, Collection, Sequence
from operator import itemgetter
from typing import Any, Generic, TypeVar

import msgspec

from fleet.errors import InvalidQuery
from fleet.models import Node, Pod
from fleet.queries import MAX_PAGE, NodeColumn, Order, Page, PageRequest, PodColumn, Selection

T = TypeVar("T", Pod, Node)
Value = str | int | float | None
Values = tuple[Value, ...]
"""What an item is ordered by, then cluster, namespace and name."""

CURSOR_VERSION = 1
MAX_CURSOR = 4096
_NAME_PARTS = 3

_POD_VALUES: dict[PodColumn | NodeColumn, Callable[[Pod], Value]] = {
    PodColumn.NAME: lambda pod: pod.name,
    PodColumn.NAMESPACE: lambda pod: pod.namespace,
    PodColumn.CLUSTER: lambda pod: pod.cluster,
    PodColumn.NODE: lambda pod: pod.node_name,
    PodColumn.PHASE: lambda pod: pod.phase.value,
    PodColumn.STATUS: lambda pod: pod.status,
    PodColumn.RESTARTS: lambda pod: pod.restarts,
    PodColumn.CREATED_AT: lambda pod: pod.created_at,
}
_NODE_VALUES: dict[PodColumn | NodeColumn, Callable[[Node], Value]] = {
    NodeColumn.NAME: lambda node: node.name,
    NodeColumn.CLUSTER: lambda node: node.cluster,
    NodeColumn.STATUS: lambda node: node.status,
    NodeColumn.CREATED_AT: lambda node: node.created_at,
}
_NUMBERS = {PodColumn.RESTARTS, PodColumn.CREATED_AT, NodeColumn.CREATED_AT}


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
    """An order made usable: the values an item is sorted by, their sort key, and cursors of them."""

    def __init__(
        self, kind: str, orders: tuple[Order, ...], columns: dict[PodColumn | NodeColumn, Callable[[T], Value]]
    ) -> None:
        unknown = [order.column.value for order in orders if order.column not in columns]
        if unknown:
            raise InvalidQuery(f"{kind} can't be ordered by {', '.join(unknown)}")
        self._numbers: list[bool] = [order.column in _NUMBERS for order in orders]
        self._descending: list[bool] = [order.descending for order in orders]
        self._getters: list[Callable[[T], Value]] = [columns[order.column] for order in orders]
        names: list[str] = [f"{order.column.value}{'-' if order.descending else '+'}" for order in orders]
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


class Cut(msgspec.Struct, Generic[T], frozen=True):
    """One page cut out of a set."""

    items: tuple[T, ...]
    cursors: tuple[str, ...]
    has_next: bool
    has_previous: bool


def build_pod_sorting(orders: tuple[Order, ...]) -> Sorting[Pod]:
    """The order of a list of pods. Raises InvalidQuery for a column that pods do not have."""
    return Sorting("pods", orders, _POD_VALUES)


def build_node_sorting(orders: tuple[Order, ...]) -> Sorting[Node]:
    """The order of a list of nodes. Raises InvalidQuery for a column that nodes do not have."""
    return Sorting("nodes", orders, _NODE_VALUES)


def check_page(request: PageRequest, sorting: Sorting[T]) -> Values | None:
    """What the request's cursor holds, None where it has none; to be called before any work. Raises InvalidQuery."""
    if not 0 <= request.first <= MAX_PAGE:
        raise InvalidQuery(f"first must be from 0 to {MAX_PAGE:,}, not {request.first:,}")
    return None if request.after is None else sorting.parse_cursor(request.after)


def cut_page(matched: Collection[T], sorting: Sorting[T], request: PageRequest) -> Cut[T]:
    """Cuts the requested page out of the whole filtered set. Raises InvalidQuery."""
    after = check_page(request, sorting)
    keyed: Sequence[tuple[tuple[Any, ...], T]] = [(sorting.sort_key(sorting.values_of(item)), item) for item in matched]
    if after is not None:
        bound = sorting.sort_key(after)
        keyed = [pair for pair in keyed if pair[0] > bound]
    wanted = _smallest(keyed, request.first)
    items = tuple(item for _, item in wanted)
    return Cut(
        items=items,
        cursors=tuple(sorting.build_cursor(item) for item in items),
        has_next=len(keyed) > len(items),
        has_previous=len(keyed) < len(matched),
    )


def build_page(selection: Selection[T], sorting: Sorting[T], request: PageRequest) -> Page[T]:
    """The requested page of what was selected. Raises InvalidQuery."""
    cut = cut_page(selection.matched, sorting, request)
    return Page(cut.items, cut.cursors, selection.matched, cut.has_next, cut.has_previous, selection.outcomes)


def _smallest(keyed: Sequence[tuple[tuple[Any, ...], T]], count: int) -> Sequence[tuple[tuple[Any, ...], T]]:
    # A heap wins while it stays small; beyond that one sort is quicker than many sifts.
    if count * 8 < len(keyed):
        return heapq.nsmallest(count, keyed, key=itemgetter(0))
    return sorted(keyed, key=itemgetter(0))[:count]


def _unpack(cursor: str) -> tuple[int, str, Values]:
    if len(cursor) > MAX_CURSOR:
        raise InvalidQuery("the cursor is not one that this server gave out")
    try:
        body = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        return msgspec.json.decode(body, type=tuple[int, str, tuple[Value, ...]])
    except (binascii.Error, ValueError) as error:  # msgspec's errors and non-ASCII text are ValueErrors
        raise InvalidQuery("the cursor is not one that this server gave out") from error
