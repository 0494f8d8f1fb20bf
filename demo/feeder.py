"""Writes usage for whatever runs in the simulated fleet, as the platform's collector does for a real one."""

import asyncio
import time
from collections import defaultdict
from collections.abc import Callable, Iterator

from msgspec import Struct

from demo.simulator.usage import build_node_point, build_pod_point
from fleet.federation import Federation
from fleet.model.kinds import NODES, PODS
from fleet.model.objects import Node, NodeKey, OnUnavailable, Pod, PodKey, PodPhase
from fleet.model.queries import NodeFilter, PageRequest, PodFilter
from fleet.model.usage import NANOSECONDS, Point
from fleet.model.visibility import EVERYTHING
from fleet.ports import PointStore

HISTORY_SECONDS = 3600
INTERVAL_SECONDS = 5
_SPACING_SECONDS = 10
_MOST_POINTS = 150_000
_POINTS_A_SECOND = 4_000
_BATCH = 4_000


class Delivery(Struct, frozen=True):
    """Points of one moment, as a collector delivers them."""

    pods: list[tuple[PodKey, Point]]
    nodes: list[tuple[NodeKey, Point]]

    @property
    def size(self) -> int:
        return len(self.pods) + len(self.nodes)


class Feeder:
    """Feeds a store with the usage of the pods and nodes that a federation shows. `clock` in Unix nanoseconds.

    What is seen for the first time gets its past too: the last hour, or since it was created. So a member that comes
    back, or is joined, has its history as the others do.
    """

    def __init__(self, federation: Federation, store: PointStore, clock: Callable[[], int] = time.time_ns) -> None:
        self._federation = federation
        self._store = store
        self._clock = clock
        self._known: set[str] = set()
        self._began, self._written = 0.0, 0

    async def run(self) -> None:
        """Feeds for ever, every five seconds, and less often where there are more pods than one process can feed."""
        while True:
            interval = max(INTERVAL_SECONDS, self._written / _POINTS_A_SECOND)
            await asyncio.sleep(max(interval - (time.monotonic() - self._began), 0.5))
            await self.feed(await self.load_running())

    async def feed(self, running: tuple[list[Pod], list[Node]]) -> None:
        """One round: the past of what is new, and a point for everything now. Raises MetricsUnavailable."""
        self._began = time.monotonic()
        pods, nodes = running
        now = self._clock()
        new_pods = [pod for pod in pods if pod.uid not in self._known]
        new_nodes = [node for node in nodes if node.uid not in self._known]
        spacing = choose_spacing(len(new_pods) + len(new_nodes))
        await self._write_all(build_past(new_pods, new_nodes, now, spacing))
        self._known = {pod.uid for pod in pods} | {node.uid for node in nodes}
        current = await asyncio.to_thread(build_delivery, pods, nodes, now)
        await self._store.write(current.pods, current.nodes)
        self._written = current.size

    async def load_running(self) -> tuple[list[Pod], list[Node]]:
        """What runs now, of the members that answer."""
        one = PageRequest(first=1)
        pods = await self._federation.list_page(PODS, EVERYTHING, PodFilter(), (), one, OnUnavailable.PARTIAL)
        nodes = await self._federation.list_page(NODES, EVERYTHING, NodeFilter(), (), one, OnUnavailable.PARTIAL)
        running = [pod for pod in pods.matched if pod.phase is PodPhase.RUNNING and pod.node_name]
        return running, list(nodes.matched)

    async def _write_all(self, deliveries: Iterator[Delivery]) -> None:
        """Writes in batches, each made in a thread, so that requests are answered meanwhile."""
        while batch := await asyncio.to_thread(_take_batch, deliveries):
            pods = [point for delivery in batch for point in delivery.pods]
            nodes = [point for delivery in batch for point in delivery.nodes]
            await self._store.write(pods, nodes)


def choose_spacing(objects: int) -> int:
    """Seconds between two points of the past, so that it is written in seconds however many objects there are."""
    return max(_SPACING_SECONDS, -(-HISTORY_SECONDS * objects // _MOST_POINTS))


def build_past(pods: list[Pod], nodes: list[Node], now_ns: int, spacing: int) -> Iterator[Delivery]:
    """Deliveries of the last hour, oldest first. Times are multiples of `spacing` seconds."""
    if not pods and not nodes:
        return
    last = now_ns // NANOSECONDS // spacing * spacing
    for seconds in range(last - HISTORY_SECONDS, last + 1, spacing):
        alive = [pod for pod in pods if pod.created_at <= seconds]
        if alive or nodes:
            yield build_delivery(alive, nodes, seconds * NANOSECONDS)


def build_delivery(pods: list[Pod], nodes: list[Node], time_ns: int) -> Delivery:
    """A point of each pod, and of each node with its pods in it."""
    on_node: dict[NodeKey, list[Point]] = defaultdict(list)
    points: list[tuple[PodKey, Point]] = []
    for pod in pods:
        point = build_pod_point(pod.key, time_ns, limits=pod.limits, requests=pod.requests, node=pod.node_name)
        points.append((pod.key, point))
        if pod.node_name:
            on_node[NodeKey(pod.cluster, pod.node_name)].append(point)
    of_nodes = [
        (node.key, build_node_point(node.key, time_ns, capacity=node.capacity, pods=on_node[node.key]))
        for node in nodes
    ]
    return Delivery(points, of_nodes)


def _take_batch(deliveries: Iterator[Delivery]) -> list[Delivery]:
    batch: list[Delivery] = []
    size = 0
    while size < _BATCH and (delivery := next(deliveries, None)) is not None:
        batch.append(delivery)
        size += delivery.size
    return batch
