"""What is collected lies in InfluxDB as the platform's own collector would have written it."""

import asyncio
import time
from dataclasses import replace
from typing import Any

import pytest

from fleet.collector.outputs import BufferOptions, open_outputs
from fleet.metrics.influx.options import Dialect
from fleet.metrics.influx.writing import open_influx_writer
from fleet.model.errors import MetricsUnavailable, PointsRefused
from fleet.model.objects import NodeKey, PodKey
from fleet.model.told import detail_of
from fleet.model.usage import NANOSECONDS, Kind, Point
from realfleet.usage import Amounts
from tests.fakes.waiting import until
from tests.fleet.metrics.influxd import InfluxServer
from tests.fleet.metrics.stores import FilledInflux
from tests.fleet.metrics.test_legacy_answers import ODD, POD, STEPS, assert_same, open_both

pytestmark = pytest.mark.real

NOW = time.time_ns()
READINGS = [
    Amounts(218250189, 13 << 20, 3 << 30, 1234567, 5 << 40, 9 << 40, 4096, 123456789, 98765),
    Amounts(21825000, 0, 1024, 1, 0, 7 << 20, 3 << 10, 0, 2**53 + 1),
    Amounts(0, 1, 2, 3, 4, 5, 6, 7, 8),
    Amounts(4_000_000_000, 1, 2, 3, 4, 5, 6, 7, 8),
]


def stored(server: InfluxServer, database: str) -> dict[str, list[dict[str, Any]]]:
    """All rows of both measurements, but for the latency of a cluster, which no kubelet knows."""
    found = {}
    for measurement in ("Pods", "Nodes"):
        (series,) = server.query(f'SELECT * FROM "{measurement}"', database)  # noqa: S608 - a constant
        rows = [dict(zip(series["columns"], row, strict=True)) for row in series["values"]]
        found[measurement] = [{name: cell for name, cell in row.items() if name != "NetworkLatency"} for row in rows]
    return found


async def test_what_is_written_is_what_the_platform_s_collector_writes(
    influxd: InfluxServer, influx: FilledInflux
) -> None:
    tags = "cluster=cluster1,namespace=shop,node=kube1-worker1,pod=web"
    times = [NOW + number for number in range(len(READINGS))]
    lines = []
    for amounts, time_ns in zip(READINGS, times, strict=True):
        fields = amounts.as_fields("0.012345")
        lines += [f"Pods,{tags} {fields} {time_ns}", f"Nodes,cluster=cluster1,node=kube1-worker1 {fields} {time_ns}"]
    await asyncio.to_thread(influxd.query, 'CREATE DATABASE "Platform"')
    await asyncio.to_thread(influxd.write, "Platform", lines)
    points = [amounts.as_point(time_ns, "kube1-worker1") for amounts, time_ns in zip(READINGS, times, strict=True)]
    async with open_influx_writer(influx.options) as writer:
        pods = [(PodKey("cluster1", "shop", "web"), point) for point in points]
        await writer.write(pods, [(NodeKey("cluster1", "kube1-worker1"), point) for point in points])
    ours = await asyncio.to_thread(stored, influxd, influx.options.database)
    assert ours == await asyncio.to_thread(stored, influxd, "Platform")
    await asyncio.to_thread(influxd.query, 'DROP DATABASE "Platform"')


async def test_it_is_read_by_every_store_and_the_legacy_routes(any_influx: FilledInflux) -> None:
    node = NodeKey("cluster1", "kube1-worker1")
    odd = [Point(time_ns=STEPS[0].time_ns, cpu_cores=0.5, node="a node, of = its own")]
    async with open_influx_writer(any_influx.options) as writer:
        database = any_influx.options.database
        assert database in detail_of(await writer.check())
        pods = [(POD, point) for point in STEPS] + [(ODD, point) for point in odd]
        await writer.write(pods, [(node, point) for point in STEPS[:2]])
    read = await any_influx.store.points(Kind.POD, ODD, start_ns=0, end_ns=NOW, limit=10)
    assert read == odd
    plain: dict[PodKey | NodeKey, list[Point]] = {POD: STEPS, ODD: odd, node: STEPS[:2]}
    async with open_both(any_influx.store, plain) as both:
        await assert_same(both)


async def test_a_point_without_a_measure_is_none(influx: FilledInflux) -> None:
    async with open_influx_writer(influx.options) as writer:
        await writer.write([(POD, Point(NOW, node="n1"))], [])
    assert await influx.store.points(Kind.POD, POD, start_ns=None, end_ns=None, limit=1) == []


async def test_refusals_are_named(any_influx: FilledInflux) -> None:
    point = [(POD, Point(NOW, cpu_cores=1.0))]
    wrong = (
        {"token": "not-to-be-shown"} if any_influx.options.dialect is Dialect.FLUX else {"password": "not-to-be-shown"}
    )
    async with open_influx_writer(replace(any_influx.options, **wrong)) as writer:  # type: ignore[arg-type]  # named above
        with pytest.raises(MetricsUnavailable, match="answers 401, check the user or the token") as caught:
            await writer.write(point, [])
        assert "not-to-be-shown" not in detail_of(caught.value)
    async with open_influx_writer(replace(any_influx.options, database="nowhere")) as writer:
        with pytest.raises(MetricsUnavailable, match="answers 404, there is no such database or bucket"):
            await writer.write(point, [])


async def test_a_field_of_another_type_refuses_the_points(influxd: InfluxServer, influx: FilledInflux) -> None:
    await asyncio.to_thread(
        influxd.write,
        influx.options.database,
        [f"Pods,cluster=c1,namespace=n,node=n1,pod=a CPUUsageNanoCores=1.0 {NOW}"],
    )
    async with open_influx_writer(influx.options) as writer:
        with pytest.raises(PointsRefused, match="answers 400"):
            await writer.write([(PodKey("c1", "n", "a"), Point(NOW + 1, cpu_cores=1.0, node="n1"))], [])


async def test_a_server_that_was_away_has_every_point(influxd: InfluxServer, influx: FilledInflux) -> None:
    pods = [PodKey("c1", "shop", f"web-{number}") for number in range(50)]
    async with (
        open_influx_writer(influx.options) as writer,
        open_outputs(None, [("influx", writer)], BufferOptions()) as outputs,
    ):
        (buffer,) = outputs.buffers
        for number in range(20):
            time_ns = NOW - (20 - number) * 15 * NANOSECONDS
            await outputs.write([(pod, Point(time_ns, cpu_cores=float(number), node="n1")) for pod in pods], [])
            if number == 4:
                await until(lambda: buffer.written == 250, what="the first rounds")
                await asyncio.to_thread(influxd.stop)
        await until(lambda: buffer.problem, what="the server to be missed")
        await asyncio.to_thread(influxd.start)
        await until(lambda: buffer.written == 1000, what="all rounds")
        assert buffer.lost == 0
    (counted,) = await asyncio.to_thread(
        influxd.query, 'SELECT count("CPUUsageNanoCores") FROM "Pods"', influx.options.database
    )
    assert counted["values"][0][1] == 1000
