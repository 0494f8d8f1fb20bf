"""Usage and history of one pod or node, answered at once where the page has loaded them."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from operator import attrgetter
from typing import Annotated, Any

import strawberry

from fleet.model import usage
from fleet.model.objects import Node, ObjectKey, Pod
from fleet.model.ranking import node_bases, pod_bases
from fleet.model.usage import Kind
from graph.loading.context import Context, Info
from graph.loading.lookahead import OperationPlan
from graph.loading.maybe_await import map_found
from graph.loading.time_range import TimeRangeRequest
from graph.scalars import DateTime, Duration
from graph.types.fields import Batched
from graph.types.usage import Usage, UsageHistory

Last = Annotated[
    Duration | None,
    strawberry.argument(description='Length of the span, "1h" where nothing is said; not with `start`.'),
]
Start = Annotated[DateTime | None, strawberry.argument(description="Start of the span; not with `last`.")]
End = Annotated[DateTime | None, strawberry.argument(description="End of the span; now where it is left out.")]
Step = Annotated[
    Duration | None,
    strawberry.argument(description="Length of a step; where it is left out, one that gives at most 500 points."),
]


def pod_usage(info: Info, pod: Pod) -> Usage | None:
    found = info.context.loaders.usage[Kind.POD].for_(_plan(info).measures[Kind.POD]).get(pod.key)
    return map_found(found, partial(_build_pod_usage, pod))


def node_usage(info: Info, node: Node) -> Usage | None:
    """The newest usage of a node; its limit is what it can give to pods."""
    found = info.context.loaders.usage[Kind.NODE].for_(_plan(info).measures[Kind.NODE]).get(node.key)
    return map_found(found, partial(_build_node_usage, node))


def _build_pod_usage(pod: Pod, found: usage.Usage) -> Usage:
    return Usage.from_model(found, partial(pod_bases, pod))


def _build_node_usage(node: Node, found: usage.Usage) -> Usage:
    return Usage.from_model(found, partial(node_bases, node.allocatable, node.capacity))


_PLACES: Mapping[Kind, Callable[[Any], Any]] = {
    Kind.POD: attrgetter("cluster", "namespace", "name"),
    Kind.NODE: attrgetter("cluster", "name"),
}
"""A key is equal to the plain tuple of its parts, which is made at a fraction of the cost."""


def _load_usage(kind: Kind, context: Context, models: Sequence[Any]) -> list[Any]:
    """What the page has loaded. Raises KeyError where that is not all."""
    if context.plan is None:
        raise KeyError
    batch = context.loaders.usage[kind].for_(context.plan.measures[kind])
    return batch.read_all(map(_PLACES[kind], models))


POD_USAGE = Batched(partial(_load_usage, Kind.POD), _build_pod_usage)
NODE_USAGE = Batched(partial(_load_usage, Kind.NODE), _build_node_usage)


def history(info: Info, kind: Kind, key: ObjectKey, request: TimeRangeRequest) -> UsageHistory | None:
    """The history of a pod or node. Raises InvalidQuery."""
    columns = _plan(info).columns[kind, request]
    return map_found(info.context.loaders.history[kind].for_((request, columns)).get(key), UsageHistory.from_model)


def _plan(info: Info) -> OperationPlan:
    """The request's plan; each object has an info of its own, which would have to find it."""
    return info.context.plan or info.plan
