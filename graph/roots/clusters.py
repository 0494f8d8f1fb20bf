"""Query's fields about clusters, answered from memory: no member is asked."""

import strawberry

from graph.loading.context import Info
from graph.types.cluster import Cluster
from graph.types.fields import resolved
from graph.types.inputs import ClusterFilter


@strawberry.type
class ClusterQueries:
    """`clusters` and `cluster`."""

    @resolved("The clusters you reach, the host first. Asks none of them.")
    def clusters(
        self,
        info: Info,
        filter: ClusterFilter | None = None,  # noqa: A002 - the argument's name in the graph
    ) -> list[Cluster]:
        """Raises InvalidQuery."""
        test = None if filter is None else filter.build_test()
        found = info.context.federation.list_clusters(info.context.scope)
        return [Cluster.from_model(cluster) for cluster in found if test is None or test(cluster)]

    @resolved("One cluster. A name that no cluster has is an error.")
    def cluster(self, info: Info, name: str) -> Cluster | None:
        """From memory. Raises ClusterNotFound, Forbidden."""
        return Cluster.from_model(info.context.federation.get_cluster(info.context.scope, name))
