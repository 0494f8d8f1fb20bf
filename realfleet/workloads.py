"""What runs on a member: nodes, namespaces and Deployments whose replicas add up to the number of pods wanted."""

import math
from dataclasses import dataclass
from typing import Any, NamedTuple

from realfleet.cache import KUBERNETES_VERSION
from realfleet.membership import Place

NODES_PATH = "/api/v1/nodes"
NAMESPACES_PATH = "/api/v1/namespaces"


class Workload(NamedTuple):
    """One Deployment and its part, in percent, of a member's pods. `cpu` and `memory` are request and limit."""

    namespace: str
    name: str
    app: str
    image: str
    share: int
    cpu: tuple[str, str | None]
    memory: tuple[str, str | None]


WORKLOADS = (
    Workload("default", "nginx-deployment", "nginx", "nginx:1.27", 20, ("50m", "200m"), ("64Mi", "128Mi")),
    Workload("shop", "frontend", "frontend", "shop/frontend:2.4.1", 20, ("100m", "500m"), ("128Mi", "256Mi")),
    Workload("shop", "cart", "cart", "shop/cart:1.9.0", 15, ("50m", "250m"), ("96Mi", "192Mi")),
    Workload("shop", "checkout", "checkout", "shop/checkout:3.0.2", 10, ("150m", "1"), ("256Mi", "1Gi")),
    Workload("data", "ingest", "ingest", "data/ingest:0.18", 15, ("200m", "1500m"), ("256Mi", "512Mi")),
    # A limit in a decimal unit: what is left of it is no multiple of 1024.
    Workload("data", "reports", "reports", "data/reports:0.18", 5, ("100m", "300m"), ("150M", "250M")),
    Workload("monitoring", "exporter", "exporter", "monitoring/exporter:1.8", 10, ("20m", "100m"), ("32Mi", "64Mi")),
    # Requests and no limits.
    Workload("monitoring", "alerts", "alerts", "monitoring/alerts:1.8", 5, ("20m", None), ("48Mi", None)),
)
NAMESPACES = tuple(dict.fromkeys(workload.namespace for workload in WORKLOADS))


@dataclass(frozen=True)
class NodeSize:
    """A node's capacity: CPU in cores, memory and storage in GiB."""

    cpu: int
    memory: int
    storage: int
    pods: int


def share_replicas(pods: int) -> dict[Workload, int]:
    """Replicas of each workload by largest remainder: they add up to `pods` exactly; a workload may get none."""
    exact = {workload: pods * workload.share / 100 for workload in WORKLOADS}
    replicas = {workload: math.floor(part) for workload, part in exact.items()}
    left = pods - sum(replicas.values())
    for workload in sorted(WORKLOADS, key=lambda workload: replicas[workload] - exact[workload])[:left]:
        replicas[workload] += 1
    return replicas


def size_nodes(pods: int, nodes: int) -> NodeSize:
    """Nodes large enough for half as many pods again, and never smaller than a usual machine."""
    each = max(110, math.ceil(pods * 1.5 / nodes))
    return NodeSize(cpu=max(16, math.ceil(each * 0.15)), memory=max(64, math.ceil(each * 0.2)), storage=200, pods=each)


def build_node(member: int, number: int, size: NodeSize, place: Place) -> dict[str, Any]:
    """The Node `kube{member}-worker{number}`, counted from 1, as a kubelet registers itself; kwok makes it ready."""
    name = f"kube{member}-worker{number}"
    capacity = {
        "cpu": str(size.cpu),
        "memory": f"{size.memory}Gi",
        "ephemeral-storage": f"{size.storage}Gi",
        "pods": str(size.pods),
        **({"nvidia.com/gpu": "4"} if number == 1 else {}),
    }
    # A part of a machine belongs to its system.
    allocatable = capacity | {"cpu": f"{size.cpu * 1000 - 200}m", "memory": f"{size.memory * 1024 - 512}Mi"}
    network = (member - 1) * 16 + (number - 1) // 16
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {
            "name": name,
            "labels": {
                "kubernetes.io/hostname": name,
                "kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "node-role.kubernetes.io/worker": "",
                "topology.kubernetes.io/region": place.region,
                "topology.kubernetes.io/zone": place.zones[(number - 1) % len(place.zones)],
            },
        },
        # 4,094 addresses a node, of its own in the whole fleet.
        "spec": {"podCIDR": f"10.{network % 256}.{(number - 1) % 16 * 16}.0/20"},
        "status": {
            "capacity": capacity,
            "allocatable": allocatable,
            "nodeInfo": {
                "architecture": "amd64",
                "operatingSystem": "linux",
                "osImage": "Debian GNU/Linux 12 (bookworm)",
                "kernelVersion": "6.1.0",
                "kubeletVersion": f"v{KUBERNETES_VERSION}",
                "kubeProxyVersion": "",
                "containerRuntimeVersion": "containerd://2.1.4",
                "bootID": "",
                "machineID": name,
                "systemUUID": name,
            },
        },
    }


def build_namespace(name: str) -> dict[str, Any]:
    """A Namespace."""
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": {"team": name}}}


def build_deployment(workload: Workload, replicas: int) -> dict[str, Any]:
    """The Deployment of a workload; its pods carry `app` and `team`."""
    labels = {"app": workload.app, "team": workload.namespace}
    limits = {"cpu": workload.cpu[1], "memory": workload.memory[1]}
    container = {
        "name": workload.app,
        "image": workload.image,
        "ports": [{"containerPort": 80}],
        "resources": {
            "requests": {"cpu": workload.cpu[0], "memory": workload.memory[0]},
            "limits": {resource: limit for resource, limit in limits.items() if limit},
        },
    }
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": workload.name, "namespace": workload.namespace, "labels": labels},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": {"app": workload.app}},
            "template": {
                "metadata": {"labels": labels, "annotations": {"example.org/owner": f"{workload.namespace}-team"}},
                "spec": {"containers": [container], "terminationGracePeriodSeconds": 1},
            },
        },
    }


def deployments_path(namespace: str) -> str:
    """The collection of a namespace's Deployments."""
    return f"/apis/apps/v1/namespaces/{namespace}/deployments"
