"""The embedded store where the disk is full and where the clock jumps."""

import asyncio
import resource
import sys
import time
from contextlib import suppress
from pathlib import Path

import pytest
from msgspec.structs import replace

from fleet.metrics.embedded.store import EmbeddedOptions, open_embedded_store
from fleet.model.errors import MetricsUnavailable, PointsRefused
from fleet.model.objects import PodKey
from fleet.model.usage import ALL_MEASURES, NANOSECONDS, Kind, Point
from tests.fakes.waiting import PATIENCE

WEB = PodKey("cluster1", "default", "web-0")
PROGRAM = """
import asyncio, sys
from pathlib import Path
from fleet.metrics.embedded.store import EmbeddedOptions, open_embedded_store
from fleet.model.errors import MetricsUnavailable
from fleet.model.objects import PodKey
from fleet.model.usage import ALL_MEASURES, Kind, Point
async def run():
    async with open_embedded_store(EmbeddedOptions(Path(sys.argv[1]), lookback=2**33)) as store:
        for number, _ in enumerate(sys.stdin):
            keys = [PodKey("c", "n", f"p{pod}") for pod in range(500)]
            try:
                await store.write([(key, Point(10**18 + number, cpu_cores=1.0)) for key in keys])
                print("written", flush=True)
            except MetricsUnavailable as error:
                found = await store.latest(Kind.POD, frozenset(keys), ALL_MEASURES)
                print(f"{len(found)} read, {error}", flush=True)
asyncio.run(run())
"""


async def test_a_full_disk_fails_deliveries_and_no_reads_until_there_is_room(tmp_path: Path) -> None:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, tmp_path / "usage", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    given, answered = process.stdin, process.stdout
    assert given is not None
    assert answered is not None

    async def deliver() -> str:
        given.write(b"\n")
        return (await asyncio.wait_for(answered.readline(), PATIENCE)).decode().strip()

    assert await deliver() == "written"
    # No file may grow beyond what it has: what a full disk is to SQLite.
    size = await asyncio.to_thread(lambda: max(part.stat().st_size for part in tmp_path.iterdir()))
    before = resource.prlimit(process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, (size, before[1]))
    said = {await deliver() for _ in range(3)}
    resource.prlimit(process.pid, resource.RLIMIT_FSIZE, before)
    assert {line for line in said if not line.startswith("500 read, the metric file ")} <= {"written"}
    assert any("check the disk" in line or "the disk is full" in line for line in said), said
    assert await deliver() == "written"
    given.close()
    await asyncio.wait_for(process.wait(), PATIENCE)


@pytest.mark.parametrize("jump", [-400 * 86400, 400 * 86400], ids=["back", "ahead"])
async def test_a_clock_that_jumps_takes_nothing_away(tmp_path: Path, jump: int) -> None:
    now = time.time_ns()
    clock = [now]
    options = EmbeddedOptions(tmp_path / "usage", clock=lambda: clock[0])
    point = Point(now - NANOSECONDS, cpu_cores=1.0)
    async with open_embedded_store(options) as store:
        await store.write([(WEB, point)])
        clock[0] = now + jump * NANOSECONDS
        with suppress(MetricsUnavailable):
            await store.latest(Kind.POD, frozenset({WEB}), ALL_MEASURES)
        await store.cut()
        await store.write([(WEB, replace(point, time_ns=now))])
        clock[0] = now
        found = await store.latest(Kind.POD, frozenset({WEB}), ALL_MEASURES)
        assert found[WEB].time_ns == now
        assert len(await store.points(Kind.POD, WEB, start_ns=0, end_ns=None, limit=9)) == 2


async def test_a_number_that_no_file_holds_is_refused_for_good(tmp_path: Path) -> None:
    """Tried again, it would hold up all that comes behind it."""
    async with open_embedded_store(EmbeddedOptions(tmp_path / "usage.db")) as store:
        with pytest.raises(PointsRefused, match="no room for so large a number"):
            await store.write([(PodKey("cluster1", "default", "web-0"), Point(time_ns=-(2**63) - 1, cpu_cores=1.0))])
        await store.write([(PodKey("cluster1", "default", "web-0"), Point(time_ns=2**60, cpu_cores=1.0))])
