"""A pod on a node for a time."""

from functools import partial
from typing import TYPE_CHECKING, Annotated, Self

import strawberry

from fleet.model import placements
from fleet.model.kinds import NODES, PODS
from fleet.model.objects import NodeKey, PodKey
from fleet.model.visibility import Scope
from graph.loading.context import Info
from graph.loading.maybe_await import map_found
from graph.loading.placements import Placements, SpanRequest
from graph.scalars import DateTime, Duration, from_nanoseconds
from graph.types.cluster_views import cluster_of
from graph.types.fields import resolved

if TYPE_CHECKING:
    from graph.types.cluster import Cluster
    from graph.types.node import Node
    from graph.types.pod import Pod

Last = Annotated[
    Duration | None,
    strawberry.argument(description='Length of the span, "24h" where nothing is said; "7d" at most; not with `start`.'),
]
Start = Annotated[DateTime | None, strawberry.argument(description="Start of the span; not with `last`.")]
End = Annotated[DateTime | None, strawberry.argument(description="End of the span; now where it is left out.")]
At = Annotated[DateTime, strawberry.argument(description="A moment in the past.")]


@strawberry.type(
    description="A pod on a node, from the first to the last measurement of it there: the pod may be gone since. "
    "Measurements on one node that are at most five minutes apart are one placement, and so is a successor "
    "of the same name that follows there within that time."
)
class Placement:
    """A view of `placements.Placement`."""

    model: strawberry.Private[placements.Placement]
    namespace: str = strawberry.field(description="The pod's namespace.")
    name: str = strawberry.field(description="The pod's name.")
    node_name: str = strawberry.field(description="The node's name.")
    since: DateTime = strawberry.field(description="First measurement there, within the span that was looked at.")
    until: DateTime = strawberry.field(description="Last measurement there, within the span that was looked at.")

    @classmethod
    def from_model(cls, model: placements.Placement) -> Self:
        return cls(
            model=model,
            namespace=model.pod.namespace,
            name=model.pod.name,
            node_name=model.node,
            since=from_nanoseconds(model.since_ns),
            until=from_nanoseconds(model.until_ns),
        )

    @resolved("The cluster it was in.")
    def cluster(self, info: Info) -> Annotated["Cluster", strawberry.lazy("graph.types.cluster")]:
        return cluster_of(info, self.model.pod.cluster)

    @resolved("The pod of that name now, which may be a successor elsewhere; null where there is none.")
    def pod(self, info: Info) -> Annotated["Pod", strawberry.lazy("graph.types.pod")] | None:
        from graph.types.pod import Pod  # here, since the nouns refer to each other

        found = info.context.federation.get_cached(PODS, info.context.scope, self.model.pod)
        return Pod.from_model(found) if found is not None else None

    @resolved("The node now; null where you may not see it, or it is gone.")
    def node(self, info: Info) -> Annotated["Node", strawberry.lazy("graph.types.node")] | None:
        from graph.types.node import Node  # here, since the nouns refer to each other

        key = NodeKey(self.model.pod.cluster, self.model.node)
        found = info.context.federation.get_cached(NODES, info.context.scope, key)
        return Node.from_model(found) if found is not None else None


def placements_of(info: Info, key: PodKey, request: SpanRequest) -> list[Placement] | None:
    """Where a pod ran, oldest first; the caller has checked the reach. Raises InvalidQuery, MetricsUnavailable."""
    return map_found(info.context.loaders.placements.for_(request).get(key), partial(_shown, info.context.scope))


def pods_at(info: Info, key: NodeKey, time: float) -> list[Placement] | None:
    """The pods of a node at a time, those in reach. Raises InvalidQuery, MetricsUnavailable."""
    return map_found(info.context.loaders.pods_at.for_(time).get(key), partial(_shown, info.context.scope))


def _shown(scope: Scope, known: Placements) -> list[Placement]:
    return [Placement.from_model(one) for one in known if PODS.is_within(scope, one.pod, "list")]
