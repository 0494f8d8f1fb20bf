"""The server in front of a real fleet, once with its InfluxDB 1.x and once with a 2.7 that holds the same points."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import NANOSECONDS
from realfleet.fleet import Fleet
from realfleet.influx2 import Influx2
from rest_compat.times import format_time
from tests.fleet.metrics.stores import node_line, pod_line
from tests.processes import RunningServer, free_port, open_server
from tests.rest_compat.serving import open_client

pytestmark = pytest.mark.real

HISTORY = """query ($start: DateTime!, $end: DateTime!) {
  pods(filter: {clusters: ["cluster1"]}, first: 100) {
    totalCount
    items {
      name
      placements(start: $start, end: $end) { nodeName since until }
      history(start: $start, end: $end, step: "5m") {
        times cpuCores p95: memoryBytes(aggregate: P95) last: fsUsedBytes(aggregate: LAST) networkReceiveBytesPerSecond
      }
    }
  }
}"""


def copy_points(fleet: Fleet, influx2: Influx2, bucket: str) -> None:
    """Everything the fleet's collectors have written so far."""
    lines: list[str] = []
    for measurement in ("Pods", "Nodes"):
        for series in fleet.influx.query(f'SELECT * FROM "{measurement}" GROUP BY *'):  # noqa: S608 - a constant
            tags = series["tags"]
            for time_ns, *values in series["values"]:
                named = zip(series["columns"][1:], values, strict=True)
                cells = {name: f'"{value}"' for name, value in named if value is not None}
                if measurement == "Pods":
                    key = PodKey(tags["cluster"], tags["namespace"], tags["pod"])
                    lines.append(pod_line(key, cells, time_ns, tags["node"]))
                else:
                    lines.append(node_line(NodeKey(tags["cluster"], tags["node"]), cells, time_ns))
    influx2.write(bucket, "\n".join(lines))


@pytest.fixture(scope="module")
async def servers(
    real_fleet: Fleet, real_influx2: Influx2, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[tuple[RunningServer, RunningServer]]:
    folder: Path = tmp_path_factory.mktemp("served")
    bucket = real_influx2.create_bucket("served")
    await asyncio.to_thread(copy_points, real_fleet, real_influx2, "served")
    flux = {
        "OPENMCP_METRIC_STORE": "flux",
        "OPENMCP_INFLUX_URL": real_influx2.url,
        "OPENMCP_INFLUX_ORG": real_influx2.org,
        "OPENMCP_INFLUX_BUCKET": "served",
        "OPENMCP_INFLUX_TOKEN": real_influx2.create_token(bucket),
    }
    async with AsyncExitStack() as stack:
        opened = []
        for name, changes in (("influxql", {}), ("flux", flux)):
            port = free_port()
            ports = {"OPENMCP_HOST": "127.0.0.1", "OPENMCP_PORT": str(port), "OPENMCP_OPS_PORT": str(free_port())}
            environment = real_fleet.environment() | ports | changes
            log = folder / f"{name}.log"
            server = open_server("serve", environment=environment, port=port, log=log)
            opened.append(await stack.enter_async_context(server))
        yield opened[0], opened[1]
    real_influx2.delete_bucket(bucket)


async def test_the_graph_answers_the_same_history(servers: tuple[RunningServer, RunningServer]) -> None:
    end = time.time_ns() // NANOSECONDS * NANOSECONDS - 600 * NANOSECONDS
    span = {"start": format_time(end - 2400 * NANOSECONDS), "end": format_time(end)}
    answers = [await server.ask(await server.sign_in(), HISTORY, span) for server in servers]
    assert answers[0] == answers[1]
    assert "errors" not in answers[0]
    text = str(answers[0])
    assert "'cpuCores': [0." in text
    assert "'nodeName': 'kube1-worker" in text


async def test_legacy_answers_are_the_same(servers: tuple[RunningServer, RunningServer]) -> None:
    end = time.strftime("%Y-%m-%d_%H:%M:%S", time.gmtime(time.time() - 600))
    bodies = []
    for server in servers:
        async with open_client(server.url, await server.sign_in()) as client:
            answer = await client.ask("GET", f"/metrics/nodes/kube1-worker1?clustername=cluster1&timeEnd={end}")
            bodies.append(answer.body)
    assert bodies[0] == bodies[1]
    assert bodies[0].count(b'"time"') >= 40
