"""The platform's metric collectors: they read the pods that really run and write them to InfluxDB as the platform does.

Measurements `Pods` (tags cluster, node, pod, namespace) and `Nodes` (tags cluster, node), ten string fields each, one
nanosecond time for everything a member delivers at once.
"""

import threading
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TypeVar

import msgspec

from realfleet.apiserver import ApiServer
from realfleet.client import KubeClient, KubeError
from realfleet.influx import Influx, InfluxError
from realfleet.quantities import parse_bytes
from realfleet.usage import Amounts, format_latency, node_amounts, pod_amounts

_BATCH = 5000  # points a write, as InfluxDB advises
_BACKFILL_STEP = 60
_BACKFILL_SECONDS = 3600
# Counters began before the oldest point that is written.
_COUNTED_BEFORE = 7200


class _Metadata(msgspec.Struct, rename="camel"):
    name: str
    namespace: str = ""
    deletion_timestamp: str | None = None


class _Resources(msgspec.Struct):
    limits: dict[str, str] = {}


class _Container(msgspec.Struct):
    resources: _Resources = msgspec.field(default_factory=_Resources)


class _PodSpec(msgspec.Struct, rename="camel"):
    containers: list[_Container]
    node_name: str = ""


class _PodStatus(msgspec.Struct):
    phase: str = ""


class _Pod(msgspec.Struct):
    metadata: _Metadata
    spec: _PodSpec
    status: _PodStatus

    def memory_limit(self) -> int:
        """In bytes; 0 where a container names none."""
        limits = [container.resources.limits.get("memory") for container in self.spec.containers]
        return sum(parse_bytes(limit) for limit in limits if limit) if all(limits) else 0


class _NodeStatus(msgspec.Struct):
    capacity: dict[str, str] = {}


class _Node(msgspec.Struct):
    metadata: _Metadata
    status: _NodeStatus


class _Pods(msgspec.Struct):
    items: list[_Pod]


class _Nodes(msgspec.Struct):
    items: list[_Node]


# Made before there are threads: two that look at a type for the first time crash the interpreter.
_PODS, _NODES = msgspec.json.Decoder(_Pods), msgspec.json.Decoder(_Nodes)
_Listed = TypeVar("_Listed", _Pods, _Nodes)


class Collector:
    """One member's collector. Made and run by `open_collectors`."""

    def __init__(self, api: ApiServer, influx: Influx, cadence: float) -> None:
        self.cluster = api.cluster
        # A member that hangs costs its own deliveries, and its collector must still end in time.
        self._client = KubeClient(api.url, api.files.ca, api.tokens.admin, timeout=5.0)
        self._influx = influx
        self._cadence = cadence
        self._since = time.time() - _COUNTED_BEFORE
        self.delivered = threading.Event()

    def run(self, closing: threading.Event) -> None:
        """Delivers every cadence until told to end."""
        filled = False
        due = time.monotonic()
        while not closing.wait(max(0.0, due - time.monotonic())):
            due = time.monotonic() + self._cadence
            try:
                if not filled:
                    self._fill_past()
                    filled = True
                self._deliver([time.time_ns()])
                self.delivered.set()
            except (KubeError, InfluxError):
                # As on the platform: a cycle that fails is left out, and the next one tries again.
                continue

    def _fill_past(self) -> None:
        """A point a minute of the last hour, for what runs now."""
        now = time.time_ns()
        steps = range(_BACKFILL_SECONDS, 0, -_BACKFILL_STEP)
        self._deliver([now - seconds * 10**9 for seconds in steps])

    def _deliver(self, times: Sequence[int]) -> None:
        # A list from the watch cache: nothing is asked of etcd.
        pods = self._list("/api/v1/pods?resourceVersion=0", _PODS).items
        nodes = self._list("/api/v1/nodes?resourceVersion=0", _NODES).items
        running = [pod for pod in pods if pod.status.phase == "Running" and not pod.metadata.deletion_timestamp]
        batch: list[str] = []
        for moment in times:
            batch.extend(self._build_lines(running, nodes, moment))
            if len(batch) >= _BATCH:
                self._influx.write("\n".join(batch))
                batch.clear()
        if batch:
            self._influx.write("\n".join(batch))

    def _list(self, path: str, decoder: msgspec.json.Decoder[_Listed]) -> _Listed:
        status, body = self._client.read("GET", path)
        if status != 200:
            raise KubeError(status, f"GET {path}: {status}")
        return decoder.decode(body)

    def _build_lines(self, pods: list[_Pod], nodes: list[_Node], moment: int) -> Iterator[str]:
        seconds = moment / 1e9
        latency = format_latency(self.cluster, seconds)
        storage = {
            node.metadata.name: parse_bytes(node.status.capacity.get("ephemeral-storage", "0")) for node in nodes
        }
        by_node: dict[str, list[Amounts]] = defaultdict(list)
        for pod in pods:
            namespace, name, node = pod.metadata.namespace, pod.metadata.name, pod.spec.node_name
            seed = f"{self.cluster}/{namespace}/{name}"
            amounts = pod_amounts(seed, pod.memory_limit(), storage.get(node, 0), seconds, self._since)
            by_node[node].append(amounts)
            tags = f"cluster={self.cluster},namespace={namespace},node={node},pod={name}"
            yield f"Pods,{tags} {amounts.as_fields(latency)} {moment}"
        for entry in nodes:
            node = entry.metadata.name
            memory = parse_bytes(entry.status.capacity.get("memory", "0"))
            fields = node_amounts(by_node[node], memory, storage[node]).as_fields(latency)
            yield f"Nodes,cluster={self.cluster},node={node} {fields} {moment}"


@contextmanager
def open_collectors(apis: Sequence[ApiServer], influx: Influx, cadence: float) -> Iterator[list[Collector]]:
    """Runs a collector a member until left. `delivered` is set once the past hour and a first reading are in."""
    closing = threading.Event()
    collectors = [Collector(api, influx, cadence) for api in apis]
    threads = [
        threading.Thread(target=collector.run, args=(closing,), name=f"collector-{collector.cluster}", daemon=True)
        for collector in collectors
    ]
    for thread in threads:
        thread.start()
    try:
        yield collectors
    finally:
        closing.set()
        for thread in threads:
            thread.join()
