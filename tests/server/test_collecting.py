"""A server that collects: newest usage from its memory, points in other servers, and what is said of these."""

import asyncio
import json
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from demo.metric_server import MetricServerKind
from demo.simulator import SimulatedFleet, open_simulated_fleet
from fleet.collector.outputs import Buffer, BufferOptions, Outputs
from realfleet.metric_server import MetricServer
from realfleet.nats import NatsServer
from server.collecting import check_workers
from server.health import Part, build_outputs_part
from server.settings.environment import SettingsInvalid, load_settings
from tests.fakes.waiting import PATIENCE, until
from tests.processes import COMMAND, RunningServer, free_port, open_server

USAGE = "{ pods(first: 100) { items { name cluster { name } usage { time cpuCores memoryBytes } } } }"
WRITTEN = 'count(namespace_pod:cpu_cores:sum{member="cluster1"})'
KEY = {"OPENMCP_SIGNING_KEY": "a key for the tests of collecting", "API_USER_NAME": "openmcp", "API_USER_PW": "keti"}


@dataclass(frozen=True)
class Collecting:
    server: RunningServer
    ops: str

    async def usage(self) -> dict[tuple[str, str], dict[str, Any]]:
        answer: Any = await self.server.ask(await self.server.sign_in(), USAGE)
        assert "errors" not in answer, answer
        items = answer["data"]["pods"]["items"]
        return {(item["cluster"]["name"], item["name"]): item["usage"] for item in items if item["usage"]}

    async def read(self, path: str) -> str:
        async with aiohttp.ClientSession() as session, session.get(self.ops + path) as answer:
            return await answer.text()

    async def figures(self) -> dict[str, float]:
        """Those of what is collected."""
        lines = [line.rpartition(" ") for line in (await self.read("/metrics")).splitlines()]
        found = {name: float(value) for name, _, value in lines if name.startswith("openmcp_collected_")}
        return {name.removeprefix("openmcp_collected_"): value for name, value in found.items()}


@asynccontextmanager
async def open_collecting(folder: Path, **changes: str) -> AsyncIterator[Collecting]:
    async with (
        open_simulated_fleet(clusters=1, pods=10) as fleet,
        open_in_front(fleet, folder, **changes) as collecting,
    ):
        yield collecting


@asynccontextmanager
async def open_in_front(fleet: SimulatedFleet, folder: Path, **changes: str) -> AsyncIterator[Collecting]:
    port, ops = free_port(), free_port()
    environment = KEY | {
        "OPENMCP_KUBECONFIG": str(fleet.kubeconfig),
        "OPENMCP_EMBEDDED_FILE": str(folder / "usage.sqlite"),
        "OPENMCP_COLLECT_INTERVAL": "500ms",
        "OPENMCP_HOST": "127.0.0.1",
        "OPENMCP_PORT": str(port),
        "OPENMCP_OPS_PORT": str(ops),
    }
    await asyncio.to_thread(folder.mkdir, exist_ok=True)
    async with open_server("serve", environment=environment | changes, port=port, log=folder / "log") as server:
        yield Collecting(server, f"http://127.0.0.1:{ops}")


async def wait_usage(collecting: Collecting, pods: int) -> None:
    async def has_usage() -> bool:
        return len(await collecting.usage()) >= pods

    await until(has_usage, what="usage of the pods", every=0.1)


async def test_newest_usage_is_there_before_anything_is_stored(tmp_path: Path) -> None:
    """Nothing is written at all: history is of a store that nobody fills."""
    dead = {"OPENMCP_METRIC_STORE": "influxql", "OPENMCP_INFLUX_URL": "http://127.0.0.1:9"}
    async with open_collecting(tmp_path, OPENMCP_USAGE_FROM="collector", **dead) as collecting:
        await wait_usage(collecting, 10)
        first = await collecting.usage()

        async def is_newer() -> bool:
            newer = await collecting.usage()
            return all(str(newer[pod]["time"]) > usage["time"] for pod, usage in first.items())

        await until(is_newer, what="a later round", every=0.1)
        assert await collecting.figures() == {}
    assert not (tmp_path / "usage.sqlite").exists()


async def test_a_full_disk_costs_no_point(tmp_path: Path) -> None:
    async with open_collecting(tmp_path) as collecting:
        await wait_usage(collecting, 10)
        # No file may grow beyond what the log of SQLite has: what a full disk is to it.
        size = await asyncio.to_thread(lambda: (tmp_path / "usage.sqlite-wal").stat().st_size)
        before = resource.prlimit(collecting.server.pid, resource.RLIMIT_FSIZE)
        resource.prlimit(collecting.server.pid, resource.RLIMIT_FSIZE, (size, before[1]))

        async def is_told() -> bool:
            return "the metric file: " in json.loads(await collecting.read("/readyz"))["collected"]

        async def waits() -> bool:
            return (await collecting.figures())['waiting_bytes{store="the metric file"}'] > 0

        await until(is_told, what="the full disk to be told", every=0.1)
        await until(waits, what="points to wait", every=0.1)
        resource.prlimit(collecting.server.pid, resource.RLIMIT_FSIZE, before)

        async def has_caught_up() -> bool:
            return not await waits() and not await is_told()

        await until(has_caught_up, what="nothing to wait", every=0.1)
        assert (await collecting.figures())['points_lost_total{store="the metric file"}'] == 0


