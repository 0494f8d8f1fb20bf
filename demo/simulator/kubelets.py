"""What a node's kubelet tells of usage through its API server: `/stats/summary` (kubelet stats API v1alpha1)."""

from datetime import UTC, datetime
from typing import Any

import orjson

from demo.simulator.kinds import NODES, PODS
from demo.simulator.reading import get_object, list_objects
from demo.simulator.selection import parse_selection
from demo.simulator.store import Store
from demo.simulator.usage import build_node_point, build_pod_point
from fleet.kubernetes.codec import codec
from fleet.model.objects import PodPhase
from fleet.model.usage import NANOSECONDS, Point


def parse_summary_path(path: str) -> str | None:
    """The node whose summary a path asks for."""
    match path.split("/"):
        case ["", "api", "v1", "nodes", node, "proxy", "stats", "summary"]:
            return node
    return None


def build_summary(store: Store, node: str, time_ns: int) -> bytes:
    """The usage of a node and of the pods that run on it. Raises ApiError 404."""
    time_ns -= time_ns % NANOSECONDS  # they tell it in whole seconds
    get_object(store, NODES, ("", node))
    named = parse_selection(NODES, None, {"fieldSelector": f"metadata.name={node}"})
    (record,) = codec.NODES.decode_list(list_objects(store, NODES, named, {}), "").records
    on_node = parse_selection(PODS, None, {"fieldSelector": f"spec.nodeName={node}"})
    pods = [
        (pod, build_pod_point(pod.key, time_ns, limits=pod.limits, requests=pod.requests, node=node))
        for pod in codec.PODS.decode_list(list_objects(store, PODS, on_node, {}), "").records
        if pod.phase is PodPhase.RUNNING
    ]
    whole = build_node_point(record.key, time_ns, capacity=record.capacity, pods=[point for _, point in pods])
    measured = [
        {"podRef": {"name": pod.name, "namespace": pod.namespace, "uid": pod.uid}, **_stats(point, "ephemeral-storage")}
        for pod, point in pods
    ]
    return orjson.dumps({"node": {"nodeName": node, **_stats(whole, "fs")}, "pods": measured})


def _stats(point: Point, storage: str) -> dict[str, Any]:
    time = datetime.fromtimestamp(point.time_ns // NANOSECONDS, UTC).isoformat().replace("+00:00", "Z")
    return {
        "cpu": {"time": time, "usageNanoCores": round((point.cpu_cores or 0) * NANOSECONDS)},
        "memory": {
            "time": time,
            "availableBytes": point.memory_available_bytes,
            "usageBytes": point.memory_usage_bytes,
            "workingSetBytes": point.memory_bytes,
        },
        "network": {"name": "eth0", "rxBytes": point.network_receive_bytes, "txBytes": point.network_transmit_bytes},
        storage: {
            "availableBytes": point.fs_available_bytes,
            "capacityBytes": point.fs_capacity_bytes,
            "usedBytes": point.fs_used_bytes,
        },
    }
