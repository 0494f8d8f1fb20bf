"""The embedded store's file: its bounds, its failures, its life."""

import asyncio
import contextlib
import sqlite3
import stat
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings

from fleet.metrics.aggregate import build_history, counter_lead_ns
from fleet.metrics.embedded.store import (
    EmbeddedOptions,
    EmbeddedStore,
    open_embedded_reader,
    open_embedded_store,
    prepare_file,
)
from fleet.model.errors import MetricsUnavailable
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import ALL_MEASURES, NANOSECONDS, Kind, Measure, Point, TimeRange
from tests.fakes.waiting import until
from tests.fleet.metrics.stores import build_series
from tests.fleet.metrics.test_aggregate import COLUMNS, points_lists, windows
from tests.fleet.metrics.test_contract import assert_close

WEB = PodKey("cluster1", "default", "web-0")
CPU = frozenset({Measure.CPU_CORES})
NOW = time.time_ns()
SECOND = NANOSECONDS


def point(seconds_ago: float, cpu: float = 1.0) -> Point:
    return Point(time_ns=NOW - int(seconds_ago * SECOND), cpu_cores=cpu, memory_bytes=1)


@asynccontextmanager
async def open_small(folder: Path, max_bytes: int = 1_000_000) -> AsyncIterator[EmbeddedStore]:
    # The clock stands still: however long the tests before took, a point is as old as its test says.
    options = EmbeddedOptions(folder / "usage.db", max_age=600, max_bytes=max_bytes, clock=lambda: NOW)
    async with open_embedded_store(options) as store:
        yield store


async def stored(store: EmbeddedStore, key: PodKey = WEB) -> list[int]:
    points = await store.points(Kind.POD, key, start_ns=0, end_ns=None, limit=1_000_000)
    return [point.time_ns for point in points]


async def test_points_outlive_the_server(tmp_path: Path) -> None:
    async with open_small(tmp_path) as store:
        await store.write([(WEB, point(5))])
    async with open_small(tmp_path) as store:
        assert WEB in await store.latest(Kind.POD, frozenset({WEB}), CPU)
    assert not (tmp_path / "usage.db-wal").exists()


async def test_a_point_of_the_same_time_replaces_the_one_before(tmp_path: Path) -> None:
    async with open_small(tmp_path) as store:
        await store.write([(WEB, point(5, 1.0))])
        await store.write([(WEB, point(5, 2.0))])
        usage = await store.latest(Kind.POD, frozenset({WEB}), CPU)
        assert (len(await stored(store)), usage[WEB].cpu_cores) == (1, 2.0)


async def test_old_points_go_and_series_without_points_with_them(tmp_path: Path) -> None:
    old = PodKey("cluster1", "default", "old")
    async with open_small(tmp_path) as store:
        await store.write([(WEB, point(700)), (WEB, point(500)), (old, point(900))])
        await store.cut()
        assert await stored(store) == [point(500).time_ns]
        assert (await store.check()).endswith("1 series")
        await store.write([(old, point(10))])
        assert await stored(store, old) == [point(10).time_ns]


async def test_the_file_is_bounded_and_the_oldest_points_go_first(tmp_path: Path) -> None:
    bound = 400_000
    keys = [PodKey("cluster1", "default", f"web-{i}") for i in range(50)]
    async with open_small(tmp_path, bound) as store:
        for seconds in range(590, 0, -2):
            await store.write([(key, point(seconds)) for key in keys])
        await store.cut()
        kept = await stored(store, keys[0])
        assert kept[-1] == point(2).time_ns
        assert 20 < len(kept) < 295
    assert (tmp_path / "usage.db").stat().st_size <= bound


