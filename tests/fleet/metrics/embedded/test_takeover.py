"""Files of the layout before: taken over where they are, as they are."""

import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from fleet.metrics.embedded.file import describe_file
from fleet.metrics.embedded.store import EmbeddedOptions, open_embedded_store
from fleet.model.errors import MetricsUnavailable
from fleet.model.objects import PodKey
from fleet.model.usage import ALL_MEASURES, NANOSECONDS, Kind, Measure, Point

NOW = time.time_ns()
MEASURES = tuple(Measure)
WEB = PodKey("cluster1", "default", "web-0")

FIRST_LAYOUT = """
PRAGMA auto_vacuum = INCREMENTAL;
PRAGMA journal_mode = WAL;
CREATE TABLE series (
  id INTEGER PRIMARY KEY AUTOINCREMENT, kind INTEGER NOT NULL, cluster TEXT NOT NULL, namespace TEXT NOT NULL,
  name TEXT NOT NULL, UNIQUE (kind, cluster, namespace, name)
) STRICT;
CREATE TABLE places (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE points (
  series_id INTEGER NOT NULL, time_ns INTEGER NOT NULL, cpu_cores REAL, memory_bytes INTEGER,
  memory_usage_bytes INTEGER, memory_available_bytes INTEGER, fs_used_bytes INTEGER, fs_capacity_bytes INTEGER,
  fs_available_bytes INTEGER, network_receive_bytes INTEGER, network_transmit_bytes INTEGER, place_id INTEGER,
  PRIMARY KEY (series_id, time_ns)
) STRICT, WITHOUT ROWID;
PRAGMA application_id = 1869439856;
PRAGMA user_version = 1;
"""


def write_first_layout(path: Path, rows: list[tuple[PodKey, Point]]) -> None:
    """A file as the server before wrote it, all pods on node n1."""
    with closing(sqlite3.connect(path)) as file:
        file.executescript(FIRST_LAYOUT)
        file.execute("INSERT INTO places VALUES (1, 'n1')")
        names = {key: number for number, key in enumerate(dict.fromkeys(key for key, _ in rows), 1)}
        file.executemany("INSERT INTO series VALUES (?, 1, ?, ?, ?)", [(name, *key) for key, name in names.items()])
        cells = ", ".join("?" * 12)
        file.executemany(
            f"INSERT INTO points VALUES ({cells})",  # noqa: S608 - question marks
            [
                (names[key], point.time_ns, *(getattr(point, measure.value) for measure in MEASURES), 1)
                for key, point in rows
            ],
        )
        file.commit()


async def test_a_file_of_the_first_layout_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    points = [Point(NOW - ago * NANOSECONDS, cpu_cores=0.5, memory_bytes=ago, node="n1") for ago in (60, 45, 30)]
    write_first_layout(path, [(WEB, point) for point in points])
    assert describe_file(path, 2**29, 7 * 86400).endswith("1 series, of layout 1, which `serve` takes over")
    async with open_embedded_store(EmbeddedOptions(path, clock=lambda: NOW)) as store:
        assert await store.points(Kind.POD, WEB, start_ns=0, end_ns=None, limit=9) == points
        await store.write([(WEB, Point(NOW, cpu_cores=1.0))])
        assert (await store.latest(Kind.POD, frozenset({WEB}), ALL_MEASURES))[WEB].time_ns == NOW
    assert describe_file(path, 2**29, 7 * 86400).endswith("1 series")


async def test_a_file_of_a_newer_layout_says_what_to_do(tmp_path: Path) -> None:
    path = tmp_path / "usage.db"
    write_first_layout(path, [])
    with closing(sqlite3.connect(path)) as file:
        file.execute("PRAGMA user_version = 3")
    said = "has layout 3, this server knows 2: run the newer server again, or move the file away"
    with pytest.raises(MetricsUnavailable, match=said):
        async with open_embedded_store(EmbeddedOptions(path)):
            pass