@pytest.mark.real
async def test_points_are_in_the_file_and_by_remote_write_and_an_outage_is_told(
    start_real_metric_server: Callable[..., MetricServer], tmp_path: Path
) -> None:
    victoria = await asyncio.to_thread(start_real_metric_server, MetricServerKind.VICTORIA_METRICS)
    changes = {
        "OPENMCP_COLLECT_TO": "embedded, remote-write",
        "OPENMCP_REMOTE_WRITE_URL": f"{victoria.url}/api/v1/write",
        "OPENMCP_REMOTE_WRITE_CLUSTER_LABEL": "member",
    }

    async def pods_there() -> bool:
        found = await asyncio.to_thread(victoria.query, WRITTEN)
        return bool(found) and found[0]["value"][1] == str(len(measured))

    async with open_collecting(tmp_path, **changes) as collecting:
        await wait_usage(collecting, 10)
        measured = [pod for cluster, pod in await collecting.usage() if cluster == "cluster1"]
        await until(pods_there, what="the pods in VictoriaMetrics", every=0.2)
        figures = await collecting.figures()
        assert figures['points_written_total{store="the metric file"}'] > 0
        assert figures['points_written_total{store="remote-write"}'] > 0
        assert json.loads(await collecting.read("/readyz"))["collected"] == "ok"

        await asyncio.to_thread(victoria.stop)

        async def is_told() -> bool:
            return "does not accept connections" in json.loads(await collecting.read("/readyz"))["collected"]

        await until(is_told, what="the outage to be told", every=0.1)
        written = (await collecting.figures())['points_written_total{store="the metric file"}']

        async def goes_on() -> bool:
            figures = await collecting.figures()
            return (
                figures['points_written_total{store="the metric file"}'] > written
                and figures['waiting_bytes{store="remote-write"}'] > 0
                and figures['waiting_seconds{store="remote-write"}'] > 0
            )

        await until(goes_on, what="the file to be written on", every=0.1)
        await asyncio.to_thread(victoria.start)

        async def has_caught_up() -> bool:
            figures = await collecting.figures()
            return figures['waiting_bytes{store="remote-write"}'] == 0

        await until(has_caught_up, what="nothing to wait", every=0.1)
        figures = await collecting.figures()
        assert figures['points_lost_total{store="remote-write"}'] == 0
    log = (tmp_path / "log").read_text()
    assert log.count("usage is not written to remote-write now, and waits") == 1
    assert "usage is written to remote-write again" in log


@pytest.mark.real
async def test_each_replica_and_worker_has_newest_usage_and_what_it_measured_is_written(
    nats_server: NatsServer, start_real_metric_server: Callable[..., MetricServer], tmp_path: Path
) -> None:
    prometheus = await asyncio.to_thread(start_real_metric_server, MetricServerKind.PROMETHEUS)
    changes = {
        "OPENMCP_STATE": "nats",
        "OPENMCP_NATS_URL": nats_server.url,
        "OPENMCP_USAGE_FROM": "collector",
        "OPENMCP_COLLECT_TO": "remote-write",
        "OPENMCP_REMOTE_WRITE_URL": f"{prometheus.url}/api/v1/write",
        "OPENMCP_METRIC_STORE": "influxql",
        "OPENMCP_INFLUX_URL": "http://127.0.0.1:9",
    }
    async with (
        open_simulated_fleet(clusters=3, pods=10) as fleet,
        open_in_front(fleet, tmp_path / "two", **changes, OPENMCP_WORKERS="2") as two_workers,
        open_in_front(fleet, tmp_path / "one", **changes) as one_worker,
    ):
        await wait_usage(two_workers, 30)
        known = set(await two_workers.usage())
        for collecting in (two_workers, one_worker):
            for _ in range(8):  # connections are dealt out among workers

                async def has_all(collecting: Collecting = collecting) -> bool:
                    return set(await collecting.usage()) == known

                await until(has_all, what="usage of all clusters", every=0.1)
        await until(lambda: asyncio.to_thread(prometheus.query, "count(node:cpu_cores:sum)"), what="nodes", every=0.1)
    assert not (tmp_path / "one" / "usage.sqlite").exists()
    series = await asyncio.to_thread(prometheus.query, "sum by (cluster) (count_over_time(node:cpu_cores:sum[1h]))")
    samples = {entry["metric"]["cluster"]: int(entry["value"][1]) for entry in series}
    assert set(samples) == {cluster for cluster, _ in known}


