"""A page of pods, both ways: `items`, and Relay's edges."""

from collections import Counter
from typing import Self, cast

import strawberry

from fleet.model import objects as models
from fleet.model.groups import COLUMNS
from fleet.model.kinds import PODS
from fleet.model.ordered import LazySequence
from fleet.model.queries import Page
from graph.enums import PodGroup, PodGroupField
from graph.loading.context import Info
from graph.loading.grouping import load_groups
from graph.loading.maybe_await import map_value
from graph.types.common import Count
from graph.types.fields import resolved
from graph.types.group_orders import Labels, PodGroupOrder, build_by, build_group_orders
from graph.types.groups import GROUPS, GroupedPodsConnection
from graph.types.inputs import build_page_request
from graph.types.outcome import ClusterOutcome
from graph.types.page_info import PageInfo
from graph.types.pod import Pod
from graph.types.views import Views


def counts_of(page: Page[models.Pod], by: PodGroup) -> list[Count]:
    """The whole filtered set by one of its properties, largest group first."""
    groups = Counter(COLUMNS[PodGroupField[by.name]](page.matched))
    counts = [(count, key or "") for key, count in groups.items()]
    return [Count(key=key, count=count) for count, key in sorted(counts, key=lambda entry: (-entry[0], entry[1]))]


@strawberry.type(description="A pod and its place in the order.")
class PodEdge:
    """As Relay's connection specification has it."""

    cursor: str = strawberry.field(description="Opaque; the next page's `after`.")
    node: Pod = strawberry.field(description="The pod.")


@strawberry.type(description="A page of pods over all clusters that answered.")
class PodConnection:
    """A view of `Page[models.Pod]`."""

    page: strawberry.Private[Page[models.Pod]]
    total_count: int = strawberry.field(description="Pods that pass the filter, in all clusters that answered.")

    @classmethod
    def from_model(cls, page: Page[models.Pod]) -> Self:
        return cls(page=page, total_count=len(page.matched))

    @resolved("The page's pods: the plain way to read it.", views=True)
    def items(self) -> list[Pod]:
        return cast("list[Pod]", Views(Pod.from_model, self.page.items))

    @resolved("The page's pods with their cursors: the Relay way to read it.")
    def edges(self) -> list[PodEdge]:
        items, cursors = self.page.items, self.page.cursors

        def build(place: int) -> PodEdge:
            return PodEdge(cursor=cursors[place], node=Pod.from_model(items[place]))

        return cast("list[PodEdge]", LazySequence(build, range(len(items))))

    @resolved("Where the page is in the whole.")
    def page_info(self) -> PageInfo:
        return PageInfo.from_model(self.page)

    @resolved("All that pass the filter, counted in groups, the largest first.")
    def counts(self, by: PodGroup) -> list[Count]:
        return counts_of(self.page, by)

    @resolved(GROUPS)
    def groups(
        self,
        info: Info,
        by: list[PodGroupField] | None = None,
        labels: Labels = None,
        order_by: list[PodGroupOrder] | None = None,
        first: int | None = None,
        after: str | None = None,
    ) -> GroupedPodsConnection:
        """Made in time slices. Raises InvalidQuery, MetricsUnavailable."""
        request = build_page_request(first, after)
        found = load_groups(info, PODS, self.page.matched, build_by(by, labels), build_group_orders(order_by), request)
        return map_value(found, GroupedPodsConnection.from_model)

    @resolved("How each cluster that was asked took part in this answer.")
    def clusters(self) -> list[ClusterOutcome]:
        return [ClusterOutcome.from_model(outcome) for outcome in self.page.outcomes]
