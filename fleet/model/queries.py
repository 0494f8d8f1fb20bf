"""Questions about pods and nodes, as frozen values, and their paged answers."""

import enum
import time
from collections.abc import Callable, Iterator, Sequence
from functools import cache, lru_cache
from typing import Generic, Self

from msgspec import Struct
from msgspec.structs import replace

from fleet.model.bounds import Bounds
from fleet.model.images import ImageFilter
from fleet.model.objects import MissingAmount, Node, Outcome, Pod, PodPhase, T
from fleet.model.ordered import Ordered
from fleet.model.ranking import UsageBound, UsageColumn
from fleet.model.selectors import FieldSelector, LabelSelector
from fleet.model.usage import Usage
from fleet.model.workloads import RolloutState, Workload

FEW_TERMS = 10
"""Terms of selectors that an object is held against without further ado."""

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


class TaintFilter(Struct, frozen=True):
    """All parts given must hold of one taint."""

    key: str | None = None
    value: str | None = None
    effect: str | None = None

    def matches(self, node: Node) -> bool:
        """Whether one of the node's taints is so."""
        return any(
            (self.key is None or taint.key == self.key)
            and (self.value is None or (taint.value or "") == self.value)
            and (self.effect is None or taint.effect == self.effect)
            for taint in node.taints
        )


Test = Callable[[T], bool]

FindLabelled = Callable[[LabelSelector], frozenset[str]]
"""Gives the names of the clusters in reach that a selector lets through."""


class ClusterFilter(Struct, frozen=True):
    """Which clusters a question is about, by name and by their labels: both must hold, and None is no bound.

    `labelled` are the clusters in reach that `cluster_labels` selects, which `resolve` finds out; none until then.
    """

    clusters: frozenset[str] | None = None
    cluster_labels: LabelSelector | None = None
    labelled: frozenset[str] | None = None

    @property
    def asked(self) -> frozenset[str] | None:
        """The names of these clusters."""
        if self.cluster_labels is None:
            return self.clusters
        labelled = self.labelled or frozenset()
        return labelled if self.clusters is None else labelled & self.clusters

    @property
    def goes_by_labels(self) -> bool:
        """Whether labels of clusters decide what passes it, so that it has to be resolved."""
        return self.cluster_labels is not None

    def resolve(self, own_name: Callable[[str], str], find_labelled: FindLabelled) -> Self:
        """The same, of clusters as they are called here and labelled now; the same object where it is of all."""
        if self.clusters is None and self.cluster_labels is None:
            return self
        return replace(
            self,
            clusters=None if self.clusters is None else frozenset(map(own_name, self.clusters)),
            labelled=None if self.cluster_labels is None else find_labelled(self.cluster_labels),
        )


