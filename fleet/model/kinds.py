"""The kinds of objects that are cached, listed and paged, each described once.

Whatever treats them alike takes the kind: stores, filtering, sorting, the federation's reads, the change feed, the
graph's lists. Another kind is a record (`fleet.model.objects`), a filter and its columns (`fleet.model.queries`), and
an entry here; its codec is named where members are followed.
"""

import dataclasses
from collections.abc import Callable, Mapping
from operator import attrgetter
from typing import Generic, Literal, NamedTuple

from fleet.model.objects import Node, ObjectKey, Pod, T
from fleet.model.queries import Column, NodeColumn, PodColumn, WorkloadColumn
from fleet.model.ranking import NODE_BASES, POD_BASES, PercentOf
from fleet.model.rights import Verb
from fleet.model.usage import Kind
from fleet.model.visibility import Scope
from fleet.model.workloads import Workload, own_resource

ResourceName = Literal["pods", "nodes", "namespaces", "events", "workloads"]
"""What is followed of a member; stores are attributes of these names."""

Value = str | int | float | None
"""What objects are sorted by."""

NUMBERS = frozenset(
    {
        PodColumn.RESTARTS,
        PodColumn.CREATED_AT,
        NodeColumn.CREATED_AT,
        WorkloadColumn.CREATED_AT,
        WorkloadColumn.DESIRED,
        WorkloadColumn.UNAVAILABLE,
        WorkloadColumn.RESTARTS,
    }
)
"""The columns whose values are numbers; the others hold text."""


class Index(NamedTuple):
    """What a store finds objects by: an attribute of the record, and the field selector's word for it, if any."""

    attribute: str
    field: str | None


@dataclasses.dataclass(frozen=True, eq=False)  # an entry is itself and nothing else, and keys caches
class ObjectKind(Generic[T]):
    """One kind. `cluster_wide` objects have no namespace: only who reaches all namespaces of a cluster sees them.

    With `shares_names` several objects of a namespace can have one name.

    `indexes` are named as in `Filter.bounds`, `bases` name the amounts that percentages of usage can be of. Where
    objects of the kind are several of Kubernetes', `own_resource` names that of one, of which members decide, too.
    """

    name: ResourceName
    metrics: Kind
    columns: Mapping[Column, Callable[[T], Value]]
    bases: Mapping[PercentOf, str]
    indexes: Mapping[str, Index] = dataclasses.field(default_factory=dict)
    cluster_wide: bool = False
    shares_names: bool = False
    own_resource: Callable[[T | ObjectKey], str | None] | None = None

    def is_within(self, scope: Scope, one: T | ObjectKey, verb: Verb) -> bool:
        """Whether the scope reaches the object: by its name to `get` it, as one of all to `list` or `watch` them."""
        name = one.name if verb == "get" else ""
        if self.cluster_wide:
            return scope.sees_all_namespaces(one.cluster, self.name, verb, name)
        return scope.sees_namespace(one.cluster, one.namespace, self.name, verb, name) and self.admits(scope, one, verb)

    def admits(self, scope: Scope, one: T | ObjectKey, verb: Verb) -> bool:
        """Whether the scope reaches the object, given that it reaches the kind there."""
        if scope.granted is None or self.own_resource is None or (resource := self.own_resource(one)) is None:
            return True
        return scope.sees_namespace(one.cluster, one.namespace, resource, verb, one.name if verb == "get" else "")


PODS: ObjectKind[Pod] = ObjectKind(
    name="pods",
    metrics=Kind.POD,
    columns={
        PodColumn.NAME: attrgetter("name"),
        PodColumn.NAMESPACE: attrgetter("namespace"),
        PodColumn.CLUSTER: attrgetter("cluster"),
        PodColumn.NODE: attrgetter("node_name"),
        PodColumn.PHASE: attrgetter("phase._value_"),
        PodColumn.STATUS: attrgetter("status"),
        PodColumn.RESTARTS: attrgetter("restarts"),
        PodColumn.CREATED_AT: attrgetter("created_at"),
    },
    bases=POD_BASES,
    indexes={
        "namespace": Index("namespace", "metadata.namespace"),
        "node": Index("node_name", "spec.nodeName"),
        "owner": Index("owner_uid", None),
        "unwell": Index("wellness", None),
    },
)
NODES: ObjectKind[Node] = ObjectKind(
    name="nodes",
    metrics=Kind.NODE,
    columns={
        NodeColumn.NAME: attrgetter("name"),
        NodeColumn.CLUSTER: attrgetter("cluster"),
        NodeColumn.STATUS: attrgetter("status"),
        NodeColumn.CREATED_AT: attrgetter("created_at"),
    },
    bases=NODE_BASES,
    cluster_wide=True,
)
WORKLOADS: ObjectKind[Workload] = ObjectKind(
    name="workloads",
    metrics=Kind.POD,
    columns={
        WorkloadColumn.NAME: attrgetter("name"),
        WorkloadColumn.NAMESPACE: attrgetter("namespace"),
        WorkloadColumn.CLUSTER: attrgetter("cluster"),
        WorkloadColumn.KIND: attrgetter("kind"),
        WorkloadColumn.CREATED_AT: attrgetter("created_at"),
        WorkloadColumn.DESIRED: attrgetter("desired"),
        WorkloadColumn.UNAVAILABLE: attrgetter("unavailable"),
        WorkloadColumn.RESTARTS: attrgetter("restarts"),
    },
    bases=POD_BASES,
    indexes={"namespace": Index("namespace", "metadata.namespace")},
    shares_names=True,
    own_resource=own_resource,
)
KINDS = (PODS, NODES, WORKLOADS)
