"""A cluster of the federation."""

from collections.abc import Callable, Collection, Mapping
from functools import partial
from operator import attrgetter
from typing import Self, cast

import strawberry

from fleet.model import objects as models
from fleet.model.kinds import PODS
from fleet.model.queries import PageRequest
from fleet.model.ranking import node_bases
from fleet.model.sums import sum_resources
from fleet.model.told import told_to
from graph.enums import ClusterHealth, ClusterRole, PercentOf, PodGroup
from graph.loading.cluster_sums import load_all_nodes, load_cluster_history, load_cluster_usage, read_all_nodes
from graph.loading.context import Info
from graph.loading.listing import load_nodes_of, load_page, pods_within
from graph.loading.maybe_await import AwaitableOrValue, map_found, map_value
from graph.loading.time_range import TimeRangeRequest
from graph.types import metrics
from graph.types.common import Count, Label, Resources, labels_of
from graph.types.fields import of_model, resolved
from graph.types.inputs import (
    NodeFilter,
    NodeOrder,
    PodFilter,
    PodOrder,
    build_orders,
    build_page_request,
    node_question,
    pod_question,
)
from graph.types.namespace import Namespace
from graph.types.node_connection import NodeConnection
from graph.types.pod_connection import PodConnection, counts_of
from graph.types.usage import Usage, UsageHistory
from graph.types.views import View, Views


