"""Query's fields about objects of any kind."""

import strawberry

from fleet.model.kube_objects import ResourceKey
from fleet.objects.lists import list_resources
from fleet.objects.pages import ResourceFilter as Wanted
from fleet.objects.pages import ResourceQuestion
from graph.enums import OnUnavailable
from graph.loading.context import Info
from graph.types.fields import resolved
from graph.types.inputs import CLUSTER_SELECTOR, NameFilter, build_page_request, parse_cluster_selector
from graph.types.resource import Resource
from graph.types.resource_connection import ResourceConnection


@strawberry.input(description="Which objects. All parts that are given must hold; an empty list matches nothing.")
class ResourceFilter:
    """What `resources` can be bounded by."""

    clusters: list[str] | None = strawberry.field(default=None, description="Names of clusters.")
    cluster_selector: str | None = strawberry.field(default=None, description=CLUSTER_SELECTOR)
    namespaces: list[str] | None = strawberry.field(default=None, description="Names of namespaces, 100 at most.")
    name: NameFilter | None = strawberry.field(default=None, description="How its name must be.")
    label_selector: str | None = strawberry.field(
        default=None, description="Kubernetes' own label selector: `app=web,tier in (a,b),!legacy`."
    )
    field_selector: str | None = strawberry.field(
        default=None, description="Kubernetes' own field selector, of the fields that the kind lets be selected."
    )

    def as_filter(self) -> Wanted:
        return Wanted(
            clusters=None if self.clusters is None else frozenset(self.clusters),
            cluster_labels=parse_cluster_selector(self.cluster_selector),
            namespaces=None if self.namespaces is None else frozenset(self.namespaces),
            name=self.name.as_filter() if self.name else None,
            label_selector=self.label_selector,
            field_selector=self.field_selector,
        )


@strawberry.type
class ResourceQueries:
    """`resources` and `resource`."""

    @resolved(
        "Objects of any kind, custom ones included, of all clusters you reach, by cluster, namespace and name; 100 a "
        "page where `first` is left out, 10,000 at most. Asked of the clusters now: STALE acts as PARTIAL, and a "
        "cursor lives for minutes."
    )
    async def resources(
        self,
        info: Info,
        api_version: str,
        kind: str,
        filter: ResourceFilter | None = None,  # noqa: A002 - the argument's name in the graph
        first: int | None = None,
        after: str | None = None,
        on_unavailable: OnUnavailable | None = OnUnavailable.PARTIAL,
    ) -> ResourceConnection:
        """One call a cluster and page, all at once."""
        question = ResourceQuestion(api_version, kind, filter.as_filter() if filter is not None else Wanted())
        page = await list_resources(
            info.context.resources.calls,
            question,
            build_page_request(first, after),
            on_unavailable or OnUnavailable.PARTIAL,
        )
        return ResourceConnection.from_model(page)

    @resolved("One object of any kind; null where its cluster has none of that name.")
    async def resource(
        self, info: Info, cluster: str, api_version: str, kind: str, name: str, namespace: str | None = None
    ) -> Resource | None:
        """Asked of the cluster. Raises ClusterNotFound, InvalidQuery, Forbidden, ClusterError."""
        key = ResourceKey(cluster, api_version, kind, namespace or "", name)
        found = await info.context.resources.objects.load(key)
        return Resource.from_model(found) if found is not None else None
