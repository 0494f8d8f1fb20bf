"""What the pods that really run on a member are said to use, and its nodes: for whoever delivers or shows it."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeVar

import msgspec

from realfleet.apiserver import ApiServer
from realfleet.client import KubeClient, KubeError
from realfleet.quantities import parse_bytes
from realfleet.usage import Amounts, node_amounts, pod_amounts


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


class PodReading(NamedTuple):
    """One pod at one time."""

    namespace: str
    name: str
    node: str
    amounts: Amounts


class Running(NamedTuple):
    """What a member runs now. `since` (Unix seconds) is when counters began."""

    cluster: str
    pods: Sequence[_Pod]
    nodes: Sequence[_Node]
    since: float

    def measure(self, seconds: float) -> tuple[list[PodReading], list[tuple[str, Amounts]]]:
        """A reading of each pod, and of each node by its name, at a Unix time."""
        storage = {
            node.metadata.name: parse_bytes(node.status.capacity.get("ephemeral-storage", "0")) for node in self.nodes
        }
        by_node: dict[str, list[Amounts]] = defaultdict(list)
        pods = []
        for pod in self.pods:
            namespace, name, node = pod.metadata.namespace, pod.metadata.name, pod.spec.node_name
            seed = f"{self.cluster}/{namespace}/{name}"
            amounts = pod_amounts(seed, pod.memory_limit(), storage.get(node, 0), seconds, self.since)
            by_node[node].append(amounts)
            pods.append(PodReading(namespace, name, node, amounts))
        nodes = []
        for entry in self.nodes:
            name = entry.metadata.name
            memory = parse_bytes(entry.status.capacity.get("memory", "0"))
            nodes.append((name, node_amounts(by_node[name], memory, storage[name])))
        return pods, nodes


class Readings:
    """Asks one member what it runs."""

    def __init__(self, api: ApiServer, since: float) -> None:
        self.cluster = api.cluster
        # A member that hangs costs its own deliveries, and who delivers must still end in time.
        self._client = KubeClient(api.url, api.files.ca, api.tokens.admin, timeout=5.0)
        self._since = since

    def load(self) -> Running:
        """Raises KubeError."""
        # Lists from the watch cache: nothing is asked of etcd.
        pods: Iterable[_Pod] = self._list("/api/v1/pods?resourceVersion=0", _PODS).items
        nodes = self._list("/api/v1/nodes?resourceVersion=0", _NODES).items
        running = [pod for pod in pods if pod.status.phase == "Running" and not pod.metadata.deletion_timestamp]
        return Running(self.cluster, running, nodes, self._since)

    def _list(self, path: str, decoder: msgspec.json.Decoder[_Listed]) -> _Listed:
        status, body = self._client.read("GET", path)
        if status != 200:
            raise KubeError(status, f"GET {path}: {status}")
        return decoder.decode(body)
