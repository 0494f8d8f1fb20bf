"""What a member says of the usage of its pods and nodes, decoded to points. Pure.

Sources: a kubelet's `/stats/summary` (kubelet stats API v1alpha1), and the lists of `metrics.k8s.io/v1beta1`, which
know CPU and working set alone. A point's time is that of its measuring, by the reader's clock.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from typing import Annotated, TypeVar

import msgspec
from msgspec import Meta, Struct, field

from fleet.model.objects import NodeKey, PodKey
from fleet.model.quantities import parse_bytes, parse_cores
from fleet.model.unreadable import UNREADABLE
from fleet.model.usage import NANOSECONDS, Point

T = TypeVar("T")

_Moment = Annotated[datetime, Meta(tz=True)]

_MOST = 2**63 - 1
_MOST_AGE_NS = 60 * NANOSECONDS
_AGREE_NS = 3 * NANOSECONDS  # two clocks, of which one says whole seconds, and the way of an answer


class Reading(Struct, frozen=True):
    """The points of some pods and nodes."""

    pods: list[tuple[PodKey, Point]]
    nodes: list[tuple[NodeKey, Point]]


class ReadAt(Struct, frozen=True):
    """When an answer was read, and the answering server's clock where it says it (`Date`, whole seconds).

    A kubelet measures each 10 s or so, whenever it is asked: its figures are that old, and what counters grew by is of
    the time between two measurings.
    """

    read_ns: int
    date: datetime | None = None

    def measured_ns(self, at: datetime | None) -> int:
        """The time of a measuring that the server names, by the reader's clock; that of reading where it is no such."""
        if at is None:
            return self.read_ns
        measured = _nanoseconds(at)
        if self.date is None:
            return measured if 0 <= self.read_ns - measured <= _MOST_AGE_NS else self.read_ns
        ahead = _nanoseconds(self.date) - self.read_ns
        if abs(ahead) > _AGREE_NS:
            measured -= (ahead // NANOSECONDS + 1) * NANOSECONDS  # of whole seconds `Date` is the one that has begun
        return max(0, min(measured, self.read_ns))  # a zero time of Go is before all that 64 bits count


def _nanoseconds(at: datetime) -> int:
    return round(at.timestamp() * 1_000_000) * 1000


class _Stats(Struct, rename="camel"):
    """CPU, memory, file system or network: each names some of these."""

    time: _Moment | None = None
    usage_nano_cores: int | None = None
    usage_bytes: int | None = None
    available_bytes: int | None = None
    working_set_bytes: int | None = None
    capacity_bytes: int | None = None
    used_bytes: int | None = None
    rx_bytes: int | None = None
    tx_bytes: int | None = None


_NOTHING = _Stats()


class _NodeStats(Struct, rename="camel"):
    node_name: str
    cpu: _Stats | None = None
    memory: _Stats | None = None
    network: _Stats | None = None
    fs: _Stats | None = None


class _PodRef(Struct):
    name: str
    namespace: str


class _PodStats(Struct, rename="camel"):
    pod_ref: _PodRef
    cpu: _Stats | None = None
    memory: _Stats | None = None
    network: _Stats | None = None
    storage: _Stats | None = field(default=None, name="ephemeral-storage")


class _Summary(Struct):
    node: _NodeStats
    pods: list[_PodStats] | None = None


class _Name(Struct):
    name: str
    namespace: str = ""


class _Amounts(Struct):
    cpu: str | None = None
    memory: str | None = None


class _Container(Struct):
    usage: _Amounts = msgspec.field(default_factory=_Amounts)


class _Metrics(Struct):
    metadata: _Name
    usage: _Amounts = msgspec.field(default_factory=_Amounts)
    containers: list[_Container] | None = None
    timestamp: _Moment | None = None


class _MetricsList(Struct):
    items: list[_Metrics]


def decode_summary(body: bytes, cluster: str, node: str, at: ReadAt) -> Reading:
    """One node and its pods, from its kubelet. Raises ValueError."""
    summary = _decode(body, _Summary)
    pods = [
        (
            PodKey(cluster, entry.pod_ref.namespace, entry.pod_ref.name),
            _build_point(at, node, entry.cpu, entry.memory, entry.network, entry.storage),
        )
        for entry in summary.pods or ()
        # A pod that just started has no CPU yet; it is measured in the next round.
        if entry.cpu is not None and entry.cpu.usage_nano_cores is not None
    ]
    stats = summary.node
    point = _build_point(at, node, stats.cpu, stats.memory, stats.network, stats.fs)
    return Reading(pods, [(NodeKey(cluster, node), point)])


def decode_metrics(
    nodes: bytes, pods: bytes, cluster: str, node_of: Callable[[PodKey], str | None], at: ReadAt
) -> Reading:
    """All nodes and pods, from the lists of `metrics.k8s.io`; `node_of` says where a pod is. Raises ValueError."""
    node_points = [
        (
            NodeKey(cluster, entry.metadata.name),
            _sum_point(at.measured_ns(entry.timestamp), entry.metadata.name, [entry.usage]),
        )
        for entry in _decode(nodes, _MetricsList).items
    ]
    pod_points = []
    for entry in _decode(pods, _MetricsList).items:
        key = PodKey(cluster, entry.metadata.namespace, entry.metadata.name)
        usages = [container.usage for container in entry.containers or ()]
        pod_points.append((key, _sum_point(at.measured_ns(entry.timestamp), node_of(key), usages)))
    return Reading(pod_points, node_points)


def _decode(body: bytes, kind: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=kind)
    except UNREADABLE as error:
        raise ValueError(f"not what the Kubernetes API promises: {error}") from error


def _build_point(
    at: ReadAt,
    node: str,
    cpu: _Stats | None,
    memory: _Stats | None,
    network: _Stats | None,
    storage: _Stats | None,
) -> Point:
    memory, network, storage = memory or _NOTHING, network or _NOTHING, storage or _NOTHING
    nanos = _bounded(cpu.usage_nano_cores) if cpu is not None else None
    return Point(
        time_ns=at.measured_ns((cpu or memory).time),
        cpu_cores=None if nanos is None else nanos / NANOSECONDS,
        memory_bytes=_bounded(memory.working_set_bytes),
        memory_usage_bytes=_bounded(memory.usage_bytes),
        memory_available_bytes=_bounded(memory.available_bytes),
        fs_used_bytes=_bounded(storage.used_bytes),
        fs_capacity_bytes=_bounded(storage.capacity_bytes),
        fs_available_bytes=_bounded(storage.available_bytes),
        network_receive_bytes=_bounded(network.rx_bytes),
        network_transmit_bytes=_bounded(network.tx_bytes),
        node=node,
    )


def _bounded(amount: int | None) -> int | None:
    # Kubelets count in 64 bits without a sign; a file keeps 63, and no real amount is there.
    return amount if amount is not None and 0 <= amount <= _MOST else None


def _sum_point(time_ns: int, node: str | None, usages: Sequence[_Amounts]) -> Point:
    cpu = [parse_cores(usage.cpu) for usage in usages if usage.cpu is not None]
    memory = [parse_bytes(usage.memory) for usage in usages if usage.memory is not None]
    return Point(
        time_ns=time_ns,
        cpu_cores=sum(cpu) if cpu else None,
        memory_bytes=_bounded(sum(memory)) if memory else None,
        node=node,
    )
