"""A workload: a view of its record, and relations to its pods, usage and events."""

from functools import partial
from typing import TYPE_CHECKING, Annotated

import strawberry

from fleet.model import usage
from fleet.model import workloads as models
from fleet.model.kinds import PODS
from fleet.model.kube_objects import ResourceKey, Subject
from fleet.model.ranking import pod_bases
from graph.enums import RolloutState
from graph.ids import encode_workload_id
from graph.loading.context import Info
from graph.loading.listing import load_page, pods_of_workload
from graph.loading.maybe_await import map_found, map_value
from graph.loading.time_range import TimeRangeRequest
from graph.loading.workload_sums import load_workload_history, load_workload_usage
from graph.scalars import DateTime
from graph.types import metrics
from graph.types.cluster_views import cluster_of
from graph.types.common import Label, Object, Resources, labels_of, resources_of
from graph.types.event import Event, events_of
from graph.types.fields import of_model, resolved
from graph.types.inputs import PodFilter, PodOrder, build_orders, build_page_request, pod_question
from graph.types.owner import Owner, owner_of
from graph.types.usage import Usage, UsageHistory
from graph.types.views import PureView

if TYPE_CHECKING:
    from graph.types.cluster import Cluster
    from graph.types.pod_connection import PodConnection
    from graph.types.resource import Resource


@strawberry.type(
    description="What runs pods: a Deployment, StatefulSet, DaemonSet, Job or CronJob, or any other controller that "
    "pods name as theirs, of which only what its pods say is known."
)
class Workload(PureView[models.Workload], Object):
    """A view of `models.Workload`."""

    model: strawberry.Private[models.Workload]
    namespace: str = of_model("Its namespace.")
    name: str = of_model("Its name.")
    kind: str = of_model("Its kind, such as Deployment.")
    api_version: str = of_model("API version of its kind.")
    uid: str = of_model("Kubernetes' own identity of it.")
    created_at: DateTime | None = of_model("When it was created; null where only its pods are known.")
    images: list[str] = of_model("Images that its pods are to run, or those that they do; init containers' last.")
    desired: int | None = of_model("Pods it is to have; of a Job, those that are to succeed.")
    ready: int | None = of_model("Its pods that are ready.")
    updated: int | None = of_model("Its pods that are of its newest template.")
    available: int | None = of_model("Its pods that have been ready for as long as it asks for.")
    unavailable: int | None = of_model("How many of the desired ones are not available.")
    succeeded: int | None = of_model("Pods of a Job that succeeded.")
    active: int | None = of_model("Pods of a Job that run, or Jobs of a CronJob.")
    schedule: str | None = of_model("When a CronJob runs, as cron writes it.")
    last_scheduled_at: DateTime | None = of_model("When a CronJob was run last.")
    rollout: RolloutState | None = of_model("Where its rollout is; null where only its pods are known.")
    rollout_message: str | None = of_model("The same for people, as `kubectl rollout status` says it.")
    rollout_since: DateTime | None = of_model(
        "Since when, where the object says it; of a Deployment that is PROGRESSING, when it last got further."
    )
    restarts: int = of_model("How often containers of its pods were restarted.")
    pod_count: int = of_model("How many pods it has, finished ones included.")

    @resolved("Opaque; the same for as long as the object's name is.")
    def id(self) -> strawberry.ID:
        return strawberry.ID(encode_workload_id(self.model.key))

    @resolved("The cluster it is in.", shared_by=("cluster",))
    def cluster(self, info: Info) -> Annotated["Cluster", strawberry.lazy("graph.types.cluster")]:
        return cluster_of(info, self.model.cluster)

    @resolved("Its labels; none where only its pods are known.")
    def labels(self) -> list[Label]:
        return labels_of(self.model.labels)

    @resolved("The object that controls it, as a CronJob does a Job.")
    def owner(self) -> Owner | None:
        return owner_of(self.model.owner, self.model.cluster, self.model.namespace)

    @resolved("What the scheduler reserves for its pods that are not finished; null where they ask for nothing.")
    def requests(self) -> Resources | None:
        return resources_of(self.model.requests)

    @resolved("What its pods that are not finished may use at most; no bound where one of them has none.")
    def limits(self) -> Resources | None:
        return resources_of(self.model.limits)

    @resolved("Its pods.")
    def pods(
        self,
        info: Info,
        filter: PodFilter | None = None,  # noqa: A002 - the argument's name in the graph
        order_by: list[PodOrder] | None = None,
        first: int | None = None,
        after: str | None = None,
    ) -> Annotated["PodConnection", strawberry.lazy("graph.types.pod_connection")]:
        from graph.types.pod_connection import PodConnection  # here, since the nouns refer to each other

        question = pods_of_workload(info, pod_question(filter), self.model)
        found = load_page(info, PODS, question, build_orders(order_by), build_page_request(first, after))
        return map_value(found, PodConnection.from_model)

    @resolved(
        "The newest usage of its pods, summed up over those that have a point, `time` being the oldest of theirs. "
        "Percentages are of its `limits` or `requests`. Null where no pod has a point."
    )
    def usage(self, info: Info) -> Usage | None:
        """One call with all pods that the operation asks of. Raises MetricsUnavailable."""
        found = info.context.loaders.dispatch.defer(load_workload_usage, info, self.model)
        return map_found(found, partial(_build_usage, self.model))

    @resolved(
        "Usage over a span of time of the pods it has now, summed up step by step as that of a cluster is; "
        "null where no point is in it."
    )
    def history(
        self,
        info: Info,
        last: metrics.Last = None,
        start: metrics.Start = None,
        end: metrics.End = None,
        step: metrics.Step = None,
    ) -> UsageHistory | None:
        """One call with all pods that the operation asks of. Raises InvalidQuery, MetricsUnavailable."""
        request = TimeRangeRequest(last, start, end, step)
        found = info.context.loaders.dispatch.defer(load_workload_history, info, self.model, request)
        return map_found(found, UsageHistory.from_model)

    @resolved("Its newest events, 1,000 at most, newest first. Asked of the cluster; null while that does not answer.")
    async def events(self, info: Info, first: int | None = 20) -> list[Event] | None:
        """One call for a whole page. Raises InvalidQuery, Forbidden, ClusterError."""
        model = self.model
        return await events_of(info, Subject(model.cluster, model.namespace, model.kind, model.name, model.uid), first)

    @resolved(
        "The whole object, asked of the cluster; null where it is gone, you may not see it, or its kind is not served."
    )
    async def resource(self, info: Info) -> Annotated["Resource", strawberry.lazy("graph.types.resource")] | None:
        """One call for all of a kind. Raises ClusterError."""
        from graph.types.resource import load_named  # here, since the nouns refer to each other

        model = self.model
        key = ResourceKey(model.cluster, model.api_version, model.kind, model.namespace, model.name)
        return await load_named(info, key)


def _build_usage(model: models.Workload, found: usage.Usage) -> Usage:
    return Usage.from_model(found, partial(pod_bases, model))
