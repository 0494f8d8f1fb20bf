"""Filters and orders: from what a query says to `fleet.model.queries`."""

from collections.abc import Callable, Iterable, Sequence
from typing import Annotated, Any, Generic, TypeVar

import strawberry

from fleet.model import bounds, images, queries, ranking
from fleet.model.errors import InvalidQuery
from fleet.model.objects import Cluster
from fleet.model.queries import MAX_PAGE, Order, PageRequest
from fleet.model.ranking import build_bound, build_column
from fleet.model.selectors import (
    LabelSelector,
    parse_label_selector,
    parse_node_field_selector,
    parse_pod_field_selector,
)
from graph.enums import (
    ClusterHealth,
    ClusterRole,
    Direction,
    MissingAmount,
    NodeColumn,
    PercentOf,
    PodColumn,
    PodPhase,
    RolloutState,
    UsageField,
    WorkloadColumn,
)
from graph.scalars import DateTime, Duration

T = TypeVar("T")
N = TypeVar("N", bound=float)

MAX_ORDERS = 8
MAX_BOUNDS = 16
MAX_FILTER_DEPTH = 3
MAX_FILTERS_INSIDE = 50
QOS_CLASSES = ("Guaranteed", "Burstable", "BestEffort")

CLUSTER_SELECTOR = (
    "Kubernetes' own label selector, of the `labels` of clusters: `env=production,region in (eu,us)`. "
    "With `clusters` both must hold; one that no cluster matches finds nothing."
)
ClusterSelector = Annotated[str | None, strawberry.argument(description=CLUSTER_SELECTOR)]
"""An argument where there is no filter."""

PERCENT_OF = "What CPU_PERCENT and MEMORY_PERCENT are of, LIMIT where nothing is said; for nothing else."
_BOUNDS = "Bounds of its newest usage, all of which must hold; no bound where the list is empty."
_CREATED = "When it was created."
_AGE = "How long ago it was created, at the moment of the answer; a subscription looks at it each ten seconds."
_NOT = f"What must not hold. `not` and `anyOf` go {MAX_FILTER_DEPTH} levels deep, and have no `usage` inside."
_ANY_OF = f"Of these one must hold, beside all else here. A filter has {MAX_FILTERS_INSIDE} others inside it at most."


@strawberry.input(description="All parts that are given must hold.")
class NameFilter:
    """How a name must be."""

    eq: str | None = strawberry.field(default=None, description="Exactly this.")
    in_: list[str] | None = strawberry.field(default=None, name="in", description="One of these.")
    contains: str | None = strawberry.field(default=None, description="With this in it.")
    starts_with: str | None = strawberry.field(default=None, description="Beginning with this.")

    def as_filter(self) -> queries.NameFilter:
        return queries.NameFilter(
            eq=self.eq, one_of=_set(self.in_), contains=self.contains, starts_with=self.starts_with
        )


@strawberry.input(description="Matches the object that controls a pod. All parts that are given must hold.")
class OwnerFilter:
    """The controlling owner reference that a pod must have."""

    kind: str | None = strawberry.field(default=None, description="Kind of the owner, such as ReplicaSet.")
    name: str | None = strawberry.field(default=None, description="Name of the owner.")

    def as_filter(self) -> queries.OwnerFilter | None:
        """As the federation takes it. Raises InvalidQuery."""
        if self.kind is None:
            if self.name is None:
                return None
            raise InvalidQuery("an owner's `name` needs its `kind` beside it, such as ReplicaSet")
        return queries.OwnerFilter(kind=self.kind, name=self.name)


@strawberry.input(description="Bounds of a value. All that are given must hold.")
class Bounds(Generic[N]):
    """Bounds of a number, of whichever scalar."""

    gt: N | None = strawberry.field(default=None, description="More than this.")
    gte: N | None = strawberry.field(default=None, description="This or more.")
    lt: N | None = strawberry.field(default=None, description="Less than this.")
    lte: N | None = strawberry.field(default=None, description="This or less.")

    def as_bounds(self, name: str) -> bounds.Bounds:
        """As the federation takes it; `name` is the field's. Raises InvalidQuery."""
        return bounds.build_bounds(name, gt=self.gt, gte=self.gte, lt=self.lt, lte=self.lte)


