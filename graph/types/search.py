"""What a search found: a view of each hit, with the object."""

from typing import Annotated

import strawberry

from fleet.model import objects as models
from fleet.model import search, workloads
from graph.enums import SearchField, SearchKind
from graph.loading.context import Info
from graph.types.cluster import Cluster
from graph.types.cluster_views import cluster_of
from graph.types.fields import of_model, resolved
from graph.types.namespace import Namespace
from graph.types.node import Node
from graph.types.outcome import ClusterOutcome
from graph.types.pod import Pod
from graph.types.views import PureView
from graph.types.workload import Workload

Searched = Annotated[
    Cluster | Namespace | Node | Workload | Pod,
    strawberry.union("Searched", description="An object that a search can find."),
]


@strawberry.type(description="An object that a search found, and the value of it that matches best.")
class SearchHit(PureView[search.Hit]):
    """A view of `search.Hit`."""

    model: strawberry.Private[search.Hit]
    kind: SearchKind = of_model("Its kind.")
    cluster: str = of_model("Name of its cluster; a cluster's own.")
    namespace: str | None = of_model("Its namespace; null for what has none.")
    field: SearchField = of_model("What of it matches.")
    value: str = of_model("What it says there; of a label `key=value`.")

    @resolved("Its name.")
    def name(self) -> str:
        name: str = self.model.entry.name
        return name

    @resolved("The object.")
    def object(self, info: Info) -> Searched:
        entry = self.model.entry
        if isinstance(entry, models.Cluster):
            return cluster_of(info, entry.name)
        if isinstance(entry, models.Namespace):
            return Namespace.from_model(entry)
        if isinstance(entry, workloads.Workload):
            return Workload.from_model(entry)
        return Node.from_model(entry) if isinstance(entry, models.Node) else Pod.from_model(entry)


@strawberry.type(description="What a search found, the best matches first.")
class SearchResult(PureView[search.SearchResult]):
    """A view of `search.SearchResult`."""

    model: strawberry.Private[search.SearchResult]
    has_more: bool = of_model("Whether there are more than `first`.")

    @resolved("Names that match before all else, then better matches, then kinds, clusters, namespaces and names.")
    def hits(self) -> list[SearchHit]:
        return [SearchHit.from_model(hit) for hit in self.model.hits]

    @resolved("How each cluster that was asked took part in this answer.")
    def clusters(self) -> list[ClusterOutcome]:
        return [ClusterOutcome.from_model(outcome) for outcome in self.model.outcomes]
