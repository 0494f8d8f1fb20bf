"""What the InfluxDB stores make of stored cells: the platform's text, numbers, and what is neither."""

import asyncio
import logging
import time

import pytest

from fleet.metrics.influx.flux import FluxStore
from fleet.metrics.influx.influxql import InfluxqlStore
from fleet.model.objects import PodKey
from fleet.model.usage import ALL_MEASURES, NANOSECONDS, Aggregate, Kind, Measure, Point, TimeRange, Usage
from tests.fleet.metrics.stores import FilledInflux

pytestmark = pytest.mark.real

WEB = PodKey("cluster1", "default", "web-0")
NOW = time.time_ns()
SECOND = NANOSECONDS
MINUTE = TimeRange(NOW - 60 * SECOND, NOW, 10 * SECOND)
CPU_MEMORY = frozenset({Measure.CPU_CORES, Measure.MEMORY_BYTES})
MEANS = frozenset({(Measure.CPU_CORES, Aggregate.MEAN)})


@pytest.mark.parametrize(
    ("cpu", "memory", "expected"),
    [
        ('"218250189n"', '"14692232Ki"', (0.218250189, 15044845568)),
        ('"21825u"', '"3Gi"', (0.021825, 3 * 2**30)),
        ('"250m"', '"512Mi"', (0.25, 512 * 2**20)),
        ('"2"', '"1234567"', (2.0, 1234567)),
        ('"0"', '"0"', (0.0, 0)),
        ('""', '""', (None, None)),
        ('"nonsense"', '"12XB"', (None, None)),
        ('"-5m"', '"-1Ki"', (None, None)),
        ('"NaN"', '"1e400"', (None, None)),
        (f'"{"9" * 5000}"', f'"{"9" * 5000}"', (None, None)),
        ('"٣"', '"1 Ki"', (None, None)),
        ('"1e-1"', '"1G"', (0.1, 10**9)),
    ],
)
async def test_cells_are_quantities(
    any_influx: FilledInflux, cpu: str, memory: str, expected: tuple[float | None, int | None]
) -> None:
    any_influx.write_cells(WEB, NOW, CPUUsageNanoCores=cpu, MemoryWorkingSetBytes=memory, FsUsedBytes='"1"')
    usage = await any_influx.store.latest(Kind.POD, frozenset({WEB}), CPU_MEMORY)
    assert usage == {WEB: Usage(time_ns=NOW, cpu_cores=expected[0], memory_bytes=expected[1])}


@pytest.mark.parametrize(
    ("cpu", "memory", "expected"),
    [("0.25", "1000.5", (0.25, 1001)), ("2i", "7i", (2.0, 7)), ("true", "-1.0", (None, None))],
)
async def test_cells_stored_as_numbers_mean_what_their_text_would(
    any_influx: FilledInflux, cpu: str, memory: str, expected: tuple[float | None, int | None]
) -> None:
    any_influx.write_cells(WEB, NOW, CPUUsageNanoCores=cpu, MemoryWorkingSetBytes=memory)
    usage = await any_influx.store.latest(Kind.POD, frozenset({WEB}), CPU_MEMORY)
    assert usage == {WEB: Usage(time_ns=NOW, cpu_cores=expected[0], memory_bytes=expected[1])}


async def test_unreadable_cells_are_counted_and_logged_once(
    any_influx: FilledInflux, caplog: pytest.LogCaptureFixture
) -> None:
    any_influx.write_cells(WEB, NOW, CPUUsageNanoCores='"many"', MemoryWorkingSetBytes='"much"')
    assert isinstance(any_influx.store, InfluxqlStore | FluxStore)
    with caplog.at_level(logging.WARNING, logger="fleet.metrics"):
        await any_influx.store.latest(Kind.POD, frozenset({WEB}), CPU_MEMORY)
        await any_influx.store.latest(Kind.POD, frozenset({WEB}), CPU_MEMORY)
    assert any_influx.store.unparsable_cells == 4
    assert len(caplog.records) == 1
    assert "that is no quantity: 'm" in caplog.records[0].message


async def test_fields_that_were_never_stored_are_null(any_influx: FilledInflux) -> None:
    any_influx.write_cells(WEB, NOW, CPUUsageNanoCores='"1"')
    usage = await any_influx.store.latest(Kind.POD, frozenset({WEB}), ALL_MEASURES)
    assert usage == {WEB: Usage(time_ns=NOW, cpu_cores=1.0)}
    assert await any_influx.store.points(Kind.POD, WEB, start_ns=None, end_ns=None, limit=1) == [
        Point(time_ns=NOW, cpu_cores=1.0, node="n1")
    ]


async def test_a_pod_reported_by_two_nodes_at_one_time_is_one_point(any_influx: FilledInflux) -> None:
    for node in ("n1", "n2"):
        any_influx.write_cells(WEB, NOW - SECOND, node, CPUUsageNanoCores='"2"')
    history = await any_influx.store.history(Kind.POD, frozenset({WEB}), MINUTE, MEANS)
    assert [value for value in history[WEB].columns[Measure.CPU_CORES, Aggregate.MEAN] if value] == [2.0]


async def test_questions_at_once_share_the_pool(any_influx: FilledInflux) -> None:
    any_influx.write_cells(WEB, NOW, CPUUsageNanoCores='"1"')
    answers = await asyncio.gather(
        *(any_influx.store.latest(Kind.POD, frozenset({WEB}), CPU_MEMORY) for _ in range(20))
    )
    assert all(answer[WEB].cpu_cores == 1.0 for answer in answers)