@strawberry.input(description="Matches a pod by one of its images. All parts that are given must hold of the same one.")
class ImageFilter:
    """How one of a pod's images must be."""

    contains: str | None = strawberry.field(default=None, description="With this in it, as the pod writes it.")
    registry: str | None = strawberry.field(
        default=None, description="Its registry, with its port; docker.io where the image names none."
    )
    tag: str | None = strawberry.field(
        default=None, description="Its tag; latest where the image has neither a tag nor a digest."
    )

    def as_filter(self) -> images.ImageFilter:
        return images.ImageFilter(self.contains, self.registry, self.tag)


@strawberry.input(
    description="Matches a node by one of its taints. All parts that are given must hold of the same one."
)
class TaintFilter:
    """How one of a node's taints must be."""

    key: str | None = strawberry.field(default=None, description="Its key.")
    value: str | None = strawberry.field(default=None, description="Its value; empty where it has none.")
    effect: str | None = strawberry.field(default=None, description="NoSchedule, PreferNoSchedule or NoExecute.")

    def as_filter(self) -> queries.TaintFilter:
        return queries.TaintFilter(self.key, self.value, self.effect)


@strawberry.input(
    description="Bounds of the newest usage. All that are given must hold; what has no such usage is left out."
)
class UsageBound:
    """Bounds of one value of an object's newest usage."""

    field: UsageField = strawberry.field(description="What is bounded; the bounds are in its unit.")
    percent_of: PercentOf | None = strawberry.field(default=None, description=PERCENT_OF)
    gt: float | None = strawberry.field(default=None, description="More than this.")
    gte: float | None = strawberry.field(default=None, description="This or more.")
    lt: float | None = strawberry.field(default=None, description="Less than this.")
    lte: float | None = strawberry.field(default=None, description="This or less.")

    def as_bound(self) -> ranking.UsageBound:
        """As the federation takes it. Raises InvalidQuery."""
        column = build_column(self.field, self.percent_of)
        return build_bound(column, gt=self.gt, gte=self.gte, lt=self.lt, lte=self.lte)


@strawberry.input(description="Which pods. All parts that are given must hold; an empty list matches nothing.")
class PodFilter:
    """What `pods` can be bounded by."""

    clusters: list[str] | None = strawberry.field(default=None, description="Names of clusters.")
    cluster_selector: str | None = strawberry.field(default=None, description=CLUSTER_SELECTOR)
    namespaces: list[str] | None = strawberry.field(default=None, description="Names of namespaces.")
    name: NameFilter | None = strawberry.field(default=None, description="How its name must be.")
    label_selector: str | None = strawberry.field(
        default=None, description="Kubernetes' own label selector: `app=web,tier in (a,b),!legacy`."
    )
    field_selector: str | None = strawberry.field(
        default=None, description="Kubernetes' own field selector: `spec.nodeName=n1,status.phase!=Running`."
    )
    phases: list[PodPhase] | None = strawberry.field(default=None, description="Phases.")
    statuses: list[str] | None = strawberry.field(
        default=None, description="Statuses, as kubectl's STATUS column says them: CrashLoopBackOff, Terminating."
    )
    ready: bool | None = strawberry.field(
        default=None, description="Whether all its containers are ready, as kubectl's READY column says."
    )
    restarts: Bounds[int] | None = strawberry.field(
        default=None, description="How often its containers were restarted."
    )
    images: ImageFilter | None = strawberry.field(default=None, description="How one of its images must be.")
    created_at: Bounds[DateTime] | None = strawberry.field(default=None, description=_CREATED)
    age: Bounds[Duration] | None = strawberry.field(default=None, description=_AGE)
    nodes: list[str] | None = strawberry.field(default=None, description="Names of the nodes it runs on.")
    owner: OwnerFilter | None = strawberry.field(default=None, description="What controls it.")
    has_owner: bool | None = strawberry.field(default=None, description="Whether anything controls it.")
    missing: list[MissingAmount] | None = strawberry.field(
        default=None, description="Amounts of which one must be missing."
    )
    qos_classes: list[str] | None = strawberry.field(
        default=None, description=f"QoS classes: {', '.join(QOS_CLASSES[:-1])} or {QOS_CLASSES[-1]}."
    )
    usage: list[UsageBound] | None = strawberry.field(default=None, description=_BOUNDS)
    not_: "PodFilter | None" = strawberry.field(default=None, name="not", description=_NOT)
    any_of: "list[PodFilter] | None" = strawberry.field(default=None, description=_ANY_OF)

    def as_filter(self) -> queries.PodFilter:
        """As the federation takes it. Raises InvalidQuery for a selector that can't be read."""
        return queries.PodFilter(
            namespaces=_set(self.namespaces),
            nodes=_set(self.nodes),
            phases=_set(self.phases),
            statuses=_set(self.statuses),
            ready=self.ready,
            restarts=self.restarts.as_bounds("`restarts`") if self.restarts else None,
            images=self.images.as_filter() if self.images else None,
            name=self.name.as_filter() if self.name else None,
            labels=parse_label_selector(self.label_selector) if self.label_selector else None,
            fields=parse_pod_field_selector(self.field_selector) if self.field_selector else None,
            owner=self.owner.as_filter() if self.owner else None,
            has_owner=self.has_owner,
            missing=_set(self.missing),
            qos_classes=_qos_classes(self.qos_classes),
            **_shared_parts(self),
        )


