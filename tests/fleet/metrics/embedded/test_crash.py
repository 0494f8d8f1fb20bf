"""SIGKILL, and a full disk, while rows become blocks, blocks are written anew, and old ones go."""

import asyncio
import random
import resource
import sqlite3
import sys
from asyncio.subprocess import PIPE, Process
from contextlib import closing
from pathlib import Path

import pytest

from fleet.metrics.embedded.blocks.columns import PRECISION
from fleet.model.errors import MetricsUnavailable
from fleet.model.objects import PodKey
from fleet.model.usage import Aggregate, Kind, Measure, TimeRange
from tests.fakes.waiting import PATIENCE
from tests.fleet.metrics.embedded.aging import HOUR, MINUTE, NOON, assert_near, build_points, expect, open_aging
from tests.fleet.metrics.embedded.test_takeover import write_first_layout

ROUNDS = 4
PODS = [PodKey("c", "n", f"p{number}") for number in range(8)]
POINTS = build_points(NOON, 30 * 60, every=60)
COLUMNS = frozenset({(Measure.CPU_CORES, Aggregate.MEAN), (Measure.NETWORK_TRANSMIT_BYTES, Aggregate.MEAN)})
PROGRAM = """
import asyncio, sys
from pathlib import Path
from fleet.metrics.embedded.store import EmbeddedOptions, open_embedded_store
from fleet.model.errors import MetricsUnavailable
from tests.fleet.metrics.embedded.test_crash import PODS, POINTS
async def write(first):
    now = [POINTS[max(first - 1, 0)].time_ns]
    options = EmbeddedOptions(Path(sys.argv[1]), cut_interval=0.01, clock=lambda: now[0])
    async with open_embedded_store(options) as store:
        for number in range(first, len(POINTS), 10):
            while True:
                try:
                    await store.write([(pod, point) for pod in PODS for point in POINTS[number:number + 10]])
                    break
                except MetricsUnavailable as error:
                    print("failed", error, flush=True)
                    await asyncio.sleep(0.05)
            now[0] = POINTS[min(number + 10, len(POINTS)) - 1].time_ns
            print(number + 10, flush=True)
            await asyncio.sleep(0.02)
asyncio.run(write(int(sys.argv[2])))
"""


async def start(path: Path, first: int) -> Process:
    return await asyncio.create_subprocess_exec(sys.executable, "-c", PROGRAM, path, str(first), stdout=PIPE)


async def read_line(process: Process) -> str:
    assert process.stdout is not None
    line = await asyncio.wait_for(process.stdout.readline(), PATIENCE)
    assert line, "the program has ended"
    return line.decode().strip()


async def kill(process: Process) -> list[str]:
    """What was acknowledged before it ended."""
    process.kill()
    assert process.stdout is not None
    rest = (await asyncio.wait_for(process.stdout.read(), PATIENCE)).decode().split("\n")
    await process.wait()
    return [line for line in rest[:-1] if line.isdecimal()]


async def assert_whole(path: Path, acknowledged: int) -> int:
    """Everything that was acknowledged is there, once; how many points are."""
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("PRAGMA integrity_check").fetchone() == ("ok",)
    async with open_aging(path, POINTS[acknowledged - 1].time_ns) as aging:
        found = await aging.store.points(Kind.POD, PODS[0], start_ns=0, end_ns=None, limit=10**6)
        held = POINTS.index(found[-1]) + 1
        assert held >= acknowledged
        assert found[-120:] == POINTS[max(held - 120, 0) : held]
        written = POINTS[:held]
        window = TimeRange(written[0].time_ns // HOUR * HOUR, written[-1].time_ns + 1, HOUR)
        for pod in PODS:
            assert_near(await aging.history(window, COLUMNS, pod), expect(written, window, COLUMNS), PRECISION)
    return held


async def test_nothing_acknowledged_is_lost_by_a_kill_at_any_moment(tmp_path: Path) -> None:
    path, held = tmp_path / "usage.db", 0
    for _ in range(ROUNDS):
        process = await start(path, held)
        said = [await read_line(process) for _ in range(random.randint(3, 40))]
        said += await kill(process)
        held = await assert_whole(path, int(said[-1]))


async def test_nothing_acknowledged_is_lost_while_the_disk_is_full(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    process = await start(path, 0)
    said = [await read_line(process) for _ in range(40)]
    # No file may grow beyond what it has: what a full disk is to SQLite.
    size = await asyncio.to_thread(lambda: max(part.stat().st_size for part in tmp_path.iterdir()))
    before = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, before[1]))
    while not (line := await read_line(process)).startswith("failed the metric file"):
        said.append(line)
    await read_line(process)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, before)
    said += [line for line in [await read_line(process) for _ in range(60)] if line.isdecimal()]
    said += await kill(process)
    await assert_whole(path, int(said[-1]))


