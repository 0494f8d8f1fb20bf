"""A field that has another type in another shard loses no point: not in usage, history, stored points or placements."""

from collections.abc import AsyncIterator, Mapping
from itertools import permutations

import pytest

from fleet.aio.recorder import Recorder, recording
from fleet.metrics.aggregate import build_history
from fleet.metrics.influx.layout import FIELDS
from fleet.metrics.influx.options import Dialect
from fleet.model.objects import NodeKey, PodKey
from fleet.model.placements import Placement
from fleet.model.usage import ALL_MEASURES, NANOSECONDS, Aggregate, Kind, Measure, Point, TimeRange, Usage
from fleet.ports import MetricStore
from tests.fleet.metrics.stores import FilledInflux, build_series, node_line, reopen
from tests.fleet.metrics.test_contract import NOW, ago, assert_close

pytestmark = pytest.mark.real

DAY = 86_400
OLD, MIDDLE, NEW = 28 * DAY, 14 * DAY, 10  # seconds ago: a shard is a week
MONTH = TimeRange(ago(30 * DAY), NOW, 3 * DAY * NANOSECONDS)
ALL_COLUMNS = frozenset((measure, aggregate) for measure in Measure for aggregate in Aggregate)
WEB, API = PodKey("cluster1", "default", "web"), PodKey("cluster1", "shop", "api")
NODE = NodeKey("cluster1", "n1")
CELLS: Mapping[str, tuple[str, float | None]] = {
    "text": ('"250m"', 0.25),
    "float": ("0.5", 0.5),
    "integer": ("9007199254740993i", 9007199254740993),
    "boolean": ("true", None),
    "no number": ('"many"', None),
}
"""A cell of each type in line protocol, and the cores that it is."""


@pytest.fixture
async def store(any_influx: FilledInflux) -> AsyncIterator[MetricStore]:
    async with reopen(any_influx, lookback=60.0 * DAY) as opened:
        yield opened


@pytest.mark.parametrize(("first", "then"), list(permutations(CELLS, 2)))
async def test_a_field_that_changed_its_type_has_all_its_points(
    any_influx: FilledInflux, store: MetricStore, first: str, then: str
) -> None:
    stored = []
    for seconds, name in ((OLD, first), (MIDDLE, then), (MIDDLE - 10, then), (NEW, first)):
        cell, cores = CELLS[name]
        any_influx.write_cells(WEB, ago(seconds), CPUUsageNanoCores=cell, MemoryWorkingSetBytes='"1024"')
        stored.append(Point(time_ns=ago(seconds), cpu_cores=cores, memory_bytes=1024, node="n1"))
    any_influx.write_cells(API, ago(MIDDLE), CPUUsageNanoCores=CELLS[then][0])
    keys = frozenset({WEB, API})

    histories = await store.history(Kind.POD, keys, MONTH, ALL_COLUMNS)
    expected = build_history(build_series(stored, ALL_MEASURES), MONTH, ALL_COLUMNS)
    assert expected is not None
    assert_close(histories[WEB], expected)

    assert await store.points(Kind.POD, WEB, start_ns=ago(60 * DAY), end_ns=None, limit=10) == stored
    assert await store.points(Kind.POD, WEB, start_ns=None, end_ns=ago(NEW), limit=2) == stored[1:3]
    assert await store.points(Kind.POD, WEB, start_ns=None, end_ns=None, limit=10) == stored[3:]

    assert await store.latest(Kind.POD, keys, frozenset({Measure.CPU_CORES, Measure.MEMORY_BYTES})) == {
        WEB: Usage(time_ns=ago(NEW), cpu_cores=CELLS[first][1], memory_bytes=1024),
        API: Usage(time_ns=ago(MIDDLE), cpu_cores=CELLS[then][1]),
    }


@pytest.mark.parametrize(("first", "then"), [('"{}"', "{}i"), ("{}i", '"{}"'), ("{}.0", "{}i")])
async def test_all_fields_of_nodes_that_changed_their_type(
    any_influx: FilledInflux, store: MetricStore, first: str, then: str
) -> None:
    stored = []
    for seconds, form, amount in ((OLD, first, 1), (MIDDLE, then, 2), (NEW, first, 3)):
        point = Point(ago(seconds), node=NODE.name, **{measure.value: amount for measure in Measure})
        cells = {name: form.format(amount) for name in FIELDS.values()}
        any_influx.put([node_line(NODE, cells, point.time_ns)])
        stored.append(point)
    histories = await store.history(Kind.NODE, frozenset({NODE}), MONTH, ALL_COLUMNS)
    expected = build_history(build_series(stored, ALL_MEASURES), MONTH, ALL_COLUMNS)
    assert expected is not None
    assert_close(histories[NODE], expected)
    usage = (await store.latest(Kind.NODE, frozenset({NODE}), ALL_MEASURES))[NODE]
    assert usage.network_receive_bytes_per_second == pytest.approx(1 / (MIDDLE - NEW))
    assert (usage.time_ns, usage.cpu_cores, usage.fs_used_bytes) == (ago(NEW), 3, 3)


async def test_pods_are_placed_by_points_of_every_type(any_influx: FilledInflux, store: MetricStore) -> None:
    for seconds, node, cell in ((OLD, "n1", '"1"'), (MIDDLE, "n2", "1i"), (NEW, "n1", '"1"')):
        any_influx.write_cells(WEB, ago(seconds), node, CPUUsageNanoCores=cell, MemoryWorkingSetBytes=cell)
    found = await store.placements(frozenset({WEB}), start_ns=ago(30 * DAY), end_ns=NOW)
    assert found == {WEB: [Placement(WEB, n, ago(s), ago(s)) for n, s in (("n1", OLD), ("n2", MIDDLE), ("n1", NEW))]}


async def test_a_change_is_seen_by_a_store_that_is_open(any_influx: FilledInflux) -> None:
    cpu = frozenset({Measure.CPU_CORES})
    async with reopen(any_influx, lookback=60.0 * DAY, types_kept=0.0) as store:
        any_influx.write_cells(WEB, ago(MIDDLE), CPUUsageNanoCores='"1"')
        assert (await store.latest(Kind.POD, frozenset({WEB}), cpu))[WEB].cpu_cores == 1
        any_influx.write_cells(API, ago(NEW), CPUUsageNanoCores="2.0")
        # Flux can't ask for types along with a question, and asks for the length of a shard where it has to know it.
        for requests in (3, 3) if any_influx.options.dialect is Dialect.FLUX else (2, 1):
            with recording(recorder := Recorder()):
                usages = await store.latest(Kind.POD, frozenset({WEB, API}), cpu)
            assert {key: usage.cpu_cores for key, usage in usages.items()} == {WEB: 1, API: 2}
            assert recorder.metric_queries == requests


async def test_check_names_fields_of_several_types(any_influx: FilledInflux) -> None:
    any_influx.write_cells(WEB, ago(OLD), CPUUsageNanoCores='"250m"', MemoryWorkingSetBytes='"1024"', Other='"1"')
    assert ";" not in await any_influx.store.check()
    any_influx.write_cells(WEB, ago(NEW), CPUUsageNanoCores="0.5", MemoryWorkingSetBytes='"1024"', Other="1.0")
    assert (await any_influx.store.check()).endswith(
        "; Pods.CPUUsageNanoCores is stored as float and as string: each point is read as what it is"
    )
