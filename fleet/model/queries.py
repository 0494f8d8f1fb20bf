"""Questions about pods and nodes, as frozen values, and their paged answers."""

import enum
from collections.abc import Sequence
from typing import Generic, TypeVar

from msgspec import Struct

from fleet.model.objects import Node, Outcome, Pod, PodPhase
from fleet.model.ordered import Ordered
from fleet.model.ranking import UsageBound, UsageColumn
from fleet.model.selectors import FieldSelector, LabelSelector

MAX_PAGE = 10_000
DEFAULT_PAGE = 100

T = TypeVar("T", Pod, Node)


class NameFilter(Struct, frozen=True):
    """All parts given must hold."""

    eq: str | None = None
    one_of: frozenset[str] | None = None
    contains: str | None = None
    starts_with: str | None = None

    def matches(self, name: str) -> bool:
        """Whether the name passes."""
        return (
            (self.eq is None or name == self.eq)
            and (self.one_of is None or name in self.one_of)
            and (self.contains is None or self.contains in name)
            and (self.starts_with is None or name.startswith(self.starts_with))
        )


class OwnerFilter(Struct, frozen=True):
    """Matches the controlling owner reference."""

    kind: str
    name: str | None = None


class PodFilter(Struct, frozen=True):
    """Which pods. None: no bound; an empty set matches nothing. `usage` is not in memory (`fleet.model.ranking`)."""

    clusters: frozenset[str] | None = None
    namespaces: frozenset[str] | None = None
    nodes: frozenset[str] | None = None
    phases: frozenset[PodPhase] | None = None
    name: NameFilter | None = None
    labels: LabelSelector | None = None
    fields: FieldSelector | None = None
    owner: OwnerFilter | None = None
    usage: tuple[UsageBound, ...] = ()


class NodeFilter(Struct, frozen=True):
    """Which nodes. None: no bound; an empty set matches nothing. `usage` is not in memory (`fleet.model.ranking`)."""

    clusters: frozenset[str] | None = None
    name: NameFilter | None = None
    labels: LabelSelector | None = None
    fields: FieldSelector | None = None
    ready: bool | None = None
    usage: tuple[UsageBound, ...] = ()


class PodColumn(enum.Enum):
    """Columns pods can be ordered by."""

    NAME = "NAME"
    NAMESPACE = "NAMESPACE"
    CLUSTER = "CLUSTER"
    NODE = "NODE"
    PHASE = "PHASE"
    STATUS = "STATUS"
    RESTARTS = "RESTARTS"
    CREATED_AT = "CREATED_AT"


class NodeColumn(enum.Enum):
    """Columns nodes can be ordered by."""

    NAME = "NAME"
    CLUSTER = "CLUSTER"
    STATUS = "STATUS"
    CREATED_AT = "CREATED_AT"


Column = PodColumn | NodeColumn | UsageColumn


class Order(Struct, frozen=True):
    """One sort key. Nulls come last in both directions; ties are broken by cluster, namespace and name."""

    column: Column
    descending: bool = False


def usage_columns(question: PodFilter | NodeFilter, orders: tuple[Order, ...]) -> list[UsageColumn]:
    """What of the objects' usage has to be known to answer: the columns of bounds and orders."""
    ordered = [order.column for order in orders if isinstance(order.column, UsageColumn)]
    return [*(bound.column for bound in question.usage), *ordered]


class PageRequest(Struct, frozen=True):
    """`first` items after the cursor. A cursor belongs to an order: with another order it is refused."""

    first: int = DEFAULT_PAGE
    after: str | None = None


class Selection(Struct, Generic[T], frozen=True):
    """All that a filter selected, by cluster, namespace and name, over all clusters that answered."""

    matched: Ordered[T]
    outcomes: Sequence[Outcome]


class Page(Struct, Generic[T], frozen=True):
    """A page of a filtered and ordered set over all clusters that answered.

    `matched` is the whole filtered set, by cluster, namespace and name, for counts that ship no body. `cursors[i]`
    belongs to `items[i]`, and is made when it is read.
    """

    items: tuple[T, ...]
    cursors: Sequence[str]
    matched: Ordered[T]
    has_next: bool
    has_previous: bool
    outcomes: Sequence[Outcome]
