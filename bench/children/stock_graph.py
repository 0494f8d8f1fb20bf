"""The anchor of pages: Strawberry with its own FastAPI router, serving records from a file.

`python -m bench.children.stock_graph FILE PORT`; FILE holds a JSON list of pods with the fields of `PodRow`. Written
the way Strawberry's documentation does it: a type, a resolver that makes its instances, the stock router.
"""

import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import NewType

import msgspec
import strawberry
import uvicorn
from fastapi import FastAPI
from strawberry.fastapi import GraphQLRouter
from strawberry.schema.config import StrawberryConfig


class PodPhase(Enum):
    PENDING = "PENDING"
    RUNNING = "RUNNING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    UNKNOWN = "UNKNOWN"


DateTime = NewType("DateTime", datetime)


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
    createdAt: datetime  # noqa: N815 - read from the graph's own answer
    nodeName: str | None  # noqa: N815
    podIP: str | None  # noqa: N815
    hostIP: str | None  # noqa: N815
    qosClass: str | None  # noqa: N815


@strawberry.type
class Pod:
    id: strawberry.ID
    namespace: str
    name: str
    uid: str
    phase: strawberry.enum(PodPhase)  # type: ignore[valid-type]  # Strawberry's own way to name an enum
    status: str
    ready: str
    restarts: int
    created_at: DateTime
    node_name: str | None
    pod_ip: str | None = strawberry.field(name="podIP")
    host_ip: str | None = strawberry.field(name="hostIP")
    qos_class: str | None

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
        )


@strawberry.type
class PodConnection:
    items: list[Pod]


def build_app(rows: list[PodRow]) -> FastAPI:
    """The application over these records."""
    by_name = {(row.namespace, row.name): row for row in rows}

    @strawberry.type
    class Query:
        @strawberry.field
        def pod(self, cluster: str, namespace: str, name: str) -> Pod:
            return Pod.from_row(by_name[namespace, name])

        @strawberry.field
        def pods(self, first: int = 100) -> PodConnection:
            return PodConnection(items=[Pod.from_row(row) for row in rows[:first]])

    written = strawberry.scalar(
        name="DateTime",
        serialize=lambda moment: moment.isoformat().replace("+00:00", "Z"),
        parse_value=datetime.fromisoformat,
    )
    schema = strawberry.Schema(query=Query, config=StrawberryConfig(scalar_map={DateTime: written}))
    app = FastAPI()
    app.include_router(GraphQLRouter(schema), prefix="/graphql")
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