async def test_a_takeover_that_is_killed_goes_on(tmp_path: Path) -> None:
    path, held = tmp_path / "usage.db", 1200
    write_first_layout(path, [(pod, point) for pod in PODS for point in POINTS[:held]])
    for _ in range(ROUNDS):
        process = await start(path, held)
        said = [await read_line(process) for _ in range(random.randint(1, 6))]
        said += await kill(process)
        held = await assert_whole(path, int(said[-1]))
    with closing(sqlite3.connect(path)) as file:
        assert file.execute("SELECT count(*) FROM points").fetchone()[0] < held * len(PODS) / 5


@pytest.mark.parametrize("table", ["blocks_0", "blocks_60", "blocks_600"])
async def test_a_damaged_block_costs_its_own_time_of_its_own_series(
    tmp_path: Path, table: str, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "usage.db"
    last = POINTS[1199].time_ns
    async with open_aging(path, last) as aging:
        for pod in PODS[:2]:
            await aging.store.write((pod, point) for point in POINTS[:1200])
        await aging.settle()
    with closing(sqlite3.connect(path)) as file:
        (start_ns, data) = file.execute(
            f"SELECT start_ns, data FROM {table} WHERE series_id = 1 ORDER BY start_ns DESC"  # noqa: S608 - a parameter
        ).fetchone()
        broken = data[: len(data) // 2] + bytes([data[len(data) // 2] ^ 0xFF]) + data[len(data) // 2 + 1 :]
        file.execute(f"UPDATE {table} SET data = ? WHERE series_id = 1 AND start_ns = ?", (broken, start_ns))  # noqa: S608 - a parameter
        file.commit()
    step = {"blocks_0": MINUTE, "blocks_60": MINUTE, "blocks_600": HOUR}[table]
    back = 100 * MINUTE if table == "blocks_0" else 18 * HOUR
    window = TimeRange((last - back) // step * step, last + 1, step)
    async with open_aging(path, last) as aging:
        found = await aging.store.history(Kind.POD, frozenset(PODS[:2]), window, COLUMNS)
        assert_near(found[PODS[1]], expect(POINTS[:1200], window, COLUMNS), PRECISION)
        missing = [value is None for value in found[PODS[0]].columns[Measure.CPU_CORES, Aggregate.MEAN]]
        assert any(missing)
        assert not missing[-1]  # the newest points are rows
        assert aging.store.damages.count == 1
        assert caplog.text.count("of c/n/p0, usage from ") == 1
        # The next points of its time make it a block again.
        await aging.live(POINTS[1200:1320], PODS[0])
        assert (await aging.store.points(Kind.POD, PODS[0], start_ns=None, end_ns=None, limit=1))[0] == POINTS[1319]


async def test_a_slice_that_fails_half_way_leaves_all_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    async with open_aging(path, POINTS[0].time_ns) as aging:
        with closing(sqlite3.connect(path)) as file:
            file.execute("CREATE TRIGGER t BEFORE INSERT ON blocks_600 BEGIN SELECT RAISE(ABORT, 'not now'); END")
            await aging.store.write([(PODS[0], point) for point in POINTS[:120]])
            with pytest.raises(MetricsUnavailable, match="not now"):
                await aging.settle(POINTS[119].time_ns)
            assert file.execute("SELECT count(*) FROM points").fetchone() == (120,)
            assert file.execute("SELECT count(*) FROM blocks_0").fetchone() == (0,)
            file.execute("DROP TRIGGER t")
        await aging.settle()
        found = await aging.store.points(Kind.POD, PODS[0], start_ns=0, end_ns=None, limit=200)
        assert found == POINTS[:120]
