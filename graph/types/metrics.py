"""Usage and history of one pod or node, answered at once where the page has loaded them."""

from functools import partial
from typing import Annotated

import strawberry

from fleet.model import usage
from fleet.model.objects import Node, ObjectKey, Pod
from fleet.model.ranking import node_bases, pod_bases
from fleet.model.usage import Kind
from graph.loading.context import Info
from graph.loading.lookahead import OperationPlan
from graph.loading.maybe_await import map_found
from graph.loading.time_range import TimeRangeRequest
from graph.scalars import DateTime, Duration
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
    context = info.context  # once, since a page has thousands of pods
    plan = context.plan or info.plan
    found = context.loaders.usage[Kind.POD].for_(plan.measures[Kind.POD]).get(pod.key)
    bases = partial(pod_bases, pod)
    if type(found) is usage.Usage:
        return Usage.from_model(found, bases)
    return map_found(found, lambda model: Usage.from_model(model, bases))


def node_usage(info: Info, node: Node) -> Usage | None:
    """The newest usage of a node; its limit is what it can give to pods."""
    found = info.context.loaders.usage[Kind.NODE].for_(_plan(info).measures[Kind.NODE]).get(node.key)
    return map_found(found, lambda model: Usage.from_model(model, partial(node_bases, node.allocatable, node.capacity)))


def history(info: Info, kind: Kind, key: ObjectKey, request: TimeRangeRequest) -> UsageHistory | None:
    """The history of a pod or node. Raises InvalidQuery."""
    columns = _plan(info).columns[kind, request]
    return map_found(info.context.loaders.history[kind].for_((request, columns)).get(key), UsageHistory.from_model)


def _plan(info: Info) -> OperationPlan:
    """The request's plan; each object has an info of its own, which would have to find it."""
    return info.context.plan or info.plan
