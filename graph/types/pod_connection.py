"""A page of pods, both ways: `items`, and Relay's edges."""

from collections import Counter
from collections.abc import Mapping
from operator import attrgetter
from typing import Self, cast

import strawberry

from fleet.model import objects as models
from fleet.model.ordered import LazySequence
from fleet.model.queries import Page
from graph.enums import PodGroup
from graph.types.common import Count
from graph.types.fields import resolved
from graph.types.outcome import ClusterOutcome
from graph.types.page_info import PageInfo
from graph.types.pod import Pod
from graph.types.views import Views

_ATTRIBUTES: Mapping[PodGroup, str] = {
    PodGroup.PHASE: "phase._name_",  # a plain attribute, where `name` is a property of Python's own making
    PodGroup.CLUSTER: "cluster",
    PodGroup.NAMESPACE: "namespace",
    PodGroup.NODE: "node_name",
    PodGroup.STATUS: "status",
}


def counts_of(page: Page[models.Pod], by: PodGroup) -> list[Count]:
    """The whole filtered set by one of its properties, largest group first."""
    groups: Counter[str | None] = Counter(map(attrgetter(_ATTRIBUTES[by]), page.matched))
    named = Counter({key: count for key, count in groups.items() if key is not None})
    if nowhere := groups[None]:  # pods without a node
        named[""] += nowhere
    return [Count(key=key, count=count) for key, count in sorted(named.items(), key=lambda item: (-item[1], item[0]))]


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

    @resolved("How each cluster that was asked took part in this answer.")
    def clusters(self) -> list[ClusterOutcome]:
        return [ClusterOutcome.from_model(outcome) for outcome in self.page.outcomes]
