"""Nodes of a simulated cluster."""

from typing import Any

from msgspec import Struct

from demo.simulator.kinds import NODES
from demo.simulator.naming import build_uid, format_time
from demo.simulator.store import Entry, build_entry


class NodePlan(Struct, frozen=True):
    """One node before it is an object. `cpus` in cores, `memory_kib` in KiB, `created_at` in Unix seconds."""

    cluster: str
    name: str
    address: str
    cpus: int
    memory_kib: int
    max_pods: int
    region: str
    zone: str
    created_at: float
    unschedulable: bool = False


def build_node_entry(plan: NodePlan) -> Entry:
    created = format_time(plan.created_at)
    cordon = {"key": "node.kubernetes.io/unschedulable", "effect": "NoSchedule", "timeAdded": created}
    members = {
        "metadata": {
            "name": plan.name,
            "uid": build_uid("node", plan.cluster, plan.name),
            "creationTimestamp": created,
            "labels": {
                "beta.kubernetes.io/arch": "amd64",
                "beta.kubernetes.io/os": "linux",
                "kubernetes.io/arch": "amd64",
                "kubernetes.io/hostname": plan.name,
                "kubernetes.io/os": "linux",
                "node-role.kubernetes.io/worker": "",
                "topology.kubernetes.io/region": plan.region,
                "topology.kubernetes.io/zone": plan.zone,
            },
            "annotations": {
                "node.alpha.kubernetes.io/ttl": "0",
                "projectcalico.org/IPv4Address": f"{plan.address}/24",
            },
        },
        "spec": {
            "podCIDR": "10.244.0.0/24",
            **({"taints": [cordon], "unschedulable": True} if plan.unschedulable else {}),
        },
        "status": _status(plan),
    }
    return build_entry(NODES, members)


def _status(plan: NodePlan) -> dict[str, Any]:
    capacity = {
        "cpu": str(plan.cpus),
        "ephemeral-storage": "102094168Ki",
        "hugepages-2Mi": "0",
        "memory": f"{plan.memory_kib}Ki",
        "pods": str(plan.max_pods),
    }
    reserved = {"cpu": f"{plan.cpus * 1000 - 100}m", "memory": f"{plan.memory_kib - 102_400}Ki"}
    return {
        "capacity": capacity,
        "allocatable": capacity | reserved,
        "conditions": [
            _condition("MemoryPressure", "False", "KubeletHasSufficientMemory", plan),
            _condition("DiskPressure", "False", "KubeletHasNoDiskPressure", plan),
            _condition("PIDPressure", "False", "KubeletHasSufficientPID", plan),
            _condition("Ready", "True", "KubeletReady", plan),
        ],
        "addresses": [
            {"type": "InternalIP", "address": plan.address},
            {"type": "Hostname", "address": plan.name},
        ],
        "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
        "nodeInfo": {
            "machineID": build_uid("machine", plan.cluster, plan.name).replace("-", ""),
            "systemUUID": build_uid("system", plan.cluster, plan.name),
            "bootID": build_uid("boot", plan.cluster, plan.name),
            "kernelVersion": "6.1.0-31-amd64",
            "osImage": "Debian GNU/Linux 12 (bookworm)",
            "containerRuntimeVersion": "containerd://2.0.4",
            "kubeletVersion": "v1.36.3",
            "kubeProxyVersion": "v1.36.3",
            "operatingSystem": "linux",
            "architecture": "amd64",
        },
    }


def _condition(name: str, status: str, reason: str, plan: NodePlan) -> dict[str, str]:
    return {
        "type": name,
        "status": status,
        "lastHeartbeatTime": format_time(),
        "lastTransitionTime": format_time(plan.created_at),
        "reason": reason,
        "message": "kubelet is posting ready status" if name == "Ready" else f"kubelet has no {name}",
    }
