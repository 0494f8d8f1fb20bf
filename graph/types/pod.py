"""A pod: a view of its record, and relations to its node, owner, usage and events."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import strawberry

from fleet.model import objects as models
from fleet.model.kinds import NODES
from fleet.model.kube_objects import Subject
from fleet.model.manifests import load_manifest
from fleet.model.redaction import redact_annotations
from fleet.model.usage import Kind
from fleet.objects.details import pod_details
from graph.enums import PodPhase
from graph.ids import encode_pod_id, encode_pod_ids
from graph.loading.context import Info
from graph.loading.placements import SpanRequest
from graph.loading.time_range import TimeRangeRequest
from graph.scalars import JSON, DateTime
from graph.types import metrics, placement
from graph.types.cluster_views import cluster_of
from graph.types.common import Condition, Label, Object, Resources, labels_of, resources_of
from graph.types.container import Container, ResourceClaim
from graph.types.event import Event, events_of
from graph.types.fields import of_model, resolved
from graph.types.owner import Owner, owner_of
from graph.types.usage import Usage, UsageHistory
from graph.types.views import PureView

if TYPE_CHECKING:
    from graph.types.cluster import Cluster
    from graph.types.node import Node
    from graph.types.workload import Workload


def _list_ready(pods: Sequence[models.Pod]) -> list[str]:
    return [f"{pod.ready_containers}/{pod.total_containers}" for pod in pods]


@strawberry.federation.type(keys=["id"], description="A pod of one of the clusters.")
class Pod(PureView[models.Pod], Object):
    """A view of `models.Pod`. What only the whole object has is read from its manifest when it is selected."""

    model: strawberry.Private[models.Pod]
    namespace: str = of_model("Its namespace.")
    name: str = of_model("Its name.")
    uid: str = of_model("Kubernetes' own identity of it.")
    phase: PodPhase = of_model("Where it is in its life.")
    status: str = of_model("As kubectl's STATUS column says it: Running, CrashLoopBackOff, Terminating.")
    restarts: int = of_model("How often its containers were restarted.")
    created_at: DateTime = of_model("When it was created.")
    node_name: str | None = of_model("Name of the node it is bound to.")
    pod_ip: str | None = of_model("Its IP address.", name="podIP")
    host_ip: str | None = of_model("IP address of its node.", name="hostIP")
    qos_class: str | None = of_model("Guaranteed, Burstable or BestEffort.")

    @resolved("Opaque; the same for as long as the object's name is.", column=encode_pod_ids)
    def id(self) -> strawberry.ID:
        return strawberry.ID(encode_pod_id(self.model.key))

    @resolved('Ready containers of all containers, as "1/2".', column=_list_ready)
    def ready(self) -> str:
        return _list_ready((self.model,))[0]

    @resolved("The cluster it is in.", shared_by=("cluster",))
    def cluster(self, info: Info) -> Annotated["Cluster", strawberry.lazy("graph.types.cluster")]:
        return cluster_of(info, self.model.cluster)

    @resolved(
        "The node it is bound to; null where you may not see it, or it is gone.", shared_by=("cluster", "node_name")
    )
    def node(self, info: Info) -> Annotated["Node", strawberry.lazy("graph.types.node")] | None:
        from graph.types.node import Node  # here, since the nouns refer to each other

        if self.model.node_name is None:
            return None
        key = models.NodeKey(self.model.cluster, self.model.node_name)
        found = info.context.federation.get_cached(NODES, info.context.scope, key)
        return Node.from_model(found) if found is not None else None

    @resolved("Its labels.", shared_by=("labels",))
    def labels(self) -> list[Label]:
        return labels_of(self.model.labels)

    @resolved("Its annotations; those that repeat secrets are redacted.")
    def annotations(self, info: Info) -> list[Label]:
        return labels_of(redact_annotations(self._details.annotations, info.context.redact_env))

    @resolved(
        "What runs it: the Deployment rather than its ReplicaSet, the CronJob rather than its Job.",
        shared_by=("cluster", "namespace", "owner"),
    )
    def workload(self, info: Info) -> Annotated["Workload", strawberry.lazy("graph.types.workload")] | None:
        from graph.types.workload import Workload  # here, since the nouns refer to each other

        found = info.context.federation.workload_of(info.context.scope, self.model)
        return None if found is None else Workload.from_model(found)

    @resolved("The object that controls it.", shared_by=("owner", "cluster", "namespace"))
    def owner(self) -> Owner | None:
        return owner_of(self.model.owner, self.model.cluster, self.model.namespace)

    @resolved("Its containers: init containers first, ephemeral ones last.")
    def containers(self) -> list[Container]:
        return [Container.from_model(container) for container in self._details.containers]

    @resolved("Its conditions.")
    def conditions(self) -> list[Condition]:
        return [Condition.from_model(condition) for condition in self._details.conditions]

    @resolved("What the scheduler reserves for it; null where it asks for nothing.", shared_by=("requests",))
    def requests(self) -> Resources | None:
        return resources_of(self.model.requests)

    @resolved(
        "What it may use at most; null where no resource is limited in all of its containers.", shared_by=("limits",)
    )
    def limits(self) -> Resources | None:
        return resources_of(self.model.limits)

    @resolved("The devices it claims.")
    def resource_claims(self) -> list[ResourceClaim]:
        return [ResourceClaim.from_model(claim) for claim in self._details.resource_claims]

    @resolved("The newest usage; null where there is none.", batched=metrics.POD_USAGE)
    def usage(self, info: Info) -> Usage | None:
        """Loaded with the page. Raises MetricsUnavailable."""
        return metrics.pod_usage(info, self.model)

    @resolved("Usage over a span of time; null where no point is in it.")
    def history(
        self,
        info: Info,
        last: metrics.Last = None,
        start: metrics.Start = None,
        end: metrics.End = None,
        step: metrics.Step = None,
    ) -> UsageHistory | None:
        """Loaded with the page. Raises InvalidQuery, MetricsUnavailable."""
        return metrics.history(info, Kind.POD, self.model.key, TimeRangeRequest(last, start, end, step))

    @resolved("Where it ran, and others of its name before it, oldest first; null while the metric store can't tell.")
    def placements(
        self,
        info: Info,
        last: placement.Last = None,
        start: placement.Start = None,
        end: placement.End = None,
    ) -> list[placement.Placement] | None:
        """One call for a whole page. Raises InvalidQuery, MetricsUnavailable."""
        return placement.placements_of(info, self.model.key, SpanRequest(last, start, end))

    @resolved("Its newest events, 1,000 at most, newest first. Asked of the cluster; null while that does not answer.")
    async def events(self, info: Info, first: int | None = 20) -> list[Event] | None:
        """One call for a whole page. Raises InvalidQuery, Forbidden, ClusterError."""
        pod = self.model
        return await events_of(info, Subject(pod.cluster, pod.namespace, "Pod", pod.name, pod.uid), first)

    @resolved("The whole object as the API server has it, secrets redacted.")
    def manifest(self, info: Info) -> JSON | None:
        return JSON(load_manifest(self.model.manifest, info.context.redact_env))

    @property
    def _details(self) -> models.PodDetails:
        """Decoded once, however many fields need it."""
        found: models.PodDetails | None = self.__dict__.get("details")
        if found is None:
            found = self.__dict__["details"] = pod_details(self.model)
        return found
