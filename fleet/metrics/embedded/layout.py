"""How the metric file is laid out, and how one of an older layout is taken over.

The newest points of a series are rows, in the order of time, which is how they are read; older ones are blocks, one a
tier and period (`tiers`). `places` are the nodes that pods ran on, `facts` what is known of the file as a whole.
"""

import sqlite3
from pathlib import Path

from fleet.metrics.embedded.sqlite import named, transaction
from fleet.metrics.embedded.tiers import TIERS
from fleet.model.errors import MetricsUnavailable
from fleet.model.objects import NodeKey, PodKey
from fleet.model.told import tell
from fleet.model.usage import Kind, Measure

COUNT_SERIES = "SELECT count(*) FROM series"
APPLICATION_ID = 0x6F6D6370
VERSION = 2

MEASURE_COLUMNS = tuple(measure.value for measure in Measure)
KIND_NUMBERS = {Kind.POD: 1, Kind.NODE: 2}

_ROWS = f"""
CREATE TABLE IF NOT EXISTS series (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind INTEGER NOT NULL,
  cluster TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  UNIQUE (kind, cluster, namespace, name)
) STRICT;
CREATE TABLE IF NOT EXISTS places (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE IF NOT EXISTS points (
  series_id INTEGER NOT NULL,
  time_ns INTEGER NOT NULL,
  {", ".join(f"{name} {'REAL' if name == 'cpu_cores' else 'INTEGER'}" for name in MEASURE_COLUMNS)},
  place_id INTEGER,
  PRIMARY KEY (series_id, time_ns)
) STRICT, WITHOUT ROWID;
"""
_FACTS = """
CREATE TABLE IF NOT EXISTS facts (
  name TEXT PRIMARY KEY,
  value INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""
# A table a tier: what is written at the same time is written anew, and goes, at the same time, and leaves whole pages.
_BLOCKS = _FACTS + "".join(
    f"""
CREATE TABLE IF NOT EXISTS {tier.table} (
  series_id INTEGER NOT NULL,
  start_ns INTEGER NOT NULL,
  data BLOB NOT NULL,
  UNIQUE (series_id, start_ns)
) STRICT;
"""
    for tier in TIERS
)


SeriesName = tuple[int, str, str, str]


def series_name(kind: Kind, key: PodKey | NodeKey) -> SeriesName:
    namespace = key.namespace if isinstance(key, PodKey) else ""
    return KIND_NUMBERS[kind], key.cluster, namespace, key.name


def lay_out(connection: sqlite3.Connection, path: Path) -> None:
    """Makes the tables of a new file. An older one is taken over as it is: all its points are rows that wait.

    Raises sqlite3.Error, MetricsUnavailable.
    """
    if is_new(connection):
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        _create(connection, _ROWS + _BLOCKS)
    elif check_layout(connection, path) < VERSION:
        _create(connection, _BLOCKS)


def _create(connection: sqlite3.Connection, tables: str) -> None:
    with transaction(connection):
        for statement in tables.split(";\n"):
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        connection.execute(f"PRAGMA user_version = {VERSION}")


def is_new(connection: sqlite3.Connection) -> bool:
    empty: bool = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    return empty and not connection.execute("PRAGMA application_id").fetchone()[0]


def check_layout(connection: sqlite3.Connection, path: Path) -> int:
    """The version of the layout. Raises MetricsUnavailable for a file of another program or of a newer version."""
    version: int = connection.execute("PRAGMA user_version").fetchone()[0]
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise MetricsUnavailable(tell("{} belongs to another program: name another file for metrics", named(path)))
    if version > VERSION:
        raise MetricsUnavailable(
            tell(
                "{} has layout {}, this server knows {}: run the newer server again, or move the file away",
                named(path),
                version,
                VERSION,
            )
        )
    return version
