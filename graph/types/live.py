"""The events and samples that subscriptions send, each with the object it is about."""

from functools import partial
from typing import Self

import strawberry

from fleet.model import objects as models
from fleet.model.kube_objects import KubeObject
from fleet.model.ranking import node_bases, pod_bases
from fleet.model.usage import Usage as UsageModel
from fleet.objects import logs
from graph.enums import EventType
from graph.scalars import DateTime
from graph.types.cluster import Cluster
from graph.types.node import Node
from graph.types.pod import Pod
from graph.types.resource import Resource
from graph.types.usage import Usage


@strawberry.type(description="A pod came, changed or went.")
class PodEvent:
    """An event of `podEvents`."""

    type: EventType = strawberry.field(description="What happened.")
    pod: Pod = strawberry.field(description="The pod as it is now, or as it was last.")

    @classmethod
    def from_model(cls, type: EventType, model: models.Pod) -> Self:  # noqa: A002 - the field's name in the graph
        return cls(type=type, pod=Pod.from_model(model))


@strawberry.type(description="A node came, changed or went.")
class NodeEvent:
    """An event of `nodeEvents`."""

    type: EventType = strawberry.field(description="What happened.")
    node: Node = strawberry.field(description="The node as it is now, or as it was last.")

    @classmethod
    def from_model(cls, type: EventType, model: models.Node) -> Self:  # noqa: A002 - the field's name in the graph
        return cls(type=type, node=Node.from_model(model))


@strawberry.type(description="A cluster joined, changed (its health, its message) or left.")
class ClusterEvent:
    """An event of `clusterEvents`."""

    type: EventType = strawberry.field(description="What happened.")
    cluster: Cluster = strawberry.field(description="The cluster as it is now, or as it was last.")

    @classmethod
    def from_model(cls, type: EventType, model: models.Cluster) -> Self:  # noqa: A002 - the field's name in the graph
        return cls(type=type, cluster=Cluster.from_model(model))


@strawberry.type(description="An object of any kind came, changed or went.")
class ResourceEvent:
    """An event of `resourceEvents`."""

    type: EventType = strawberry.field(description="What happened.")
    resource: Resource = strawberry.field(description="The object as it is now, or as it was last.")

    @classmethod
    def from_model(cls, type: EventType, model: KubeObject) -> Self:  # noqa: A002 - the field's name in the graph
        return cls(type=type, resource=Resource.from_model(model))


@strawberry.type(description="The newest usage of a pod or a node.")
class UsageSample:
    """An entry of a message of `usage`: one of `pod` and `node` is there."""

    pod: Pod | None = strawberry.field(description="The pod it is of; null where it is of a node.")
    node: Node | None = strawberry.field(description="The node it is of; null where it is of a pod.")
    usage: Usage = strawberry.field(description="Its newest usage.")

    @classmethod
    def from_model(cls, record: models.Pod | models.Node, usage: UsageModel) -> Self:
        if isinstance(record, models.Pod):
            return cls(pod=Pod.from_model(record), node=None, usage=Usage.from_model(usage, partial(pod_bases, record)))
        return cls(
            pod=None,
            node=Node.from_model(record),
            usage=Usage.from_model(usage, partial(node_bases, record.allocatable, record.capacity)),
        )


@strawberry.type(description="One line of a container's log; one of more than 16 KiB is cut, and says so at its end.")
class LogLine:
    """A view of `fleet.objects.logs.Line`."""

    time: DateTime | None = strawberry.field(description="When it was written; null where the cluster does not say.")
    container: str = strawberry.field(description="The container that wrote it.")
    line: str = strawberry.field(description="The line, without its end.")

    @classmethod
    def from_model(cls, model: logs.Line) -> Self:
        return cls(
            time=None if model.time is None else DateTime(model.time), container=model.container, line=model.text
        )