async def test_questions_and_deliveries_are_lines_at_debug(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with open_small(tmp_path) as store:
        await store.cut()
        caplog.set_level("DEBUG", "fleet.metrics")
        await store.write([(WEB, point(5))])
        await stored(store)
    told = (record.getMessage() for record in caplog.records if record.name.startswith("fleet.metrics"))
    lines = [message.rpartition(" in ")[0] for message in told]
    assert lines == ["the metric file was written", "the metric file was read"]


async def test_others_read_what_one_writes(tmp_path: Path) -> None:
    options = EmbeddedOptions(tmp_path / "usage.db", clock=lambda: NOW)
    prepare_file(options)
    async with open_embedded_reader(options) as reader, open_embedded_store(options) as writer:
        assert await reader.latest(Kind.POD, frozenset({WEB}), CPU) == {}
        await writer.write([(WEB, point(5))])
        assert WEB in await reader.latest(Kind.POD, frozenset({WEB}), CPU)
        with pytest.raises(MetricsUnavailable, match="written by another process"):
            await reader.write([(WEB, point(4))])


async def test_usage_that_is_kept_is_what_the_file_holds(tmp_path: Path) -> None:
    async with open_embedded_store(EmbeddedOptions(tmp_path / "usage.db")) as store:
        for seconds in (30, 20):
            await store.write([(WEB, Point(time_ns=NOW - seconds * NANOSECONDS, cpu_cores=float(seconds)))])
            for _ in range(2):
                assert (await store.latest(Kind.POD, frozenset({WEB}), CPU))[WEB].cpu_cores == seconds
        async with open_embedded_store(EmbeddedOptions(tmp_path / "usage.db")) as other:
            await other.write([(WEB, Point(time_ns=NOW - 10 * NANOSECONDS, cpu_cores=10.0))])
        assert (await store.latest(Kind.POD, frozenset({WEB}), CPU))[WEB].cpu_cores == 10.0


async def test_a_newest_point_is_read_once_while_the_file_does_not_change(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    node, reads = NodeKey("cluster1", "n1"), []
    caplog.set_level("DEBUG", "fleet.metrics")
    async with open_embedded_store(EmbeddedOptions(tmp_path / "usage.db")) as store:
        await store.cut()  # the next one by itself is a minute away
        for seconds in (30, 20):
            await store.write(nodes=[(node, point(seconds))])
            before = caplog.text.count("the metric file was read")
            for _ in range(3):
                (newest,) = await store.points(Kind.NODE, node, start_ns=None, end_ns=None, limit=9)
                assert newest.time_ns == point(seconds).time_ns
            reads.append(caplog.text.count("the metric file was read") - before)
    assert reads == [1, 1]


async def test_rates_that_are_kept_grow_old_as_those_that_are_read(tmp_path: Path) -> None:
    clock = [NOW]
    options = EmbeddedOptions(tmp_path / "usage.db", lookback=60, clock=lambda: clock[0])
    rates = frozenset({Measure.NETWORK_RECEIVE_BYTES, Measure.CPU_CORES})
    points = [
        Point(time_ns=NOW - ago * SECOND, cpu_cores=1.0, network_receive_bytes=total)
        for ago, total in ((50, 0), (10, 400))
    ]
    async with open_embedded_store(options) as store:
        await store.write([(WEB, each) for each in points])
        for later, wanted in ((0, (10.0, 1.0)), (20, (None, 1.0)), (55, None)):
            clock[0] = NOW + later * SECOND
            kept = (await store.latest(Kind.POD, frozenset({WEB}), rates)).get(WEB)
            async with open_embedded_reader(options) as fresh:
                assert (await fresh.latest(Kind.POD, frozenset({WEB}), rates)).get(WEB) == kept
            assert (kept and (kept.network_receive_bytes_per_second, kept.cpu_cores)) == wanted


async def test_a_file_that_is_not_there_can_not_be_read_by_others(tmp_path: Path) -> None:
    with pytest.raises(MetricsUnavailable, match="the metric file can't be opened"):
        async with open_embedded_reader(EmbeddedOptions(tmp_path / "no" / "usage.db")):
            pass


async def test_the_bounds_are_kept_by_themselves(tmp_path: Path) -> None:
    options = EmbeddedOptions(tmp_path / "usage.db", max_age=600, cut_interval=0.01, clock=lambda: NOW)
    async with open_embedded_store(options) as store:
        await store.write([(WEB, point(5000)), (WEB, point(5))])

        async def is_cut() -> bool:
            return await stored(store) == [point(5).time_ns]

        await until(is_cut, what="the cut")


async def test_a_delivery_that_can_not_fit_fails_whole_and_the_store_goes_on(tmp_path: Path) -> None:
    async with open_small(tmp_path, 100_000) as store:
        await store.write([(WEB, point(5))])
        with pytest.raises(MetricsUnavailable, match="the metric file can't grow"):
            await store.write((PodKey("c", "n", f"web-{i}"), point(3)) for i in range(5000))
        assert await store.latest(Kind.POD, frozenset({PodKey("c", "n", "web-0")}), CPU) == {}
        await store.write([(WEB, point(1, 3.0))])
        assert (await store.latest(Kind.POD, frozenset({WEB}), CPU))[WEB].cpu_cores == 3.0


async def test_a_locked_file_fails_a_write_and_not_a_read(tmp_path: Path) -> None:
    async with open_small(tmp_path) as store:
        await store.write([(WEB, point(5))])
        other = sqlite3.connect(tmp_path / "usage.db", isolation_level=None)
        try:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(MetricsUnavailable, match="is locked by another process"):
                await store.write([(WEB, point(1))])
            assert await stored(store) == [point(5).time_ns]
            other.execute("ROLLBACK")
        finally:
            other.close()
        await store.write([(WEB, point(1))])
        assert len(await stored(store)) == 2


async def test_a_value_that_does_not_fit_fails_its_delivery(tmp_path: Path) -> None:
    async with open_small(tmp_path) as store:
        with pytest.raises(MetricsUnavailable):
            await store.write([(WEB, Point(time_ns=NOW, memory_bytes=2**70))])
        await store.write([(WEB, point(5))])
        assert len(await stored(store)) == 1


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda path: path.write_bytes(b"not a database at all, " * 100), "is not a database: move it away"),
        (lambda path: path.mkdir(), "can't be opened"),
        (lambda path: lay_out(path, "PRAGMA application_id = 7"), "belongs to another program"),
        (lambda path: lay_out(path, "CREATE TABLE notes (text)"), "belongs to another program"),
    ],
)
async def test_files_that_can_not_be_used_are_refused(tmp_path: Path, prepare, said: str) -> None:  # type: ignore[no-untyped-def]
    prepare(tmp_path / "usage.db")
    with pytest.raises(MetricsUnavailable, match=said):
        async with open_small(tmp_path):
            pass


