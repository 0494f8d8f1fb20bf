"""Nodes and namespaces: bytes to models. Source: Kubernetes API, core/v1 Node and Namespace."""

from collections.abc import Mapping
from sys import intern

import msgspec

from fleet.kubernetes.codec.convert import as_conditions, as_pairs, as_resources, interned, seconds
from fleet.kubernetes.codec.wire import NodeInfo, WireNamespace, WireNode
from fleet.model.objects import Namespace, Node, NodeAddress, Taint

ROLE_PREFIX = "node-role.kubernetes.io/"
ROLE_LABEL = "kubernetes.io/role"
REGION_LABELS = ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region")
ZONE_LABELS = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")

_NODE = msgspec.json.Decoder(WireNode)
_NAMESPACE = msgspec.json.Decoder(WireNamespace)
_NO_INFO = NodeInfo()


def decode_node(raw: bytes) -> WireNode:
    return _NODE.decode(raw)


def decode_namespace(raw: bytes) -> WireNamespace:
    return _NAMESPACE.decode(raw)


def build_node(node: WireNode, cluster: str, manifest: bytes) -> Node:
    """The flat record. Raises ValueError for a quantity that is none."""
    metadata, spec, status = node.metadata, node.spec, node.status
    labels = metadata.labels or {}
    info = status.node_info or _NO_INFO
    ready = _ready_status(node)
    return Node(
        cluster=intern(cluster),
        name=intern(metadata.name),
        uid=metadata.uid,
        resource_version=metadata.resource_version,
        ready=ready == "Ready",
        status=intern(f"{ready},SchedulingDisabled" if spec.unschedulable else ready),
        unschedulable=spec.unschedulable,
        roles=_roles(labels),
        taints=tuple(Taint(intern(taint.key), taint.value, intern(taint.effect)) for taint in spec.taints or ()),
        addresses=tuple(NodeAddress(intern(entry.type), entry.address) for entry in status.addresses or ()),
        kubelet_version=intern(info.kubelet_version),
        os_image=interned(info.os_image),
        architecture=interned(info.architecture),
        region=_first_label(labels, REGION_LABELS),
        zone=_first_label(labels, ZONE_LABELS),
        created_at=seconds(metadata.creation_timestamp) or 0.0,
        labels=as_pairs(labels),
        conditions=as_conditions(status.conditions),
        capacity=as_resources(status.capacity),
        allocatable=as_resources(status.allocatable),
        manifest=manifest,
    )


def build_namespace(namespace: WireNamespace, cluster: str) -> Namespace:
    metadata = namespace.metadata
    return Namespace(
        cluster=intern(cluster),
        name=intern(metadata.name),
        uid=metadata.uid,
        resource_version=metadata.resource_version,
        phase=intern(namespace.status.phase),
        created_at=seconds(metadata.creation_timestamp) or 0.0,
        labels=as_pairs(metadata.labels),
    )


def _ready_status(node: WireNode) -> str:
    """The word kubectl has for the Ready condition; the last one counts where there are two (`printNode`)."""
    found = [entry.status for entry in node.status.conditions or () if entry.type == "Ready"]
    if not found:
        return "Unknown"
    return "Ready" if found[-1] == "True" else "NotReady"


def _roles(labels: Mapping[str, str]) -> tuple[str, ...]:
    """Role names as kubectl's ROLES column lists them, sorted (`findNodeRoles`)."""
    roles = {key.removeprefix(ROLE_PREFIX) for key in labels if key.startswith(ROLE_PREFIX)}
    roles.add(labels.get(ROLE_LABEL, ""))
    return tuple(sorted(intern(role) for role in roles if role))


def _first_label(labels: Mapping[str, str], keys: tuple[str, ...]) -> str | None:
    return next((intern(labels[key]) for key in keys if labels.get(key)), None)
