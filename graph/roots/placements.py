"""Query's field about where pods ran."""

import strawberry

from fleet.model.kinds import PODS
from fleet.model.objects import PodKey
from graph.loading.context import Info
from graph.loading.placements import SpanRequest
from graph.types import placement
from graph.types.fields import resolved
from graph.types.placement import Placement


@strawberry.type
class PlacementQueries:
    """`placements`."""

    @resolved(
        "Where a pod ran, oldest first, as the metric store has it: the pod may be gone. Null while the store does not "
        "answer."
    )
    async def placements(
        self,
        info: Info,
        cluster: str,
        namespace: str,
        pod: str,
        last: placement.Last = None,
        start: placement.Start = None,
        end: placement.End = None,
    ) -> list[Placement] | None:
        """One call. Raises ClusterNotFound, Forbidden, InvalidQuery, MetricsUnavailable."""
        federation, scope = info.context.federation, info.context.scope
        await federation.wait_known()
        key = PodKey(federation.resolve_name(scope, cluster), namespace, pod)
        federation.check_reach(PODS, scope, key)
        request = SpanRequest(last, start, end)
        await info.context.loaders.placements.for_(request).prime((key,))
        return placement.placements_of(info, key, request)