@strawberry.federation.type(keys=["name"], description="A cluster of the federation, as this server sees it now.")
class Cluster(View[models.Cluster]):
    """A view of `models.Cluster`."""

    model: strawberry.Private[models.Cluster]
    name: str = of_model("Its name in the federation.")
    role: ClusterRole = of_model("What it is to the federation.")
    health: ClusterHealth = of_model("How it is.")
    version: str | None = of_model("Version of its API server.")
    platform: str | None = strawberry.field(description="What it runs on, such as EKS, as the platform has it.")
    region: str | None = strawberry.field(description="The region it is in, as the platform has it.")
    zones: list[str] = strawberry.field(description="The zones it is in, as the platform has them.")
    join_status: str | None = strawberry.field(description="Whether it has joined, as the platform has it.")

    @classmethod
    def from_model(cls, model: models.Cluster) -> Self:
        info = model.info
        return cls(
            model=model,
            platform=info.platform,
            region=info.region,
            zones=list(info.zones),
            join_status=info.join_status,
        )

    @resolved(
        "What is wrong, and what would mend it; null while all is well. Addresses are for administrators.",
        shared_by=("name", "message"),
    )
    def message(self, info: Info) -> str | None:
        return told_to(info.context.scope, self.model.message)

    @resolved("Its labels: those that its source has for it, such as its KubeFedCluster's.", shared_by=("labels",))
    def labels(self) -> list[Label]:
        return labels_of(self.model.labels)

    @resolved("Its nodes.")
    def nodes(
        self,
        info: Info,
        filter: NodeFilter | None = None,  # noqa: A002 - the argument's name in the graph
        order_by: list[NodeOrder] | None = None,
        first: int | None = None,
        after: str | None = None,
    ) -> NodeConnection:
        question, page_request = node_question(filter), build_page_request(first, after)
        found = load_nodes_of(info, self.model.name, question, build_orders(order_by), page_request)
        return map_value(found, NodeConnection.from_model)

    @resolved("Its pods.")
    def pods(
        self,
        info: Info,
        filter: PodFilter | None = None,  # noqa: A002 - the argument's name in the graph
        order_by: list[PodOrder] | None = None,
        first: int | None = None,
        after: str | None = None,
    ) -> PodConnection:
        question = pods_within(info, pod_question(filter), self.model.name)
        found = load_page(info, PODS, question, build_orders(order_by), build_page_request(first, after))
        return map_value(found, PodConnection.from_model)

    @resolved("Its namespaces within your reach, by name; null while it can't be asked.", views=True)
    def namespaces(self, info: Info) -> list[Namespace] | None:
        federation, scope, name = info.context.federation, info.context.scope, self.model.name
        now = federation.list_namespaces_now(scope, name)
        found: AwaitableOrValue[tuple[models.Namespace, ...] | None] = (
            federation.list_namespaces(scope, name) if now is None else now
        )
        return map_found(found, lambda entries: cast("list[Namespace]", Views(Namespace.from_model, entries)))

    @resolved("Its pods, counted in groups, the largest first; none while it can't be asked.")
    def pod_counts(self, info: Info, by: PodGroup) -> list[Count]:
        found = load_page(info, PODS, pods_within(info, pod_question(None), self.model.name), (), PageRequest(first=0))
        return map_value(found, lambda page: counts_of(page, by))

    @resolved("What its nodes have, summed up; null while it can't be asked.")
    def capacity(self, info: Info) -> Resources | None:
        return map_found(read_all_nodes(info, self.model.name), partial(_sum, attrgetter("capacity")))

    @resolved("What its nodes can give to pods, summed up; null while it can't be asked.")
    def allocatable(self, info: Info) -> Resources | None:
        return map_found(read_all_nodes(info, self.model.name), partial(_sum, attrgetter("allocatable")))

    @resolved("What its pods ask for (those on a node and not finished), summed up; null while it can't be asked.")
    def requested(self, info: Info) -> Resources | None:
        """Sum over its pods that are on a node and not finished."""
        name, federation = self.model.name, info.context.federation
        found = map_found(read_all_nodes(info, name), lambda _: federation.requested_in(info.context.scope, name))
        return map_found(found, Resources.from_model)

    @resolved(
        "The newest usage of its nodes, summed up over those that have a point, `time` being the oldest of theirs: "
        "nothing in it is older. Percentages are of its own `allocatable` (LIMIT and ALLOCATABLE) or `capacity`. "
        "Null where no node has a point, and while it can't be asked."
    )
    def usage(self, info: Info) -> Usage | None:
        """One call with all nodes that the operation asks of. Raises MetricsUnavailable."""
        return cast("Usage | None", info.context.loaders.dispatch.defer(_load_usage, info, self.model.name))

    @resolved(
        "Usage of its nodes over a span of time, summed up step by step. A step is summed over the nodes that have a "
        "point in it, and is a gap where none has: a node that was not measured in it counts as nothing, so take steps "
        "no shorter than the time between two measurements. What is summed are the nodes' own aggregates: the sums of "
        "MEAN and LAST are the cluster's; nodes peak at different moments, so that of MAX is no less than its peak, "
        "that of MIN no more than its low, and those of percentiles are only near to its own. "
        "Null where no point is in the span, and while it can't be asked."
    )
    def history(
        self,
        info: Info,
        last: metrics.Last = None,
        start: metrics.Start = None,
        end: metrics.End = None,
        step: metrics.Step = None,
    ) -> UsageHistory | None:
        """One call with all nodes that the operation asks of. Raises InvalidQuery, MetricsUnavailable."""
        request = TimeRangeRequest(last, start, end, step)
        found = info.context.loaders.dispatch.defer(load_cluster_history, info, self.model.name, request)
        return map_found(found, UsageHistory.from_model)


async def _load_usage(info: Info, name: str) -> Usage | None:
    model, nodes = await load_cluster_usage(info, name), await load_all_nodes(info, name)
    if model is None or nodes is None:
        return None

    def bases() -> Mapping[PercentOf, models.Resources]:
        return node_bases(
            sum_resources(node.allocatable for node in nodes), sum_resources(node.capacity for node in nodes)
        )

    return Usage.from_model(model, bases)


def _sum(read: Callable[[models.Node], models.Resources], nodes: Collection[models.Node]) -> Resources:
    return Resources.from_model(sum_resources(map(read, nodes)))
