"""The file of the embedded store: its schema, its connections, and its errors in the fleet's words."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from fleet.model.errors import MetricsUnavailable
from fleet.model.usage import Kind, Measure

APPLICATION_ID = 0x6F6D6370
SCHEMA_VERSION = 1
BUSY_SECONDS = 2.0
HEADROOM = 1.25
_OLDEST_SQLITE = (3, 38)

MEASURE_COLUMNS = tuple(measure.value for measure in Measure)
KIND_NUMBERS = {Kind.POD: 1, Kind.NODE: 2}

_TABLES = f"""
CREATE TABLE series (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind INTEGER NOT NULL,
  cluster TEXT NOT NULL,
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  UNIQUE (kind, cluster, namespace, name)
) STRICT;
CREATE TABLE places (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE
) STRICT;
CREATE TABLE points (
  series_id INTEGER NOT NULL,
  time_ns INTEGER NOT NULL,
  {", ".join(f"{name} {'REAL' if name == 'cpu_cores' else 'INTEGER'}" for name in MEASURE_COLUMNS)},
  place_id INTEGER,
  PRIMARY KEY (series_id, time_ns)
) STRICT, WITHOUT ROWID;
"""
# One series' points lie together in the order of time, which is how they are read, and how old ones are cut: no other
# index is needed. `places` are the nodes that pods ran on.


@contextlib.contextmanager
def translated(path: Path) -> Iterator[None]:
    """Turns SQLite's errors into MetricsUnavailable that says what would mend them."""
    try:
        yield
    except (sqlite3.Error, OverflowError) as error:
        raise MetricsUnavailable(f"the metric file {path.name} {_verdict(error)}") from error


def _verdict(error: Exception) -> str:
    code = getattr(error, "sqlite_errorcode", None)
    primary = code & 0xFF if isinstance(code, int) else None
    return {
        sqlite3.SQLITE_FULL: "can't grow: the disk is full or the file has reached its bound",
        sqlite3.SQLITE_BUSY: "is locked by another process",
        sqlite3.SQLITE_LOCKED: "is locked by another process",
        sqlite3.SQLITE_CORRUPT: "is damaged: move it away, and a new one is made",
        sqlite3.SQLITE_NOTADB: "is not a database: move it away, and a new one is made",
        sqlite3.SQLITE_READONLY: "can't be written: check its permissions",
        sqlite3.SQLITE_CANTOPEN: "can't be opened: check its folder and permissions",
        sqlite3.SQLITE_INTERRUPT: "did not answer in time",
        sqlite3.SQLITE_IOERR: "can't be read or written: check the disk",
    }.get(primary or 0, f"can't be used ({error})")


def open_writer(path: Path, max_bytes: int) -> sqlite3.Connection:
    """Opens the file for writing, made and laid out where it is new.

    Raises sqlite3.Error, and MetricsUnavailable for a file of another program or of another version.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise MetricsUnavailable(f"SQLite {sqlite3.sqlite_version} is too old for the metric file: 3.38 is needed")
    connection = _connect(path)
    try:
        _lay_out(connection, path)
        page_size = connection.execute("PRAGMA page_size").fetchone()[0]
        connection.execute(f"PRAGMA max_page_count = {max(16, int(max_bytes * HEADROOM) // page_size)}")
    except BaseException:
        connection.close()
        raise
    return connection


def open_reader(path: Path) -> sqlite3.Connection:
    """Opens the laid-out file for reading. Raises sqlite3.Error."""
    connection = _connect(path)
    connection.execute("PRAGMA query_only = ON")
    return connection


def _connect(path: Path) -> sqlite3.Connection:
    # Connections are handed from thread to thread, one holder at a time; transactions are begun by hand.
    connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
    try:
        connection.execute("PRAGMA synchronous = NORMAL")
        connection.execute("PRAGMA journal_size_limit = 16777216")
    except BaseException:
        connection.close()
        raise
    return connection


def _lay_out(connection: sqlite3.Connection, path: Path) -> None:
    application = connection.execute("PRAGMA application_id").fetchone()[0]
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    empty = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    if empty and application == 0:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        with transaction(connection):
            for statement in _TABLES.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    elif application != APPLICATION_ID:
        raise MetricsUnavailable(f"the file {path.name} belongs to another program: name another file for metrics")
    elif version != SCHEMA_VERSION:
        raise MetricsUnavailable(
            f"the metric file {path.name} has layout {version}, this server knows {SCHEMA_VERSION}: move it away"
        )


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """One write transaction, whole or not at all."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
    except BaseException:
        # A full disk may have rolled it back already.
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
    try:
        connection.execute("COMMIT")
    except sqlite3.Error:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
        raise
