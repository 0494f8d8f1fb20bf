"""Questions about pods and nodes, as frozen values, and their paged answers."""

import enum
from collections.abc import Callable, Sequence
from typing import Generic

from msgspec import Struct

from fleet.model.objects import Node, Outcome, Pod, PodPhase, T
from fleet.model.ordered import Ordered
from fleet.model.ranking import UsageBound, UsageColumn
from fleet.model.selectors import FieldSelector, LabelSelector
from fleet.model.usage import Usage

MAX_PAGE = 10_000
DEFAULT_PAGE = 100


class NameFilter(Struct, frozen=True):
    """All parts given must hold."""

    eq: str | None = None
    one_of: frozenset[str] | None = None
    contains: str | None = None
    starts_with: str | None = None

    def matches(self, name: str) -> bool:
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


Test = Callable[[T], bool]


class Filter(Struct, Generic[T], frozen=True):
    """What filters of all kinds bound. None: no bound; an empty set matches nothing.

    `usage` is not in memory (`fleet.model.ranking`).
    """

    clusters: frozenset[str] | None = None
    name: NameFilter | None = None
    labels: LabelSelector | None = None
    fields: FieldSelector | None = None
    usage: tuple[UsageBound, ...] = ()

    @property
    def namespaces(self) -> frozenset[str] | None:
        """A field of filters whose objects have namespaces."""
        return None

    def bounds(self) -> dict[str, frozenset[str] | None]:
        """The sets that objects are found by, by the name of the index; with equal sizes the first is taken."""
        return {}

    def build_tests(self) -> list[Test[T]]:
        """What an object has to pass beside `clusters`, `labels`, `usage` and the bounds."""
        tests: list[Test[T]] = []
        if (name := self.name) is not None:
            tests.append(lambda entry: name.matches(entry.name))
        if (fields := self.fields) is not None:
            tests.append(fields.matches)
        return tests


class PodFilter(Filter[Pod], frozen=True):
    """Which pods; those of `namespaces` and of `nodes` are found by an index."""

    namespaces: frozenset[str] | None = None
    nodes: frozenset[str] | None = None
    phases: frozenset[PodPhase] | None = None
    owner: OwnerFilter | None = None

    def bounds(self) -> dict[str, frozenset[str] | None]:
        return {"node": self.nodes, "namespace": self.namespaces}

    def build_tests(self) -> list[Test[Pod]]:
        tests = super().build_tests()
        if (phases := self.phases) is not None:
            tests.append(lambda pod: pod.phase in phases)
        if (owner := self.owner) is not None:
            tests.append(
                lambda pod: (
                    pod.owner is not None
                    and pod.owner.kind == owner.kind
                    and (owner.name is None or pod.owner.name == owner.name)
                )
            )
        return tests


class NodeFilter(Filter[Node], frozen=True):
    """Which nodes; they have no index but that of labels."""

    ready: bool | None = None

    def build_tests(self) -> list[Test[Node]]:
        tests = super().build_tests()
        if (ready := self.ready) is not None:
            tests.append(lambda node: node.ready is ready)
        return tests


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


def usage_columns(question: Filter[T], orders: tuple[Order, ...]) -> list[UsageColumn]:
    """What of the objects' usage has to be known to answer: the columns of bounds and orders."""
    if not orders and not question.usage:
        return []
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
    belongs to `items[i]`, and is made when it is read; so does `usages[i]`, where the page was cut by usage.
    """

    items: tuple[T, ...]
    cursors: Sequence[str]
    matched: Ordered[T]
    has_next: bool
    has_previous: bool
    outcomes: Sequence[Outcome]
    usages: Sequence[Usage | None] = ()