class Filter(ClusterFilter, Generic[T], frozen=True):
    """What filters of all kinds bound. None: no bound; an empty set or `any_of` matches nothing.

    `created` is in Unix seconds, `age` in seconds at the time of the test. What is `excluded` is left out, one of
    `any_of` must hold: neither has a `usage`, which is not in memory (`fleet.model.ranking`).
    """

    name: NameFilter | None = None
    labels: LabelSelector | None = None
    fields: FieldSelector | None = None
    created: Bounds | None = None
    age: Bounds | None = None
    excluded: Self | None = None
    any_of: tuple[Self, ...] | None = None
    usage: tuple[UsageBound, ...] = ()

    @property
    def namespaces(self) -> frozenset[str] | None:
        """A field of filters whose objects have namespaces."""
        return None

    @property
    def branches(self) -> tuple[Self, ...]:
        """The filters inside this one."""
        return (*(self.any_of or ()), *(() if self.excluded is None else (self.excluded,)))

    @property
    def ages(self) -> bool:
        """Whether objects come to pass it, or cease to, without a change."""
        return self.age is not None or any(branch.ages for branch in self.branches)

    @property
    def weight(self) -> int:
        """How many conditions of filters inside, of long selectors, or of age an object is held against, about.

        Those are what takes long, or is done again and again.
        """
        own = (self.age is not None) + max(0, _count_terms(self) - FEW_TERMS)
        return own + sum(branch.weight + _count_conditions(branch) for branch in self.branches)

    @property
    def is_long(self) -> bool:
        """Whether holding objects against it is worth turns."""
        return bool(self.branches) or _count_terms(self) > FEW_TERMS

    @property
    def goes_by_labels(self) -> bool:
        return super().goes_by_labels or any(branch.goes_by_labels for branch in self.branches)

    def resolve(self, own_name: Callable[[str], str], find_labelled: FindLabelled) -> Self:
        resolved = super().resolve(own_name, find_labelled)
        if not self.branches:
            return resolved
        return replace(
            resolved,
            excluded=self.excluded and self.excluded.resolve(own_name, find_labelled),
            any_of=self.any_of and tuple(branch.resolve(own_name, find_labelled) for branch in self.any_of),
        )

    def clusters_inside(self) -> Iterator[str]:
        """The clusters that the filters inside it name."""
        for branch in self.branches:
            yield from branch.clusters or ()
            yield from branch.clusters_inside()

    def bounds(self) -> dict[str, frozenset[str] | None]:
        """The sets that objects are found by, by the name of the index; with equal sizes the first is taken."""
        return {}

    def build_tests(self) -> list[Test[T]]:
        """What an object has to pass beside `clusters`, `labelled`, `labels`, `usage` and the bounds."""
        tests: list[Test[T]] = []
        if (name := self.name) is not None:
            tests.append(lambda entry: name.matches(entry.name))
        if (fields := self.fields) is not None:
            tests.append(fields.matches)
        if (created := self.created) is not None:
            tests.append(lambda entry: entry.created_at is not None and created.holds(entry.created_at))
        if (age := self.age) is not None:
            tests.append(lambda entry: entry.created_at is not None and age.holds(time.time() - entry.created_at))
        if self.excluded is not None:
            excluded = _all_of(self.excluded.build_all_tests())
            tests.append(lambda entry: not excluded(entry))
        if self.any_of is not None:
            choices = [_all_of(branch.build_all_tests()) for branch in self.any_of]
            tests.append(lambda entry: any(choice(entry) for choice in choices))
        return tests

    def build_all_tests(self) -> list[Test[T]]:
        """What an object has to pass beside `usage`."""
        tests = self.build_tests()
        if (clusters := self.asked) is not None:
            tests.append(lambda entry: entry.cluster in clusters)
        if (labels := self.labels) is not None:
            tests.append(lambda entry: labels.matches(entry.labels))
        return tests


def _count_conditions(wanted: Filter[T]) -> int:
    # What is beyond a few terms is in its weight already.
    terms = min(_count_terms(wanted), FEW_TERMS)
    return terms + sum(getattr(wanted, name) is not None for name in wanted.__struct_fields__)


def _count_terms(wanted: Filter[T]) -> int:
    """Terms of its selectors that no index answers."""
    return len(wanted.fields.terms if wanted.fields else ()) + len(wanted.labels.others if wanted.labels else ())


def _all_of(tests: Sequence[Test[T]]) -> Test[T]:
    return tests[0] if len(tests) == 1 else lambda entry: all(test(entry) for test in tests)


class PodFilter(Filter[Pod], frozen=True):
    """Which pods; those of `namespaces` and of `nodes` are found by an index.

    `statuses` and `ready` are of kubectl's columns; a pod matches with one of the `missing` amounts.
    """

    namespaces: frozenset[str] | None = None
    nodes: frozenset[str] | None = None
    owner_uids: frozenset[str] | None = None
    phases: frozenset[PodPhase] | None = None
    statuses: frozenset[str] | None = None
    ready: bool | None = None
    restarts: Bounds | None = None
    images: ImageFilter | None = None
    owner: OwnerFilter | None = None
    has_owner: bool | None = None
    missing: frozenset[MissingAmount] | None = None
    qos_classes: frozenset[str] | None = None

    def bounds(self) -> dict[str, frozenset[str] | None]:
        return {"owner": self.owner_uids, "unwell": None, "node": self.nodes, "namespace": self.namespaces}

    def build_tests(self) -> list[Test[Pod]]:
        tests = super().build_tests()
        if (phases := self.phases) is not None:
            tests.append(lambda pod: pod.phase in phases)
        if (statuses := self.statuses) is not None:
            tests.append(lambda pod: pod.status in statuses)
        if (ready := self.ready) is not None:
            tests.append(lambda pod: (pod.ready_containers == pod.total_containers) is ready)
        if (restarts := self.restarts) is not None:
            tests.append(lambda pod: restarts.holds(pod.restarts))
        if self.images is not None:
            has_image = cache(self.images.matches)  # the pods of a workload have the same
            tests.append(lambda pod: has_image(pod.images))
        if (owner := self.owner) is not None:
            tests.append(
                lambda pod: (
                    pod.owner is not None
                    and pod.owner.kind == owner.kind
                    and (owner.name is None or pod.owner.name == owner.name)
                )
            )
        if (has_owner := self.has_owner) is not None:
            tests.append(lambda pod: (pod.owner is not None) is has_owner)
        if (missing := self.missing) is not None:
            tests.append(lambda pod: not missing.isdisjoint(pod.missing))
        if (qos_classes := self.qos_classes) is not None:
            tests.append(lambda pod: pod.qos_class in qos_classes)
        return tests

    def build_all_tests(self) -> list[Test[Pod]]:
        tests = super().build_all_tests()
        if (namespaces := self.namespaces) is not None:
            tests.append(lambda pod: pod.namespace in namespaces)
        if (nodes := self.nodes) is not None:
            tests.append(lambda pod: pod.node_name in nodes)
        return tests


