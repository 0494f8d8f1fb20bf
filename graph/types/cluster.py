"""A cluster of the federation."""

from collections.abc import Iterable
from typing import Self

import strawberry

from fleet import models
from fleet.errors import Forbidden
from fleet.models import OutcomeState
from fleet.queries import PageRequest
from graph.context import Info
from graph.enums import ClusterHealth, ClusterRole, PodGroup
from graph.fields import of_model, resolved
from graph.inputs import (
    NodeFilter,
    NodeOrder,
    PodFilter,
    PodOrder,
    build_orders,
    build_page_request,
    node_question,
    pod_question,
)
from graph.listing import load_nodes_of, load_pods, pods_within
from graph.types.common import Count, Resources
from graph.types.node_connection import NodeConnection
from graph.types.pod_connection import PodConnection, counts_of
from graph.types.window import Window

_PRESENT = (OutcomeState.OK, OutcomeState.STALE)


@strawberry.federation.type(keys=["name"], description="A cluster of the federation, as this server sees it now.")
class Cluster(Window):
    """A window on `models.Cluster`."""

    model: strawberry.Private[models.Cluster]
    name: str = of_model("Its name in the federation.")
    role: ClusterRole = of_model("What it is to the federation.")
    health: ClusterHealth = of_model("How it is.")
    message: str | None = of_model("What is wrong, and what would mend it; null while all is well.")
    version: str | None = of_model("Version of its API server.")
    platform: str | None = strawberry.field(description="What it runs on, such as EKS, as the platform has it.")
    region: str | None = strawberry.field(description="The region it is in, as the platform has it.")
    zones: list[str] = strawberry.field(description="The zones it is in, as the platform has them.")
    join_status: str | None = strawberry.field(description="Whether it has joined, as the platform has it.")

    @classmethod
    def from_model(cls, model: models.Cluster) -> Self:
        """The window on it."""
        info = model.info
        return cls(
            model=model,
            platform=info.platform,
            region=info.region,
            zones=list(info.zones),
            join_status=info.join_status,
        )

    @resolved("Its nodes.")
    async def nodes(
        self,
        info: Info,
        filter: NodeFilter | None = None,  # noqa: A002 - the argument's name in the graph
        order_by: list[NodeOrder] | None = None,
        first: int | None = None,
        after: str | None = None,
    ) -> NodeConnection:
        """As Query.nodes, of this cluster."""
        question, page_request = node_question(filter), build_page_request(first, after)
        page = await load_nodes_of(info, self.model.name, question, build_orders(order_by), page_request)
        return NodeConnection.from_model(page)

    @resolved("Its pods.")
    async def pods(
        self,
        info: Info,
        filter: PodFilter | None = None,  # noqa: A002 - the argument's name in the graph
        order_by: list[PodOrder] | None = None,
        first: int | None = None,
        after: str | None = None,
    ) -> PodConnection:
        """As Query.pods, of this cluster."""
        question = pods_within(info, pod_question(filter), self.model.name)
        page = await load_pods(info, question, build_orders(order_by), build_page_request(first, after))
        return PodConnection.from_model(page)

    @resolved("Its pods, counted in groups, the largest first; none while it can't be asked.")
    async def pod_counts(self, info: Info, by: PodGroup) -> list[Count]:
        """Ships no pod."""
        page = await load_pods(info, pods_within(info, pod_question(None), self.model.name), (), PageRequest(first=0))
        return counts_of(page, by)

    @resolved("What its nodes have, summed up; null while it can't be asked.")
    async def capacity(self, info: Info) -> Resources | None:
        """Sum over its nodes."""
        nodes = await self._nodes(info)
        return None if nodes is None else _sum(node.capacity for node in nodes)

    @resolved("What its nodes can give to pods, summed up; null while it can't be asked.")
    async def allocatable(self, info: Info) -> Resources | None:
        """Sum over its nodes."""
        nodes = await self._nodes(info)
        return None if nodes is None else _sum(node.allocatable for node in nodes)

    @resolved("What its pods ask for (those on a node and not finished), summed up; null while it can't be asked.")
    async def requested(self, info: Info) -> Resources | None:
        """Sum over its pods that are on a node and not finished."""
        nodes = await self._nodes(info)
        return None if nodes is None else Resources.from_model(info.context.federation.requested_in(self.model.name))

    async def _nodes(self, info: Info) -> tuple[models.Node, ...] | None:
        """All its nodes, None while it can't be asked, or the caller may not see them."""
        try:
            page = await info.context.loaders.clusters.nodes(self.model.name)
        except Forbidden:
            return None
        return page.matched if all(outcome.state in _PRESENT for outcome in page.outcomes) else None


def _sum(parts: Iterable[models.Resources]) -> Resources:
    """Each resource's sum over those that say; None where none does."""
    amounts = list(parts)

    def total(values: Iterable[float | None]) -> float | None:
        said = [value for value in values if value is not None]
        return sum(said) if said or not amounts else None

    memory, storage, pods = (
        None if value is None else int(value)
        for value in (
            total(part.memory_bytes for part in amounts),
            total(part.ephemeral_storage_bytes for part in amounts),
            total(part.pods for part in amounts),
        )
    )
    return Resources.from_model(
        models.Resources(
            cpu_cores=total(part.cpu_cores for part in amounts),
            memory_bytes=memory,
            ephemeral_storage_bytes=storage,
            pods=pods,
        )
    )
