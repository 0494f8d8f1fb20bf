"""A Kubernetes node: a view of its record, and relations to its pods, usage and events."""

from typing import TYPE_CHECKING, Annotated

import strawberry

from fleet.model import objects as models
from fleet.model.kinds import PODS
from fleet.model.kube_objects import Subject
from fleet.model.manifests import load_manifest
from fleet.model.redaction import redact_annotations
from fleet.model.usage import Kind
from fleet.objects.details import annotations_of
from graph.ids import encode_node_id, encode_node_ids
from graph.loading.context import Info
from graph.loading.listing import load_page, pods_within
from graph.loading.maybe_await import map_value
from graph.loading.time_range import TimeRangeRequest
from graph.scalars import JSON, DateTime
from graph.types import metrics, placement
from graph.types.cluster_views import cluster_of
from graph.types.common import Condition, Label, Object, Resources, labels_of
from graph.types.event import Event, events_of
from graph.types.fields import of_model, resolved
from graph.types.inputs import PodFilter, PodOrder, build_orders, build_page_request, pod_question
from graph.types.pod_connection import PodConnection
from graph.types.usage import Usage, UsageHistory
from graph.types.views import PureView

if TYPE_CHECKING:
    from graph.types.cluster import Cluster


@strawberry.type(description="An entry of a node's taints.")
class Taint(PureView[models.Taint]):
    """A view of `models.Taint`."""

    model: strawberry.Private[models.Taint]
    key: str = of_model("Its key.")
    value: str | None = of_model("Its value.")
    effect: str = of_model("NoSchedule, PreferNoSchedule or NoExecute.")


@strawberry.type(description="An entry of a node's addresses.")
class NodeAddress(PureView[models.NodeAddress]):
    """A view of `models.NodeAddress`."""

    model: strawberry.Private[models.NodeAddress]
    type: str = of_model("InternalIP, ExternalIP, Hostname and so on.")
    address: str = of_model("The address.")


@strawberry.federation.type(keys=["id"], description="A Kubernetes node of one of the clusters.")
class Node(PureView[models.Node], Object):
    """A view of `models.Node`. What only the whole object has is read from its manifest when it is selected."""

    model: strawberry.Private[models.Node]
    name: str = of_model("Its name.")
    uid: str = of_model("Kubernetes' own identity of it.")
    roles: list[str] = of_model("Its roles, from the labels that name them.")
    ready: bool = of_model("Whether it is ready.")
    status: str = of_model('As kubectl\'s STATUS column says it: "Ready,SchedulingDisabled".')
    unschedulable: bool = of_model("Whether new pods are kept away from it.")
    internal_ip: str | None = of_model("Its first address of type InternalIP.", name="internalIP")
    kubelet_version: str = of_model("Version of its kubelet.")
    os_image: str | None = of_model("Its operating system.")
    architecture: str | None = of_model("Its architecture, such as amd64.")
    region: str | None = of_model("The region it is in.")
    zone: str | None = of_model("The zone it is in.")
    created_at: DateTime = of_model("When it was created.")

    @resolved("Opaque; the same for as long as the object's name is.", column=encode_node_ids)
    def id(self) -> strawberry.ID:
        return strawberry.ID(encode_node_id(self.model.key))

    @resolved("The cluster it is in.", shared_by=("cluster",))
    def cluster(self, info: Info) -> Annotated["Cluster", strawberry.lazy("graph.types.cluster")]:
        return cluster_of(info, self.model.cluster)

    @resolved("What keeps pods away from it.")
    def taints(self) -> list[Taint]:
        return [Taint.from_model(taint) for taint in self.model.taints]

    @resolved("Its addresses.")
    def addresses(self) -> list[NodeAddress]:
        return [NodeAddress.from_model(address) for address in self.model.addresses]

    @resolved("Its labels.", shared_by=("labels",))
    def labels(self) -> list[Label]:
        return labels_of(self.model.labels)

    @resolved("Its annotations; those that repeat secrets are redacted.")
    def annotations(self, info: Info) -> list[Label]:
        return labels_of(redact_annotations(annotations_of(self.model.manifest), info.context.redact_env))

    @resolved("Its conditions.")
    def conditions(self) -> list[Condition]:
        return [Condition.from_model(condition) for condition in self.model.conditions]

    @resolved("What it has.")
    def capacity(self) -> Resources:
        return Resources.from_model(self.model.capacity)

    @resolved("What it can give to pods.")
    def allocatable(self) -> Resources:
        return Resources.from_model(self.model.allocatable)

    @resolved("What its pods that are not finished ask for, summed up.")
    def requested(self, info: Info) -> Resources:
        return Resources.from_model(info.context.federation.requested_on(info.context.scope, self.model.key))

    @resolved("The pods that are bound to it.")
    def pods(
        self,
        info: Info,
        filter: PodFilter | None = None,  # noqa: A002 - the argument's name in the graph
        order_by: list[PodOrder] | None = None,
        first: int | None = None,
        after: str | None = None,
    ) -> PodConnection:
        question = pods_within(info, pod_question(filter), self.model.cluster, self.model.name)
        found = load_page(info, PODS, question, build_orders(order_by), build_page_request(first, after))
        return map_value(found, PodConnection.from_model)

    @resolved("The newest usage; null where there is none.", batched=metrics.NODE_USAGE)
    def usage(self, info: Info) -> Usage | None:
        """Loaded with the page. Raises MetricsUnavailable."""
        return metrics.node_usage(info, self.model)

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
        return metrics.history(info, Kind.NODE, self.model.key, TimeRangeRequest(last, start, end, step))

    @resolved("The pods that ran on it at a time, gone ones included; null while the metric store can't tell.")
    def pods_at(self, info: Info, time: placement.At) -> list[placement.Placement] | None:
        """One call for a whole page; those in reach. Raises InvalidQuery, MetricsUnavailable."""
        return placement.pods_at(info, self.model.key, time)

    @resolved("Its newest events, 1,000 at most, newest first. Asked of the cluster; null while that does not answer.")
    async def events(self, info: Info, first: int | None = 20) -> list[Event] | None:
        """One call for a whole page. Raises InvalidQuery, Forbidden, ClusterError."""
        node = self.model
        return await events_of(info, Subject(node.cluster, "", "Node", node.name, node.uid), first)

    @resolved("The whole object as the API server has it.")
    def manifest(self, info: Info) -> JSON | None:
        return JSON(load_manifest(self.model.manifest, info.context.redact_env))