@strawberry.input(description="Which nodes. All parts that are given must hold; an empty list matches nothing.")
class NodeFilter:
    """What `nodes` can be bounded by."""

    clusters: list[str] | None = strawberry.field(default=None, description="Names of clusters.")
    cluster_selector: str | None = strawberry.field(default=None, description=CLUSTER_SELECTOR)
    name: NameFilter | None = strawberry.field(default=None, description="How its name must be.")
    label_selector: str | None = strawberry.field(
        default=None, description="Kubernetes' own label selector: `topology.kubernetes.io/zone=a`."
    )
    field_selector: str | None = strawberry.field(
        default=None, description="Kubernetes' own field selector: `spec.unschedulable=true`."
    )
    ready: bool | None = strawberry.field(default=None, description="Whether it is ready.")
    statuses: list[str] | None = strawberry.field(
        default=None,
        description="Statuses: kubectl's STATUS column, or words of it, such as NotReady and SchedulingDisabled.",
    )
    roles: list[str] | None = strawberry.field(default=None, description="Roles of which it must have one.")
    taints: TaintFilter | None = strawberry.field(default=None, description="How one of its taints must be.")
    kubelet_versions: list[str] | None = strawberry.field(
        default=None, description="Versions of its kubelet: v1.36.3, or v1.36 for all of that."
    )
    zones: list[str] | None = strawberry.field(default=None, description="Zones.")
    conditions: list[str] | None = strawberry.field(
        default=None, description="Types of conditions of which one must be True: MemoryPressure, DiskPressure."
    )
    created_at: Bounds[DateTime] | None = strawberry.field(default=None, description=_CREATED)
    age: Bounds[Duration] | None = strawberry.field(default=None, description=_AGE)
    usage: list[UsageBound] | None = strawberry.field(default=None, description=_BOUNDS)
    not_: "NodeFilter | None" = strawberry.field(default=None, name="not", description=_NOT)
    any_of: "list[NodeFilter] | None" = strawberry.field(default=None, description=_ANY_OF)

    def as_filter(self) -> queries.NodeFilter:
        """As the federation takes it. Raises InvalidQuery for a selector that can't be read."""
        return queries.NodeFilter(
            name=self.name.as_filter() if self.name else None,
            labels=parse_label_selector(self.label_selector) if self.label_selector else None,
            fields=parse_node_field_selector(self.field_selector) if self.field_selector else None,
            ready=self.ready,
            statuses=_set(self.statuses),
            roles=_set(self.roles),
            taints=self.taints.as_filter() if self.taints else None,
            kubelet_versions=_set(self.kubelet_versions),
            zones=_set(self.zones),
            conditions=_set(self.conditions),
            **_shared_parts(self),
        )


