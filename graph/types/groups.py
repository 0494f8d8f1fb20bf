"""Groups of pods and of nodes: what they have in common, sums over each, and how they are asked for."""

from collections.abc import Callable
from typing import Any, Self, TypeVar

import strawberry

from fleet.model import groups as models
from fleet.model.errors import MetricsUnavailable
from fleet.model.groups import MAX_KEYS
from fleet.model.kinds import NODES, PODS, ObjectKind
from graph.loading.context import Info
from graph.loading.grouping import LoadedGroups, load_group_history
from graph.loading.maybe_await import map_found
from graph.loading.time_range import TimeRangeRequest
from graph.scalars import BigInt
from graph.types import metrics
from graph.types.common import Resources, resources_of
from graph.types.fields import of_model, resolved
from graph.types.page_info import PageInfo
from graph.types.usage import Usage, UsageHistory
from graph.types.views import View

_KEYS = "What they have in common: what is named in `by`, then `labels`."
_USAGE = (
    "The newest usage of those that have a point, summed up, `time` being the oldest of theirs. Percentages are of the "
    "group's own sums, which hold those without a point as well. Null where none has a point."
)
_HISTORY = (
    "Usage over a span of time, summed up step by step over those that have a point in it, as a cluster's is over its "
    "nodes. Null where none has a point in the span."
)
GROUPS = (
    "All that pass the filter, in groups of those that have everything in common that is named by `by` and `labels` "
    f"({MAX_KEYS} at most together), with sums over each. Ordered by what they have in common where nothing is said, "
    "and where sums are equal; 100 a page where `first` is left out. More than 10,000 groups are an error."
)


V = TypeVar("V")
E = TypeVar("E")


@strawberry.type(description="One thing that a group has in common.")
class GroupKey:
    """What was grouped by, and the value of it."""

    field: str | None = strawberry.field(description="What it is, such as NAMESPACE; null for a label.")
    label: str | None = strawberry.field(description="The key of the label; null for a field.")
    value: str | None = strawberry.field(description="Its value; null for those that have none.")


class _Grouped(View["models.Group[Any]"]):
    """What groups of both kinds show alike."""

    failures: set[MetricsUnavailable]

    def show_usage(self, kind: ObjectKind[Any]) -> Usage | None:
        """Raises MetricsUnavailable, each once a page: null says the same of the other groups."""
        model, group = self.model.usage, self.model
        if isinstance(model, MetricsUnavailable):
            if model not in self.failures:
                return None
            self.failures.remove(model)
            raise model
        bases = {of: getattr(group, name) for of, name in kind.bases.items()}
        return None if model is None else Usage.from_model(model, lambda: bases)

    def load_history(self, info: Info, kind: ObjectKind[Any], *arguments: Any) -> UsageHistory | None:
        request = TimeRangeRequest(*arguments)
        found = info.context.loaders.dispatch.defer(load_group_history, info, kind, self.model, request)
        return map_found(found, UsageHistory.from_model)


@strawberry.type(description="Pods that have something in common, and sums over them.")
class GroupedPods(_Grouped):
    """A view of `models.Group[Pod]`."""

    model: strawberry.Private["models.Group[Any]"]
    failures: strawberry.Private[set[MetricsUnavailable]]
    keys: list[GroupKey] = strawberry.field(description=_KEYS)
    count: int = of_model("How many there are.")
    ready_count: int = of_model("How many of them have all of their containers ready.")
    restarts: BigInt = of_model("How often their containers were restarted.")

    @resolved("What those of them that are not finished ask for; an amount is null where none of them asks for it.")
    def requests(self) -> Resources | None:
        return resources_of(self.model.requests)

    @resolved(
        "What those of them that are not finished may use at most; an amount is null where none is limited in it."
    )
    def limits(self) -> Resources | None:
        return resources_of(self.model.limits)

    @resolved(_USAGE)
    def usage(self, info: Info) -> Usage | None:
        """Loaded with the page. Raises MetricsUnavailable."""
        return self.show_usage(PODS)

    @resolved(_HISTORY)
    def history(
        self,
        info: Info,
        last: metrics.Last = None,
        start: metrics.Start = None,
        end: metrics.End = None,
        step: metrics.Step = None,
    ) -> UsageHistory | None:
        """Loaded with the page. Raises InvalidQuery, MetricsUnavailable."""
        return self.load_history(info, PODS, last, start, end, step)


