"""The figures of pods and nodes as rows of a scrape: cAdvisor's of the kubelet, node-exporter's, kube-state-metrics'.

With all that a reader has to tell apart: a pod has two containers, a row of the cgroup that holds them (no container)
and one of its sandbox (an image and no container, or the container POD), which has the network; a node has a loopback
device and a file system that is no disk.
"""

from collections.abc import Iterator
from typing import NamedTuple

Labels = dict[str, str]
Row = tuple[str, Labels, float]
"""A series' name, its labels, and the value now."""

_CONTAINERS = ("app", "sidecar")
_PAUSE = {"image": "registry.k8s.io/pause:3.9"}
_SANDBOX_CPU = 0.03  # seconds that a sandbox takes to begin, and no more
_SANDBOX_MEMORY = 405_504
_DISK = {"device": "/dev/sda1", "fstype": "ext4", "mountpoint": "/"}
_NO_DISK = {"device": "tmpfs", "fstype": "tmpfs", "mountpoint": "/run"}


class Figures(NamedTuple):
    """What is measured of one object at a time: seconds and bytes; those of CPU and network are counters.

    What is None has no row.
    """

    cpu_seconds: float | None = None
    memory_working_set: int | None = None
    memory_usage: int | None = None
    memory_available: int | None = None
    fs_used: int | None = None
    fs_capacity: int | None = None
    fs_available: int | None = None
    network_received: int | None = None
    network_sent: int | None = None


def pod_rows(namespace: str, pod: str, node: str, figures: Figures) -> Iterator[Row]:
    """Those of the kubelet of `node`, without a cluster: a scraper adds it."""
    of_pod = {"namespace": namespace, "pod": pod, "node": node, "instance": node, "job": "kubelet"}
    sandbox = {"container": "POD"} if len(pod) % 2 else {}
    # cAdvisor says 0 of a container without a limit.
    limit = figures.memory_working_set
    if limit is not None:
        limit = 0 if figures.memory_available is None else figures.memory_available + limit
    for name, value, extra in (
        ("container_cpu_usage_seconds_total", figures.cpu_seconds, _SANDBOX_CPU),
        ("container_memory_working_set_bytes", figures.memory_working_set, _SANDBOX_MEMORY),
        ("container_memory_usage_bytes", figures.memory_usage, _SANDBOX_MEMORY),
        ("container_spec_memory_limit_bytes", limit, 0),
        ("container_fs_usage_bytes", figures.fs_used, 0),
    ):
        if value is None:
            continue
        for container, part in zip(_CONTAINERS, _split(value), strict=True):
            yield name, of_pod | {"container": container, "image": container, "id": f"/pods/{pod}/{container}"}, part
        yield name, of_pod | {"id": f"/pods/{pod}"}, value + extra
        yield name, of_pod | sandbox | _PAUSE | {"id": f"/pods/{pod}/sandbox"}, extra
    if figures.fs_capacity is not None:
        for container in _CONTAINERS:
            labels = of_pod | {"container": container, "image": container, "id": f"/pods/{pod}/{container}"}
            yield "container_fs_limit_bytes", labels | {"device": "/dev/sda1"}, figures.fs_capacity
    for name, value in (
        ("container_network_receive_bytes_total", figures.network_received),
        ("container_network_transmit_bytes_total", figures.network_sent),
    ):
        if value is not None:
            labels = of_pod | sandbox | _PAUSE | {"id": f"/pods/{pod}/sandbox"}
            yield name, labels | {"interface": "eth0"}, value


def resource_rows(namespace: str, pod: str, node: str, figures: Figures) -> Iterator[Row]:
    """What the same kubelet says at `/metrics/resource`: some of it by the same names."""
    of_pod = {"namespace": namespace, "pod": pod, "node": node, "instance": node, "job": "kubelet-resource"}
    for name, value in (
        ("cpu_usage_seconds_total", figures.cpu_seconds),
        ("memory_working_set_bytes", figures.memory_working_set),
    ):
        if value is not None:
            for container, part in zip(_CONTAINERS, _split(value), strict=True):
                yield f"container_{name}", of_pod | {"container": container}, part
            yield f"pod_{name}", of_pod, value


def node_rows(node: str, figures: Figures) -> Iterator[Row]:
    """The kubelet's of the whole machine, and node-exporter's."""
    root = {"id": "/", "node": node, "instance": node, "job": "kubelet"}
    for name, value in (
        ("container_cpu_usage_seconds_total", figures.cpu_seconds),
        ("container_memory_working_set_bytes", figures.memory_working_set),
        ("container_memory_usage_bytes", figures.memory_usage),
    ):
        if value is not None:
            yield name, root, value
    exported = {"instance": node, "job": "node-exporter"}
    free = None if figures.fs_capacity is None or figures.fs_used is None else figures.fs_capacity - figures.fs_used
    for name, value in (
        ("node_filesystem_size_bytes", figures.fs_capacity),
        ("node_filesystem_free_bytes", free),
        ("node_filesystem_avail_bytes", figures.fs_available),
    ):
        if value is not None:
            yield name, exported | _DISK, value
            yield name, exported | _NO_DISK, 4096
    for name, value in (
        ("node_network_receive_bytes_total", figures.network_received),
        ("node_network_transmit_bytes_total", figures.network_sent),
    ):
        if value is not None:
            yield name, exported | {"device": "eth0"}, value
            yield name, exported | {"device": "lo"}, value + 1
    if figures.memory_available is not None:
        yield "node_memory_MemAvailable_bytes", exported, figures.memory_available
    yield "node_uname_info", exported | {"nodename": node}, 1


def pod_info(namespace: str, pod: str, node: str) -> Row:
    """What kube-state-metrics says of a pod; `instance` is its own."""
    labels = {"namespace": namespace, "pod": pod, "node": node, "uid": pod, "host_network": "false"}
    return "kube_pod_info", labels | {"instance": "kube-state-metrics:8080", "job": "kube-state-metrics"}, 1


def _split(value: float) -> tuple[float, float]:
    """Two parts whose sum is the value, to the bit."""
    if isinstance(value, int):
        return value - value // 4, value // 4
    return value / 2, value / 2
