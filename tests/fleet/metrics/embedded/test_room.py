"""Where there is no room for all that is promised: what goes, what stays, and who is told."""

import logging
from pathlib import Path

import pytest

from fleet.metrics.embedded.file import describe_file
from fleet.metrics.embedded.store import EmbeddedOptions, EmbeddedStore, open_embedded_store
from fleet.model.objects import PodKey
from server.figures.stores import FILE, find_file
from tests.fleet.metrics.embedded.aging import DAY, HOUR, NOON, SECOND, Aging, build_points, open_aging
from tests.server.figures.reading import read_samples, write

PODS = [PodKey("cluster1", "default", f"web-{number}") for number in range(3)]
BOUND = 85_000


async def pass_days(aging: Aging, begin_ns: int, days: float) -> None:
    """Three pods, a point each two minutes, four hours at once."""
    for part in range(round(days * 6)):
        points = build_points(begin_ns + part * 4 * HOUR, 120, every=120)
        await aging.store.write((pod, point) for pod in PODS for point in points)
        await aging.settle(points[-1].time_ns)


def read_file(store: EmbeddedStore) -> dict[str, float]:
    file = find_file(store)
    assert file is not None
    return read_samples(write(FILE, file))


async def test_each_tier_keeps_the_same_share_and_it_is_said(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.WARNING, "fleet.metrics")
    path = tmp_path / "usage.db"
    async with open_aging(path, NOON - 8 * DAY, max_bytes=BOUND) as aging:
        await pass_days(aging, NOON - 8 * DAY, 8)
        extent = aging.store.extent
        assert extent is not None
        assert extent.bytes <= BOUND
        assert extent.early_since_ns is not None
        assert 0.1 < extent.share < 0.9
        oldest = {number: (NOON - time_ns) / DAY for number, time_ns in extent.oldest_ns.items()}
        assert oldest[600] == pytest.approx(7 * extent.share, abs=3.6)
        assert oldest[60] == pytest.approx(extent.share, abs=0.3)
        points = await aging.points(0)
        assert points[-1].time_ns == NOON - 120 * SECOND
        told = read_file(aging.store)
        assert told["openmcp_metric_file_needed_bytes"] == extent.needed_bytes
        assert told["openmcp_metric_file_early_seconds"] > 0
        assert told['openmcp_metric_file_oldest_seconds{resolution="10m"}'] > 0
    words = f"OPENMCP_EMBEDDED_MAX_BYTES={extent.needed_bytes >> 20}Mi would hold all"
    assert words in describe_file(path, BOUND, 7 * 86400)
    said = [record.getMessage() for record in caplog.records]
    assert any(words in line for line in said)
    assert len(said) < 10

    # What is said would do, does: from then on nothing is dropped, and once all is there again, that is said no more.
    async with open_aging(path, NOON, max_bytes=max(extent.needed_bytes, 4 * BOUND)) as aging:
        await pass_days(aging, NOON, 16)
        extent = aging.store.extent
        assert extent is not None
        assert (extent.share, extent.early_since_ns) == (1.0, None)
        assert describe_file(path, BOUND, 7 * 86400).endswith("3 series")


async def test_nothing_is_said_where_there_is_room(tmp_path: Path) -> None:
    async with open_aging(tmp_path / "usage.db", NOON - DAY) as aging:
        await pass_days(aging, NOON - DAY, 1)
        told = read_file(aging.store)
    assert told["openmcp_metric_file_early_seconds"] == 0
    assert told["openmcp_metric_file_needed_bytes"] == 512 << 20


async def test_a_process_that_writes_no_file_tells_nothing_of_one(tmp_path: Path) -> None:
    assert find_file(None) is None
    async with open_embedded_store(EmbeddedOptions(tmp_path / "usage.db")) as store:
        await store.cut()
        assert "openmcp_metric_file_bytes" in read_file(store)
