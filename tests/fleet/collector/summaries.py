"""What members say of usage, in the bytes of kubelets and of `metrics.k8s.io`."""

import json
from typing import Any

FULL_POD: dict[str, Any] = {
    "cpu_cores": 0.218250189,
    "memory_bytes": 11,
    "memory_usage_bytes": 12,
    "memory_available_bytes": 13,
    "fs_used_bytes": 14,
    "fs_capacity_bytes": 15,
    "fs_available_bytes": 16,
    "network_receive_bytes": 17,
    "network_transmit_bytes": 18,
}
FULL_NODE: dict[str, Any] = {name: value * 2 for name, value in FULL_POD.items()}


def _stats(amounts: dict[str, Any], storage: str) -> dict[str, Any]:
    time = "2026-07-14T07:23:08Z"
    return {
        "startTime": time,
        "cpu": {"time": time, "usageNanoCores": round(amounts["cpu_cores"] * 10**9), "usageCoreNanoSeconds": 2**64 - 1},
        "memory": {
            "time": time,
            "workingSetBytes": amounts["memory_bytes"],
            "usageBytes": amounts["memory_usage_bytes"],
            "availableBytes": amounts["memory_available_bytes"],
            "rssBytes": 1,
        },
        "network": {
            "time": time,
            "name": "eth0",
            "rxBytes": amounts["network_receive_bytes"],
            "txBytes": amounts["network_transmit_bytes"],
            "interfaces": [{"name": "eth0", "rxBytes": 1}],
        },
        storage: {
            "time": time,
            "usedBytes": amounts["fs_used_bytes"],
            "capacityBytes": amounts["fs_capacity_bytes"],
            "availableBytes": amounts["fs_available_bytes"],
            "inodes": 5,
        },
    }


def build_summary(node: str, *pods: tuple[str, str]) -> bytes:
    """A kubelet's `/stats/summary`: these pods (namespace, name), and one that has only just started."""
    started = {"podRef": {"name": "started", "namespace": "shop", "uid": "u"}, "startTime": "2026-07-14T07:23:08Z"}
    measured = [
        {"podRef": {"name": name, "namespace": namespace, "uid": "u"}, "containers": [], "volume": []}
        | _stats(FULL_POD, "ephemeral-storage")
        for namespace, name in pods
    ]
    return json.dumps({"node": {"nodeName": node} | _stats(FULL_NODE, "fs"), "pods": [*measured, started]}).encode()


def build_metrics() -> tuple[bytes, bytes]:
    """The lists of nodes and of pods."""
    window = {"timestamp": "2026-07-14T07:23:08Z", "window": "10s"}
    nodes = [{"metadata": {"name": "n1"}, "usage": {"cpu": "1500m", "memory": "1Gi"}} | window]
    containers = [
        {"name": "a", "usage": {"cpu": "250000000n", "memory": "1Mi"}},
        {"name": "b", "usage": {"cpu": "500m", "memory": "2048Ki"}},
    ]
    pods = [{"metadata": {"name": "p0", "namespace": "shop"}, "containers": containers} | window]
    return tuple(json.dumps({"kind": "List", "items": items}).encode() for items in (nodes, pods))  # type: ignore[return-value]  # of two
