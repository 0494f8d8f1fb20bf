"""The anchor of pages: Strawberry with its own FastAPI router, serving records from a file.

`python -m bench.children.stock_graph FILE PORT`; FILE holds the JSON of `Records`. Written the way Strawberry's
documentation does it: types, their instances in memory, a DataLoader for the usage of pods, the stock router.
"""

import sys
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum, StrEnum
from pathlib import Path
from typing import Any, NewType

import msgspec
import strawberry
import uvicorn
from fastapi import FastAPI
from strawberry.dataloader import DataLoader
from strawberry.fastapi import GraphQLRouter
from strawberry.schema.config import StrawberryConfig

Info = strawberry.Info[dict[str, Any], None]
DateTime = NewType("DateTime", datetime)
BigInt = NewType("BigInt", int)


@strawberry.enum
class PodPhase(StrEnum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


@strawberry.enum
class PodGroup(Enum):
    """What pods are counted by; the value is the attribute."""

    PHASE = "phase"
    NAMESPACE = "namespace"
    NODE = "node_name"
    STATUS = "status"


@strawberry.type
class Named:
    name: str


@strawberry.type
class Label:
    key: str
    value: str


@strawberry.type
class Resources:
    cpu_cores: float | None
    memory_bytes: BigInt | None
    pods: int | None


@strawberry.type
class Usage:
    time: DateTime
    cpu_cores: float | None
    memory_bytes: BigInt | None
    fs_used_bytes: BigInt | None
    fs_capacity_bytes: BigInt | None
    network_receive_bytes_per_second: float | None


@strawberry.type
class Count:
    key: str
    count: int


@strawberry.type
class Namespace:
    name: str
    status: str


@strawberry.type
class PodFields:
    id: strawberry.ID
    namespace: str
    name: str
    uid: str
    phase: PodPhase
    status: str
    ready: str
    restarts: int
    created_at: DateTime
    node_name: str | None
    pod_ip: str | None = strawberry.field(name="podIP")
    host_ip: str | None = strawberry.field(name="hostIP")
    qos_class: str | None
    labels: list[Label]
    place: strawberry.Private[Named]
    measured: strawberry.Private[Usage | None]


@strawberry.type
class NodeFields:
    name: str
    ready: bool
    status: str
    roles: list[str]
    region: str | None
    zone: str | None
    kubelet_version: str
    os_image: str | None
    internal_ip: str | None = strawberry.field(name="internalIP")
    labels: list[Label]
    capacity: Resources
    allocatable: Resources
    usage: Usage | None
    place: strawberry.Private[Named]


@strawberry.type
class ClusterFields:
    name: str
    role: str
    health: str
    join_status: str | None
    platform: str | None
    region: str | None
    zones: list[str]
    version: str | None
    namespaces: list[Namespace] | None
    capacity: Resources | None
    usage: Usage | None


@strawberry.type
class Pod(PodFields):
    cluster: "Cluster"
    node: "Node | None"

    @strawberry.field
    async def usage(self, info: Info) -> Usage | None:
        loader: DataLoader[strawberry.ID, Usage | None] = info.context["usage"]
        return await loader.load(self.id)


@strawberry.type
class PodConnection:
    total_count: int
    items: list[Pod]

    @classmethod
    def of(cls, pods: list[Pod], first: int) -> "PodConnection":
        return cls(total_count=len(pods), items=pods[:first])


@strawberry.type
class Node(NodeFields):
    cluster: "Cluster"
    held: strawberry.Private[list[Pod]] = field(default_factory=list)

    @strawberry.field
    def pods(self, first: int = 100) -> PodConnection:
        return PodConnection.of(self.held, first)


@strawberry.type
class NodeConnection:
    total_count: int
    items: list[Node]


@strawberry.type
class Cluster(ClusterFields):
    held: strawberry.Private[list[Pod]] = field(default_factory=list)
    machines: strawberry.Private[list[Node]] = field(default_factory=list)

    @strawberry.field
    def pod_counts(self, by: PodGroup) -> list[Count]:
        counted = Counter(str(getattr(pod, by.value) or "") for pod in self.held)
        return [
            Count(key=key, count=count) for key, count in sorted(counted.items(), key=lambda one: (-one[1], one[0]))
        ]

    @strawberry.field
    def nodes(self, first: int = 100) -> NodeConnection:
        return NodeConnection(total_count=len(self.machines), items=self.machines[:first])


@strawberry.input
class PodFilter:
    phases: list[PodPhase]


@dataclass(frozen=True)
class Records:
    """What the file holds."""

    pods: list[PodFields]
    nodes: list[NodeFields]
    clusters: list[ClusterFields]


class Fleet:
    """All objects, made once; pods in the order of the file."""

    def __init__(self, records: Records) -> None:
        self.clusters = {each.name: Cluster(**vars(each)) for each in records.clusters}
        self.nodes: dict[tuple[str, str | None], Node] = {}
        self.pods: list[Pod] = []
        for each in records.nodes:
            cluster = self.clusters[each.place.name]
            self.nodes[cluster.name, each.name] = node = Node(**vars(each), cluster=cluster)
            cluster.machines.append(node)
        for record in records.pods:
            cluster, host = self.clusters[record.place.name], self.nodes.get((record.place.name, record.node_name))
            pod = Pod(**vars(record), cluster=cluster, node=host)
            for holder in (self.pods, cluster.held, host.held if host else []):
                holder.append(pod)


def build_app(fleet: Fleet) -> FastAPI:
    """The application over these objects."""
    usage = {pod.id: pod.measured for pod in fleet.pods}
    by_name = {(pod.place.name, pod.namespace, pod.name): pod for pod in fleet.pods}

    @strawberry.type
    class Query:
        @strawberry.field
        def pod(self, cluster: str, namespace: str, name: str) -> Pod:
            return by_name[cluster, namespace, name]

        @strawberry.field
        def pods(self, first: int = 100, filter: PodFilter | None = None) -> PodConnection:  # noqa: A002 - the graph's
            found = fleet.pods if filter is None else [pod for pod in fleet.pods if pod.phase in filter.phases]
            return PodConnection.of(found, first)

        @strawberry.field
        def nodes(self, first: int = 100) -> NodeConnection:
            return NodeConnection(total_count=len(fleet.nodes), items=list(fleet.nodes.values())[:first])

        @strawberry.field
        def clusters(self) -> list[Cluster]:
            return list(fleet.clusters.values())

    async def load_usage(ids: list[strawberry.ID]) -> list[Usage | None]:
        return [usage[each] for each in ids]

    async def get_context() -> dict[str, Any]:
        return {"usage": DataLoader(load_fn=load_usage)}

    written = strawberry.scalar(
        name="DateTime",
        serialize=lambda moment: moment.isoformat().replace("+00:00", "Z"),
        parse_value=datetime.fromisoformat,
    )
    large = strawberry.scalar(name="BigInt", serialize=int, parse_value=int)
    schema = strawberry.Schema(query=Query, config=StrawberryConfig(scalar_map={DateTime: written, BigInt: large}))
    app = FastAPI()
    app.include_router(GraphQLRouter(schema, context_getter=get_context), prefix="/graphql")
    return app


def load_records(path: Path) -> Records:
    """The records of a file."""
    records = msgspec.json.decode(path.read_bytes(), type=Records)
    assert all(pod.created_at.tzinfo == UTC for pod in records.pods)
    return records


if __name__ == "__main__":
    uvicorn.run(
        build_app(Fleet(load_records(Path(sys.argv[1])))),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        http="httptools",
        access_log=False,
        log_level="error",
    )
