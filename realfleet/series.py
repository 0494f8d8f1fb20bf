"""Points as the series that a Prometheus of a fleet has of them: scraped, or recorded by rules."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TypeVar

from fleet.metrics.recorded import recorded_name
from fleet.metrics.remote_write.encode import Labels as SeriesLabels
from fleet.metrics.remote_write.encode import Series
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import NANOSECONDS, Kind, Measure, Point
from realfleet.cadvisor import Figures, Labels, Row, node_rows, pod_info, pod_rows, resource_rows

Key = TypeVar("Key", PodKey, NodeKey)
Sample = tuple[float, int]
_MILLISECOND = 1_000_000


def build_scraped(
    pods: Iterable[tuple[PodKey, Point]] = (),
    nodes: Iterable[tuple[NodeKey, Point]] = (),
    *,
    cluster: str = "{cluster}",
    label: str = "cluster",
    before: float = 10.0,
    resource: bool = False,
) -> list[Series]:
    """What cAdvisor, node-exporter and kube-state-metrics have of the points at their times.

    CPU is a counter that grows so that its rate since the sample before is the point's; a first sample of it alone is
    `before` seconds (0: none) older than the first point of an object on a node. `cluster` is the template of the
    label's value. A point's `fs_available_bytes` of a pod has no series. With
    `resource` kubelets are scraped at `/metrics/resource` too.
    """
    collected: dict[SeriesLabels, list[Sample]] = defaultdict(list)

    def add(cluster_name: str, rows: Iterable[Row], time_ns: int) -> None:
        value = cluster.replace("{cluster}", cluster_name)
        for name, labels, amount in rows:
            named = {"__name__": name, label: value} | labels
            collected[tuple(sorted(named.items()))].append((float(amount), time_ns // _MILLISECOND))

    for (pod, node), points in _group((key, point, point.node or "n1") for key, point in pods).items():
        for index, (time_ns, figures) in enumerate(_count(points, before)):
            add(pod.cluster, pod_rows(pod.namespace, pod.name, node, figures), time_ns)
            if resource:
                add(pod.cluster, resource_rows(pod.namespace, pod.name, node, figures), time_ns)
            if index > 0 or not before:
                add(pod.cluster, [pod_info(pod.namespace, pod.name, node)], time_ns)
    for (key, _), points in _group((key, point, "") for key, point in nodes).items():
        for time_ns, figures in _count(points, before):
            add(key.cluster, node_rows(key.name, figures), time_ns)
    return _sorted(collected)


def build_recorded(
    pods: Iterable[tuple[PodKey, Point]] = (),
    nodes: Iterable[tuple[NodeKey, Point]] = (),
    *,
    cluster: str = "{cluster}",
    label: str = "cluster",
) -> list[Series]:
    """What recording rules, and the server's own collector, make of the same."""
    collected: dict[SeriesLabels, list[Sample]] = defaultdict(list)

    def add(kind: Kind, labels: Labels, point: Point) -> None:
        for measure in Measure:
            if (value := getattr(point, measure.value)) is not None:
                named = labels | {"__name__": recorded_name(kind, measure)}
                collected[tuple(sorted(named.items()))].append((float(value), point.time_ns // _MILLISECOND))

    for pod, point in pods:
        names = {label: cluster.replace("{cluster}", pod.cluster), "namespace": pod.namespace, "pod": pod.name}
        add(Kind.POD, names | {"node": point.node or "n1"}, point)
    for node, point in nodes:
        add(Kind.NODE, {label: cluster.replace("{cluster}", node.cluster), "node": node.name}, point)
    return _sorted(collected)


def _sorted(collected: Mapping[SeriesLabels, list[Sample]]) -> list[Series]:
    return [(labels, sorted(samples, key=lambda sample: sample[1])) for labels, samples in collected.items()]


def _group(points: Iterable[tuple[Key, Point, str]]) -> dict[tuple[Key, str], list[Point]]:
    """By object and node, oldest first; of two points of the same time the later one given counts."""
    found: dict[tuple[Key, str], dict[int, Point]] = defaultdict(dict)
    for key, point, node in points:
        found[key, node][point.time_ns] = point
    return {key: [there[time_ns] for time_ns in sorted(there)] for key, there in found.items()}


def _count(points: list[Point], before: float) -> Iterator[tuple[int, Figures]]:
    """The points with CPU as seconds so far, a first sample of it before them."""
    seconds = 1000.0
    last = points[0].time_ns - int(before * NANOSECONDS)
    if before:
        yield last, Figures(cpu_seconds=seconds)
    for point in points:
        if point.cpu_cores is not None:
            seconds += point.cpu_cores * (point.time_ns - last) / NANOSECONDS
            last = point.time_ns
        yield (
            point.time_ns,
            Figures(
                cpu_seconds=None if point.cpu_cores is None else seconds,
                memory_working_set=point.memory_bytes,
                memory_usage=point.memory_usage_bytes,
                memory_available=point.memory_available_bytes,
                fs_used=point.fs_used_bytes,
                fs_capacity=point.fs_capacity_bytes,
                fs_available=point.fs_available_bytes,
                network_received=point.network_receive_bytes,
                network_sent=point.network_transmit_bytes,
            ),
        )
