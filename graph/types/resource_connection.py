"""A page of objects of any kind, both ways: `items`, and Relay's edges."""

from typing import Self

import strawberry

from fleet.objects.pages import ResourcePage
from graph.types.fields import resolved
from graph.types.outcome import ClusterOutcome
from graph.types.page_info import PageInfo
from graph.types.resource import Resource


@strawberry.type(description="An object and its place in the order.")
class ResourceEdge:
    """As Relay's connection specification has it."""

    cursor: str = strawberry.field(description="Opaque; the next page's `after`, for a few minutes.")
    node: Resource = strawberry.field(description="The object.")


@strawberry.type(description="A page of objects of one kind over all clusters that answered.")
class ResourceConnection:
    """A view of `ResourcePage`."""

    page: strawberry.Private[ResourcePage]

    @classmethod
    def from_model(cls, page: ResourcePage) -> Self:
        return cls(page=page)

    @resolved("The page's objects: the plain way to read it.")
    def items(self) -> list[Resource]:
        """By cluster, namespace and name."""
        return [Resource.from_model(item) for item in self.page.objects]

    @resolved("The page's objects with their cursors: the Relay way to read it.")
    def edges(self) -> list[ResourceEdge]:
        """By cluster, namespace and name."""
        pairs = zip(self.page.objects, self.page.cursors, strict=True)
        return [ResourceEdge(cursor=cursor, node=Resource.from_model(item)) for item, cursor in pairs]

    @resolved(
        "Where the page is in the whole. `hasNextPage` is never false where there is more; where a name, a selector or "
        "namespaces are asked for, it may be true before an empty page: only reading on tells what a cluster has left."
    )
    def page_info(self) -> PageInfo:
        cursors = self.page.cursors
        return PageInfo(
            has_next_page=self.page.has_next,
            has_previous_page=self.page.has_previous,
            start_cursor=cursors[0] if cursors else None,
            end_cursor=cursors[-1] if cursors else None,
        )

    @resolved("How each cluster that was asked took part in this answer.")
    def clusters(self) -> list[ClusterOutcome]:
        return [ClusterOutcome.from_model(outcome) for outcome in self.page.outcomes]
