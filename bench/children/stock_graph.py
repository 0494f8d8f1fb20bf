"""The anchor of pages: Strawberry with its own FastAPI router, serving records from a file.

`python -m bench.children.stock_graph FILE PORT`; FILE holds a JSON list of pods with the fields of `PodRow`. Written
the way Strawberry's documentation does it: types, a resolver that makes pods, a DataLoader for their usage, the stock
router. What pods share or hold (cluster, node, labels) is made once for all requests.
"""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any, NewType

import msgspec
import strawberry
import uvicorn
from fastapi import FastAPI
from strawberry.dataloader import DataLoader
from strawberry.fastapi import GraphQLRouter
from strawberry.schema.config import StrawberryConfig


@strawberry.enum
class PodPhase(Enum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


DateTime = NewType("DateTime", datetime)
BigInt = NewType("BigInt", int)


@strawberry.type
class Cluster:
    name: str


@strawberry.type
class Node:
    name: str
    zone: str | None


@strawberry.type
class Label:
    key: str
    value: str


@dataclass(frozen=True)
class UsageRow:
    cpuCores: float | None  # noqa: N815 - read from the graph's own answer
    memoryBytes: int | None  # noqa: N815


@dataclass(frozen=True)
class PodRow:
    """A record as it lies in memory. The names are the graph's."""

    id: str
    namespace: str
    name: str
    uid: str
    phase: PodPhase
    status: str
    ready: str
    restarts: int
    createdAt: datetime  # noqa: N815
    nodeName: str | None  # noqa: N815
    podIP: str | None  # noqa: N815
    hostIP: str | None  # noqa: N815
    qosClass: str | None  # noqa: N815
    cluster: Cluster
    node: Node | None
    labels: list[Label]
    usage: UsageRow | None


@strawberry.type
class Usage:
    cpu_cores: float | None
    memory_bytes: BigInt | None

    @classmethod
    def from_row(cls, row: UsageRow | None) -> "Usage | None":
        if row is None:
            return None
        return cls(cpu_cores=row.cpuCores, memory_bytes=None if row.memoryBytes is None else BigInt(row.memoryBytes))


@strawberry.type
class Pod:
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
    cluster: Cluster
    node: Node | None
    labels: list[Label]

    @strawberry.field
    async def usage(self, info: strawberry.Info[dict[str, Any], None]) -> Usage | None:
        loader: DataLoader[str, Usage | None] = info.context["usage"]
        return await loader.load(self.id)

    @classmethod
    def from_row(cls, row: PodRow) -> "Pod":
        return cls(
            id=strawberry.ID(row.id),
            namespace=row.namespace,
            name=row.name,
            uid=row.uid,
            phase=row.phase,
            status=row.status,
            ready=row.ready,
            restarts=row.restarts,
            created_at=DateTime(row.createdAt),
            node_name=row.nodeName,
            pod_ip=row.podIP,
            host_ip=row.hostIP,
            qos_class=row.qosClass,
            cluster=row.cluster,
            node=row.node,
            labels=row.labels,
        )


@strawberry.input
class PodFilter:
    phases: list[PodPhase]


@strawberry.type
class PodConnection:
    items: list[Pod]


def build_app(rows: list[PodRow]) -> FastAPI:
    """The application over these records."""
    by_id = {row.id: row for row in rows}
    by_name = {(row.cluster.name, row.namespace, row.name): row for row in rows}

    @strawberry.type
    class Query:
        @strawberry.field
        def pod(self, cluster: str, namespace: str, name: str) -> Pod:
            return Pod.from_row(by_name[cluster, namespace, name])

        @strawberry.field
        def pods(self, first: int = 100, filter: PodFilter | None = None) -> PodConnection:  # noqa: A002 - the graph's
            found = rows if filter is None else [row for row in rows if row.phase in filter.phases]
            return PodConnection(items=[Pod.from_row(row) for row in found[:first]])

    async def load_usage(ids: list[str]) -> list[Usage | None]:
        return [Usage.from_row(by_id[each].usage) for each in ids]

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


def load_rows(path: Path) -> list[PodRow]:
    """The records of a file."""
    rows = msgspec.json.decode(path.read_bytes(), type=list[PodRow])
    assert all(row.createdAt.tzinfo == UTC for row in rows)
    return rows


if __name__ == "__main__":
    uvicorn.run(
        build_app(load_rows(Path(sys.argv[1]))),
        host="127.0.0.1",
        port=int(sys.argv[2]),
        http="httptools",
        access_log=False,
        log_level="error",
    )