@pytest.mark.real
@pytest.mark.parametrize("kind", list(MetricServerKind), ids=lambda kind: kind.value)
async def test_what_is_written_is_read_back(
    start_real_metric_server: Callable[..., MetricServer], kind: MetricServerKind, tmp_path: Path
) -> None:
    store = await asyncio.to_thread(start_real_metric_server, kind)
    changes = {
        "OPENMCP_COLLECT_TO": "remote-write",
        "OPENMCP_REMOTE_WRITE_URL": f"{store.url}/api/v1/write",
        "OPENMCP_PROMETHEUS_URL": store.url,
        "OPENMCP_PROMETHEUS_RECORDED": "true",
    }
    end = datetime.now(UTC) + timedelta(minutes=2)
    query = """query ($start: DateTime!, $end: DateTime!) { pods(first: 100) { items {
      usage { time cpuCores memoryBytes fsCapacityBytes networkReceiveBytesPerSecond }
      history(start: $start, end: $end, step: "1m") { resolution cpuCores networkReceiveBytesPerSecond }
      placements(start: $start, end: $end) { nodeName } nodeName
    } } }"""
    span = {"start": (end - timedelta(minutes=10)).isoformat(), "end": end.isoformat()}
    async with open_collecting(tmp_path, **changes) as collecting:
        token = await collecting.server.sign_in()
        items: list[dict[str, Any]] = []

        async def has_rates() -> bool:
            answer: Any = await collecting.server.ask(token, query, span)
            assert "errors" not in answer, answer
            items[:] = [item for item in answer["data"]["pods"]["items"] if item["usage"]]
            return bool(items) and all(
                item["usage"]["networkReceiveBytesPerSecond"] is not None and item["history"] for item in items
            )

        await until(has_rates, what="usage with rates, and history", every=0.2)
    for item in items:
        assert None not in item["usage"].values()
        assert any(item["history"]["cpuCores"])
        assert any(item["history"]["networkReceiveBytesPerSecond"])
        assert [placement["nodeName"] for placement in item["placements"]] == [item["nodeName"]]


async def run_check(folder: Path, **changes: str) -> list[str]:
    environment = KEY | {"OPENMCP_KUBECONFIG": str(folder / "none"), "OPENMCP_EMBEDDED_FILE": str(folder / "file")}
    process = await asyncio.create_subprocess_exec(
        COMMAND, "check", env=environment | changes, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL
    )
    said, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    return [" ".join(row.split()) for row in said.decode().splitlines()]


@pytest.mark.real
async def test_check_tries_where_is_written(real_prometheus: MetricServer, tmp_path: Path) -> None:
    write = {"OPENMCP_COLLECT_TO": "embedded,remote-write", "OPENMCP_USAGE_FROM": "collector", "OPENMCP_WORKERS": "2"}
    url = f"{real_prometheus.url}/api/v1/write"
    rows = await run_check(tmp_path, OPENMCP_REMOTE_WRITE_URL=url, **write)
    assert f"collect to remote-write ok remote write to {real_prometheus.url} is taken" in rows
    assert any(row.startswith("newest usage ILL OPENMCP_USAGE_FROM is collector and") for row in rows)
    rows = await run_check(tmp_path, OPENMCP_REMOTE_WRITE_URL=f"{real_prometheus.url}/api/v2/write", **write)
    assert any(row.startswith("collect to remote-write ILL ") and "404, check the path" in row for row in rows)


def test_workers_without_newest_usage_are_refused() -> None:
    environ = KEY | {"OPENMCP_USAGE_FROM": "collector", "OPENMCP_WORKERS": "2"}
    with pytest.raises(SettingsInvalid, match="the others hear of it by OPENMCP_STATE=nats"):
        check_workers(load_settings(environ))
    check_workers(load_settings(environ | {"OPENMCP_WORKERS": "1"}))
    check_workers(load_settings(environ | {"OPENMCP_STATE": "nats", "OPENMCP_NATS_URL": "nats://nats:4222"}))


def test_readiness_tells_of_stores_that_take_nothing_and_of_what_is_lost() -> None:
    well, away = (Buffer(name, Outputs(None, []), BufferOptions()) for name in ("influx", "remote-write"))
    assert build_outputs_part([well, away]) == Part(ready=True, reason="ok")
    away.problem, away.lost = "it is away", 12
    told = "remote-write: it is away; remote-write: 12 points are lost so far"
    assert build_outputs_part([well, away]) == Part(ready=True, reason="what is collected is not written", detail=told)