@strawberry.input(description="Which workloads. All parts that are given must hold; an empty list matches nothing.")
class WorkloadFilter:
    """What `workloads` can be bounded by."""

    clusters: list[str] | None = strawberry.field(default=None, description="Names of clusters.")
    cluster_selector: str | None = strawberry.field(default=None, description=CLUSTER_SELECTOR)
    namespaces: list[str] | None = strawberry.field(default=None, description="Names of namespaces.")
    name: NameFilter | None = strawberry.field(default=None, description="How its name must be.")
    label_selector: str | None = strawberry.field(
        default=None, description="Kubernetes' own label selector: `app=web,tier in (a,b),!legacy`."
    )
    kinds: list[str] | None = strawberry.field(default=None, description="Kinds, such as Deployment.")
    rollouts: list[RolloutState] | None = strawberry.field(default=None, description="Where its rollout is.")
    available: bool | None = strawberry.field(
        default=None, description="Whether all pods it is to have are available; without kinds that do not count them."
    )
    images: ImageFilter | None = strawberry.field(default=None, description="How one of its images must be.")
    restarts: Bounds[int] | None = strawberry.field(
        default=None, description="How often containers of its pods were restarted."
    )
    created_at: Bounds[DateTime] | None = strawberry.field(default=None, description=_CREATED)
    age: Bounds[Duration] | None = strawberry.field(default=None, description=_AGE)
    usage: list[UsageBound] | None = strawberry.field(default=None, description=_BOUNDS)
    not_: "WorkloadFilter | None" = strawberry.field(default=None, name="not", description=_NOT)
    any_of: "list[WorkloadFilter] | None" = strawberry.field(default=None, description=_ANY_OF)

    def as_filter(self) -> queries.WorkloadFilter:
        """As the federation takes it. Raises InvalidQuery for a selector that can't be read."""
        return queries.WorkloadFilter(
            namespaces=_set(self.namespaces),
            name=self.name.as_filter() if self.name else None,
            labels=parse_label_selector(self.label_selector) if self.label_selector else None,
            kinds=_set(self.kinds),
            rollouts=_set(self.rollouts),
            available=self.available,
            images=self.images.as_filter() if self.images else None,
            restarts=self.restarts.as_bounds("`restarts`") if self.restarts else None,
            **_shared_parts(self),
        )


@strawberry.input(description="Which clusters. All parts that are given must hold; an empty list matches nothing.")
class ClusterFilter:
    """What `clusters` can be bounded by."""

    name: NameFilter | None = strawberry.field(default=None, description="How its name must be.")
    label_selector: str | None = strawberry.field(
        default=None, description="Kubernetes' own label selector, of its `labels`: `env=production,region in (eu,us)`."
    )
    roles: list[ClusterRole] | None = strawberry.field(default=None, description="Roles.")
    health: list[ClusterHealth] | None = strawberry.field(default=None, description="Healths.")

    def build_test(self) -> Callable[[Cluster], bool]:
        """Raises InvalidQuery for a selector that can't be read."""
        name = self.name.as_filter() if self.name else None
        labels = parse_label_selector(self.label_selector) if self.label_selector else None
        return lambda cluster: (
            (name is None or any(map(name.matches, (cluster.name, *cluster.other_names))))
            and (labels is None or labels.matches(cluster.labels))
            and (self.roles is None or cluster.role in self.roles)
            and (self.health is None or cluster.health in self.health)
        )


@strawberry.input(description="One sort key of pods: a column or a usage.")
class PodOrder:
    """A column or a usage, and a direction."""

    field: PodColumn | None = strawberry.field(default=None, description="The column; not with `usage`.")
    usage: UsageField | None = strawberry.field(default=None, description="The usage; not with `field`.")
    percent_of: PercentOf | None = strawberry.field(default=None, description=PERCENT_OF)
    direction: Direction = strawberry.field(default=Direction.ASC, description="Which end comes first.")


@strawberry.input(description="One sort key of nodes: a column or a usage.")
class NodeOrder:
    """A column or a usage, and a direction."""

    field: NodeColumn | None = strawberry.field(default=None, description="The column; not with `usage`.")
    usage: UsageField | None = strawberry.field(default=None, description="The usage; not with `field`.")
    percent_of: PercentOf | None = strawberry.field(default=None, description=PERCENT_OF)
    direction: Direction = strawberry.field(default=Direction.ASC, description="Which end comes first.")


@strawberry.input(description="One sort key of workloads: a column or a usage.")
class WorkloadOrder:
    """A column or a usage, and a direction."""

    field: WorkloadColumn | None = strawberry.field(default=None, description="The column; not with `usage`.")
    usage: UsageField | None = strawberry.field(default=None, description="The usage; not with `field`.")
    percent_of: PercentOf | None = strawberry.field(default=None, description=PERCENT_OF)
    direction: Direction = strawberry.field(default=Direction.ASC, description="Which end comes first.")


def workload_question(filter: WorkloadFilter | None) -> queries.WorkloadFilter:  # noqa: A002 - the argument's name in the graph
    """The filter's question, or the one for all workloads. Raises InvalidQuery."""
    return queries.WorkloadFilter() if filter is None else _checked(filter).as_filter()


def pod_question(filter: PodFilter | None) -> queries.PodFilter:  # noqa: A002 - the argument's name in the graph
    """The filter's question, or the one for all pods. Raises InvalidQuery."""
    return queries.PodFilter() if filter is None else _checked(filter).as_filter()