@lru_cache(maxsize=1_000)
def _prefixes_of(version: str) -> frozenset[str]:
    """`v1.36.3` -> v1, v1.36 and itself."""
    return frozenset((version, *(version[:place] for place, sign in enumerate(version[:100]) if sign in ".-+")))


class NodeFilter(Filter[Node], frozen=True):
    """Which nodes; they have no index but that of labels.

    A node has a status that is kubectl's STATUS or one of its words, a version that is its own or leads to it as
    `v1.36` does to `v1.36.3`, and a condition that is True.
    """

    ready: bool | None = None
    statuses: frozenset[str] | None = None
    roles: frozenset[str] | None = None
    taints: TaintFilter | None = None
    kubelet_versions: frozenset[str] | None = None
    zones: frozenset[str] | None = None
    conditions: frozenset[str] | None = None

    def build_tests(self) -> list[Test[Node]]:
        tests = super().build_tests()
        if (ready := self.ready) is not None:
            tests.append(lambda node: node.ready is ready)
        if (statuses := self.statuses) is not None:
            tests.append(lambda node: node.status in statuses or not statuses.isdisjoint(node.status.split(",")))
        if (roles := self.roles) is not None:
            tests.append(lambda node: not roles.isdisjoint(node.roles))
        if (taints := self.taints) is not None:
            tests.append(taints.matches)
        if (versions := self.kubelet_versions) is not None:
            tests.append(lambda node: not versions.isdisjoint(_prefixes_of(node.kubelet_version)))
        if (zones := self.zones) is not None:
            tests.append(lambda node: node.zone in zones)
        if (conditions := self.conditions) is not None:
            tests.append(lambda node: any(one.status == "True" and one.type in conditions for one in node.conditions))
        return tests


class WorkloadFilter(Filter[Workload], frozen=True):
    """Which workloads; those of `namespaces` are found by an index. `available`: whether none is unavailable."""

    namespaces: frozenset[str] | None = None
    kinds: frozenset[str] | None = None
    rollouts: frozenset[RolloutState] | None = None
    available: bool | None = None
    images: ImageFilter | None = None
    restarts: Bounds | None = None

    def bounds(self) -> dict[str, frozenset[str] | None]:
        return {"namespace": self.namespaces}

    def build_tests(self) -> list[Test[Workload]]:
        tests = super().build_tests()
        if (kinds := self.kinds) is not None:
            tests.append(lambda workload: workload.kind in kinds)
        if (rollouts := self.rollouts) is not None:
            tests.append(lambda workload: workload.rollout in rollouts)
        if (available := self.available) is not None:
            tests.append(lambda workload: (workload.unavailable == 0) if available else bool(workload.unavailable))
        if (images := self.images) is not None:
            tests.append(lambda workload: images.matches(workload.images))
        if (restarts := self.restarts) is not None:
            tests.append(lambda workload: restarts.holds(workload.restarts))
        return tests

    def build_all_tests(self) -> list[Test[Workload]]:
        tests = super().build_all_tests()
        if (namespaces := self.namespaces) is not None:
            tests.append(lambda workload: workload.namespace in namespaces)
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


class WorkloadColumn(enum.Enum):
    """Columns workloads can be ordered by."""

    NAME = "NAME"
    NAMESPACE = "NAMESPACE"
    CLUSTER = "CLUSTER"
    KIND = "KIND"
    CREATED_AT = "CREATED_AT"
    DESIRED = "DESIRED"
    UNAVAILABLE = "UNAVAILABLE"
    RESTARTS = "RESTARTS"


Column = PodColumn | NodeColumn | WorkloadColumn | UsageColumn


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
