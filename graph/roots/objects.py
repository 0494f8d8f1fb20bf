"""Query's field about anything with an id."""

import strawberry

from fleet.model.kinds import NODES, PODS, WORKLOADS
from fleet.model.kube_objects import ResourceKey
from fleet.model.objects import PodKey
from fleet.model.workloads import WorkloadKey
from graph.ids import decode_id
from graph.loading.context import Info
from graph.loading.listing import load_object
from graph.types.common import Object
from graph.types.fields import resolved
from graph.types.node import Node
from graph.types.pod import Pod
from graph.types.resource import Resource
from graph.types.workload import Workload


@strawberry.type
class ObjectQueries:
    """`object`."""

    @resolved("What a field `id` named; null where it is gone.")
    async def object(self, info: Info, id: strawberry.ID) -> Object | None:  # noqa: A002 - the argument's name in the graph
        """Cached kinds from memory, others asked of their cluster. Raises InvalidQuery for what is no id."""
        key = decode_id(id)
        if isinstance(key, PodKey):
            return await load_object(info, PODS, key, Pod.from_model)
        if isinstance(key, WorkloadKey):
            return await load_object(info, WORKLOADS, key, Workload.from_model)
        if isinstance(key, ResourceKey):
            found = await info.context.resources.objects.load(key)
            return Resource.from_model(found) if found is not None else None
        return await load_object(info, NODES, key, Node.from_model)