@strawberry.type(description="Nodes that have something in common, and sums over them.")
class GroupedNodes(_Grouped):
    """A view of `models.Group[Node]`."""

    model: strawberry.Private["models.Group[Any]"]
    failures: strawberry.Private[set[MetricsUnavailable]]
    keys: list[GroupKey] = strawberry.field(description=_KEYS)
    count: int = of_model("How many there are.")
    ready_count: int = of_model("How many of them are ready.")

    @resolved("What they have.")
    def capacity(self) -> Resources | None:
        return resources_of(self.model.capacity)

    @resolved("What they can give to pods.")
    def allocatable(self) -> Resources | None:
        return resources_of(self.model.allocatable)

    @resolved("What their pods that are not finished ask for.")
    def requested(self) -> Resources | None:
        return resources_of(self.model.requested)

    @resolved(_USAGE)
    def usage(self, info: Info) -> Usage | None:
        """Loaded with the page. Raises MetricsUnavailable."""
        return self.show_usage(NODES)

    @resolved(_HISTORY)
    def history(
        self,
        info: Info,
        last: metrics.Last = None,
        start: metrics.Start = None,
        end: metrics.End = None,
        step: metrics.Step = None,
    ) -> UsageHistory | None:
        """Loaded with the page. Raises InvalidQuery, MetricsUnavailable."""
        return self.load_history(info, NODES, last, start, end, step)


@strawberry.type(description="A group of pods and its place in the order.")
class GroupedPodsEdge:
    """As Relay's connection specification has it."""

    cursor: str = strawberry.field(description="Opaque; the next page's `after`.")
    node: GroupedPods = strawberry.field(description="The group.")


@strawberry.type(description="A group of nodes and its place in the order.")
class GroupedNodesEdge:
    """As Relay's connection specification has it."""

    cursor: str = strawberry.field(description="Opaque; the next page's `after`.")
    node: GroupedNodes = strawberry.field(description="The group.")


@strawberry.type(description="A page of groups of pods.")
class GroupedPodsConnection:
    """A view of `LoadedGroups`."""

    loaded: strawberry.Private[LoadedGroups]
    total_count: int = strawberry.field(description="Groups in all.")

    @classmethod
    def from_model(cls, loaded: LoadedGroups) -> Self:
        return cls(loaded=loaded, total_count=loaded.page.total)

    @resolved("The page's groups: the plain way to read it.")
    def items(self) -> list[GroupedPods]:
        return _list_items(GroupedPods, self.loaded)

    @resolved("The page's groups with their cursors: the Relay way to read it.")
    def edges(self) -> list[GroupedPodsEdge]:
        return _list_edges(GroupedPodsEdge, GroupedPods, self.loaded)

    @resolved("Where the page is in the whole.")
    def page_info(self) -> PageInfo:
        return PageInfo.from_model(self.loaded.page)


@strawberry.type(description="A page of groups of nodes.")
class GroupedNodesConnection:
    """A view of `LoadedGroups`."""

    loaded: strawberry.Private[LoadedGroups]
    total_count: int = strawberry.field(description="Groups in all.")

    @classmethod
    def from_model(cls, loaded: LoadedGroups) -> Self:
        return cls(loaded=loaded, total_count=loaded.page.total)

    @resolved("The page's groups: the plain way to read it.")
    def items(self) -> list[GroupedNodes]:
        return _list_items(GroupedNodes, self.loaded)

    @resolved("The page's groups with their cursors: the Relay way to read it.")
    def edges(self) -> list[GroupedNodesEdge]:
        return _list_edges(GroupedNodesEdge, GroupedNodes, self.loaded)

    @resolved("Where the page is in the whole.")
    def page_info(self) -> PageInfo:
        return PageInfo.from_model(self.loaded.page)


def _list_items(build: Callable[..., V], loaded: LoadedGroups) -> list[V]:
    return [build(model=group, failures=loaded.failures, keys=_list_keys(group)) for group in loaded.page.items]


def _list_keys(group: models.Group[Any]) -> list[GroupKey]:
    pairs = zip(group.by, group.values, strict=True)
    return [
        GroupKey(field=None, label=by, value=value)
        if isinstance(by, str)
        else GroupKey(field=by.value, label=None, value=value)
        for by, value in pairs
    ]


def _list_edges(build_edge: Callable[..., E], build: Callable[..., V], loaded: LoadedGroups) -> list[E]:
    pairs = zip(loaded.page.cursors, _list_items(build, loaded), strict=True)
    return [build_edge(cursor=cursor, node=node) for cursor, node in pairs]
