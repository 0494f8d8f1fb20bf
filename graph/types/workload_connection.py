"""A page of workloads, both ways: `items`, and Relay's edges."""

from typing import Self, cast

import strawberry

from fleet.model import workloads as models
from fleet.model.ordered import LazySequence
from fleet.model.queries import Page
from graph.types.fields import resolved
from graph.types.outcome import ClusterOutcome
from graph.types.page_info import PageInfo
from graph.types.views import Views
from graph.types.workload import Workload


@strawberry.type(description="A workload and its place in the order.")
class WorkloadEdge:
    """As Relay's connection specification has it."""

    cursor: str = strawberry.field(description="Opaque; the next page's `after`.")
    node: Workload = strawberry.field(description="The workload.")


@strawberry.type(description="A page of workloads over all clusters that answered.")
class WorkloadConnection:
    """A view of `Page[models.Workload]`."""

    page: strawberry.Private[Page[models.Workload]]
    total_count: int = strawberry.field(description="Workloads that pass the filter, in all clusters that answered.")

    @classmethod
    def from_model(cls, page: Page[models.Workload]) -> Self:
        return cls(page=page, total_count=len(page.matched))

    @resolved("The page's workloads: the plain way to read it.", views=True)
    def items(self) -> list[Workload]:
        return cast("list[Workload]", Views(Workload.from_model, self.page.items))

    @resolved("The page's workloads with their cursors: the Relay way to read it.")
    def edges(self) -> list[WorkloadEdge]:
        items, cursors = self.page.items, self.page.cursors

        def build(place: int) -> WorkloadEdge:
            return WorkloadEdge(cursor=cursors[place], node=Workload.from_model(items[place]))

        return cast("list[WorkloadEdge]", LazySequence(build, range(len(items))))

    @resolved("Where the page is in the whole.")
    def page_info(self) -> PageInfo:
        return PageInfo.from_model(self.page)

    @resolved("How each cluster that was asked took part in this answer, and which kinds it did not give.")
    def clusters(self) -> list[ClusterOutcome]:
        return [ClusterOutcome.from_model(outcome) for outcome in self.page.outcomes]