def modes_in(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


@pytest.mark.parametrize(("before", "after"), [(0o644, 0o600), (0o604, 0o600), (0o640, 0o640), (0o660, 0o660)])
async def test_a_file_that_everybody_could_read_is_shut(tmp_path: Path, before: int, after: int) -> None:
    async with open_small(tmp_path):
        pass
    (tmp_path / "usage.db").chmod(before)
    async with open_small(tmp_path) as store:
        await store.write([(WEB, point(5))])
        assert modes_in(tmp_path) == {after}


async def test_a_layout_of_another_version_is_refused(tmp_path: Path) -> None:
    async with open_small(tmp_path):
        pass
    lay_out(tmp_path / "usage.db", "PRAGMA user_version = 99")
    with pytest.raises(MetricsUnavailable, match="has layout 99, this server knows 2"):
        async with open_small(tmp_path):
            pass


async def test_a_damaged_file_is_reported_when_it_is_read(tmp_path: Path) -> None:
    keys = [PodKey("cluster1", "default", f"web-{i}") for i in range(500)]
    async with open_small(tmp_path) as store:
        await store.write([(key, point(seconds)) for key in keys for seconds in range(1, 9)])
    content = bytearray((tmp_path / "usage.db").read_bytes())
    content[4096 * 3 :] = b"\xff" * len(content[4096 * 3 :])
    (tmp_path / "usage.db").write_bytes(content)
    with pytest.raises(MetricsUnavailable, match="is damaged"):
        async with open_small(tmp_path) as store:
            await store.latest(Kind.POD, frozenset(keys), CPU)


async def test_a_question_has_a_deadline_and_gives_its_thread_back(tmp_path: Path) -> None:
    keys = [PodKey("cluster1", "default", f"web-{i}") for i in range(2000)]
    options = EmbeddedOptions(tmp_path / "usage.db", timeout=0.001)
    async with open_embedded_store(options) as store:
        await store.write([(key, point(1)) for key in keys])
        for _ in range(5):
            with pytest.raises(MetricsUnavailable, match="did not answer"):
                await store.latest(Kind.POD, frozenset(keys), ALL_MEASURES)


async def test_reads_go_on_while_points_are_written(tmp_path: Path) -> None:
    async with open_small(tmp_path) as store:
        writes = [store.write([(WEB, point(seconds))]) for seconds in range(50, 0, -1)]
        reads = [store.latest(Kind.POD, frozenset({WEB}), CPU) for _ in range(50)]
        await asyncio.gather(*writes, *reads)
        assert len(await stored(store)) == 50


@pytest.fixture(scope="module")
async def held(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[EmbeddedStore]:
    path = tmp_path_factory.mktemp("held") / "usage.db"
    options = EmbeddedOptions(path, max_age=10**10, timeout=60, cut_interval=10**6)
    async with open_embedded_store(options) as store:
        yield store


@given(points=points_lists, window=windows)
@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
async def test_history_by_sql_equals_history_by_arithmetic(
    held: EmbeddedStore, points: list[Point], window: TimeRange
) -> None:
    key = PodKey("fuzz", "default", str(time.monotonic_ns()))
    await held.write((key, point) for point in points)
    found = await held.history(Kind.POD, frozenset({key}), window, frozenset(COLUMNS))
    # The store looks a bounded time back for the point that a counter's first step counts from.
    near = [point for point in points if point.time_ns >= window.start_ns - counter_lead_ns(window, ALL_MEASURES)]
    expected = build_history(build_series(near, ALL_MEASURES), window, COLUMNS)
    assert (key in found) == (expected is not None)
    if expected is not None:
        assert_close(found[key], expected)


def lay_out(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    connection.execute(statement)
    connection.commit()
    connection.close()


def delete(file: Path) -> None:
    file.unlink()


def delete_all(file: Path) -> None:
    for part in file.parent.glob(f"{file.name}*"):
        part.unlink()


def move(file: Path) -> None:
    file.rename(file.with_name("moved"))


def replace(file: Path) -> None:
    prepare_file(EmbeddedOptions(file.with_name("other")))
    file.with_name("other").replace(file)


@pytest.mark.parametrize("change", [delete, delete_all, move, replace])
async def test_a_file_that_is_gone_is_told_and_begun_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, change: Callable[[Path], None]
) -> None:
    file = tmp_path / "usage.db"
    async with open_small(tmp_path) as store, open_embedded_reader(EmbeddedOptions(file, clock=lambda: NOW)) as other:
        await store.write([(WEB, point(5))])
        for one in (store, other):
            assert await one.latest(Kind.POD, frozenset({WEB}), CPU) != {}
        change(file)
        if change is not replace:  # of two processes the one that writes makes the new file
            with pytest.raises(MetricsUnavailable, match="is not made anew yet"):
                await other.latest(Kind.POD, frozenset({WEB}), CPU)
        assert await store.latest(Kind.POD, frozenset({WEB}), CPU) == {}
        await store.write([(WEB, point(3))])
        await asyncio.gather(*(store.check() for _ in range(4)))
        for one in (store, other):
            assert (await one.latest(Kind.POD, frozenset({WEB}), CPU))[WEB].time_ns == point(3).time_ns
    said = [record.getMessage() for record in caplog.records if "the metric file" in record.getMessage()]
    word = "replaced" if change is replace else "deleted"
    assert [word in line for line in said] == [True]
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    with contextlib.closing(sqlite3.connect(file)) as left:
        assert left.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        assert left.execute("SELECT count(*) FROM points").fetchone() == (1,)


async def test_what_takes_the_files_place_and_is_none_costs_usage_until_it_is_mended(tmp_path: Path) -> None:
    file = tmp_path / "usage.db"
    async with open_small(tmp_path) as store:
        await store.write([(WEB, point(5))])
        (tmp_path / "text").write_text("no database " * 1000)
        (tmp_path / "text").replace(file)
        with pytest.raises(MetricsUnavailable, match="is not a database"):
            await store.latest(Kind.POD, frozenset({WEB}), CPU)
        with pytest.raises(MetricsUnavailable, match="is not a database"):
            await store.write([(WEB, point(4))])
        file.unlink()
        await store.write([(WEB, point(3))])
        assert await stored(store) == [point(3).time_ns]
