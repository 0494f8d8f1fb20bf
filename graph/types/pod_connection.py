"""A page of pods, both ways: `items`, and Relay's edges."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
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

# Attributes that are written out take a third of what `attrgetter` does.
_COLUMNS: Mapping[PodGroup, Callable[[Iterable[models.Pod]], list[str]]] = {
    # A plain attribute, where `name` is a property of Python's own making.
    PodGroup.PHASE: lambda pods: [pod.phase._name_ for pod in pods],
    PodGroup.CLUSTER: lambda pods: [pod.cluster for pod in pods],
    PodGroup.NAMESPACE: lambda pods: [pod.namespace for pod in pods],
    PodGroup.NODE: lambda pods: [pod.node_name or "" for pod in pods],
    PodGroup.STATUS: lambda pods: [pod.status for pod in pods],
}


def counts_of(page: Page[models.Pod], by: PodGroup) -> list[Count]:
    """The whole filtered set by one of its properties, largest group first."""
    groups = Counter(_COLUMNS[by](page.matched))
    return [Count(key=key, count=groups[key]) for key in sorted(groups, key=lambda key: (-groups[key], key))]


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
