"""The least server in front of the embedded store's file: one SELECT an answer, in the graph's JSON, and no more.

`python -m bench.sql_endpoint FILE CLUSTER PORT`. It knows no user, no pod that has no point, and no other question.
"""

import sqlite3
import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import orjson
import uvicorn

from fleet.metrics.embedded.layout import KIND_NUMBERS
from fleet.model.usage import NANOSECONDS, Kind
from graph.scalars import format_date_time

NEWEST = (
    "SELECT series.namespace, series.name, points.time_ns, cpu_cores, memory_bytes FROM series "
    "CROSS JOIN points WHERE series.kind = ? AND series.cluster = ? AND points.series_id = series.id "
    "AND points.time_ns = (SELECT max(time_ns) FROM points WHERE series_id = series.id)"
)
"""The newest point of each pod of a cluster. Its parameters are `parameters_of` the cluster."""

Message = MutableMapping[str, Any]


def parameters_of(cluster: str) -> tuple[int, str]:
    """What `NEWEST` is asked with."""
    return KIND_NUMBERS[Kind.POD], cluster


def build_app(
    connection: sqlite3.Connection, cluster: str
) -> Callable[[Message, Callable[[], Awaitable[Message]], Callable[[Message], Awaitable[None]]], Awaitable[None]]:
    """An ASGI application that answers every request with the newest usage of the cluster's pods."""

    async def app(
        _: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        while (await receive()).get("more_body"):
            pass
        body = orjson.dumps({"data": {"pods": {"items": _items(connection, cluster)}}})
        length = str(len(body)).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", length)]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


def _items(connection: sqlite3.Connection, cluster: str) -> list[dict[str, Any]]:
    return [
        {
            "namespace": namespace,
            "name": name,
            "usage": {"time": format_date_time(time_ns / NANOSECONDS), "cpuCores": cpu, "memoryBytes": memory},
        }
        for namespace, name, time_ns, cpu, memory in connection.execute(NEWEST, parameters_of(cluster))
    ]


def main() -> None:
    path, cluster, port = sys.argv[1:]
    app = build_app(sqlite3.connect(path), cluster)
    uvicorn.run(app, host="127.0.0.1", port=int(port), lifespan="off", log_level="error", access_log=False)


if __name__ == "__main__":
    main()