def node_question(filter: NodeFilter | None) -> queries.NodeFilter:  # noqa: A002 - the argument's name in the graph
    """The filter's question, or the one for all nodes. Raises InvalidQuery."""
    return queries.NodeFilter() if filter is None else _checked(filter).as_filter()


def build_orders(orders: Sequence[PodOrder | NodeOrder | WorkloadOrder] | None) -> tuple[Order, ...]:
    """The sort keys, first ones first. Raises InvalidQuery."""
    if orders and len(orders) > MAX_ORDERS:
        raise InvalidQuery(f"a list takes {MAX_ORDERS} orders at most, not {len(orders)}")
    return tuple(_order(order) for order in orders or ())


def build_page_request(first: int | None, after: str | None) -> PageRequest:
    """The page that is asked for. Raises InvalidQuery."""
    if first is None:
        return PageRequest(after=after)
    if not 0 <= first <= MAX_PAGE:
        raise InvalidQuery(f"`first` is 0 at least and {MAX_PAGE:,} at most, not {first}")
    return PageRequest(first=first, after=after)


def _order(order: PodOrder | NodeOrder | WorkloadOrder) -> Order:
    descending = order.direction is Direction.DESC
    if order.field is not None and order.usage is not None:
        raise InvalidQuery("an order takes `field` or `usage`, not both: for two sort keys give two orders")
    if order.usage is not None:
        return Order(build_column(order.usage, order.percent_of), descending)
    if order.field is None:
        raise InvalidQuery("an order names a `field`, such as NAME, or a `usage`, such as MEMORY_PERCENT")
    if order.percent_of is not None:
        raise InvalidQuery(f"`percentOf` belongs to a `usage` in percent, not to the field {order.field.value}")
    return Order(order.field, descending)


AnyFilter = PodFilter | NodeFilter | WorkloadFilter
F = TypeVar("F", PodFilter, NodeFilter, WorkloadFilter)


def parse_cluster_selector(text: str | None) -> LabelSelector | None:
    """Which clusters by their labels, None for all. Raises InvalidQuery that says what would be right."""
    try:
        return parse_label_selector(text) if text else None
    except InvalidQuery as error:  # the same filter may have one of objects, too
        raise InvalidQuery(f"`clusterSelector`: {error}") from error


def _checked(filter: F) -> F:  # noqa: A002 - as above
    """The filter, whose `not` and `anyOf` are within their limits. Raises InvalidQuery."""
    found, depth = 0, 0
    level = _filters_inside([filter])
    while level:
        found, depth = found + len(level), depth + 1
        if depth > MAX_FILTER_DEPTH:
            raise InvalidQuery(f"`not` and `anyOf` may be nested {MAX_FILTER_DEPTH} levels deep, and not deeper")
        if found > MAX_FILTERS_INSIDE:
            raise InvalidQuery(f"a filter has {MAX_FILTERS_INSIDE} others in its `not` and `anyOf` at most")
        if any(one.usage for one in level):
            raise InvalidQuery("bounds of `usage` stand beside `not` and `anyOf`, not inside them")
        level = _filters_inside(level)
    return filter


def _filters_inside(filters: Iterable[AnyFilter]) -> list[AnyFilter]:
    return [inner for outer in filters for inner in (*(outer.any_of or ()), outer.not_) if inner is not None]


def _shared_parts(given: AnyFilter) -> dict[str, Any]:
    return {
        "clusters": _set(given.clusters),
        "cluster_labels": parse_cluster_selector(given.cluster_selector),
        "created": given.created_at.as_bounds("`createdAt`") if given.created_at else None,
        "age": given.age.as_bounds("`age`") if given.age else None,
        "usage": _usage_bounds(given.usage),
        "excluded": given.not_.as_filter() if given.not_ else None,
        "any_of": None if given.any_of is None else tuple(inner.as_filter() for inner in given.any_of),
    }


def _usage_bounds(given: Sequence[UsageBound] | None) -> tuple[ranking.UsageBound, ...]:
    if given and len(given) > MAX_BOUNDS:
        raise InvalidQuery(f"a filter takes {MAX_BOUNDS} bounds of usage at most, not {len(given)}")
    return tuple(bound.as_bound() for bound in given or ())


def _qos_classes(names: Iterable[str] | None) -> frozenset[str] | None:
    for name in names or ():
        if name not in QOS_CLASSES:
            raise InvalidQuery(f"{name[:40]!r} is no QoS class: there are {', '.join(QOS_CLASSES)}")
    return _set(names)


def _set(values: Iterable[T] | None) -> frozenset[T] | None:
    return None if values is None else frozenset(values)
