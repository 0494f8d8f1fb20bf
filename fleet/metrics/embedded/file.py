"""The file of the embedded store: its schema, its connections, and its errors in the fleet's words."""

import contextlib
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from fleet.model.errors import MetricsUnavailable
from fleet.model.told import Told, foreign, tell
from fleet.model.usage import Kind, Measure

COUNT_SERIES = "SELECT count(*) FROM series"
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
        raise MetricsUnavailable(tell("{} {}", named(path), foreign(_verdict(error)))) from error


def named(path: Path) -> str:
    return Told("the metric file", f"the metric file {path.name}")


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


def make_private(path: Path) -> None:
    """Makes the file where it is new, for its owner alone, as SQLite then makes its log; shuts an old one to others.

    Who let a group in, and nobody else, is left with it. Raises OSError where the file can't be written.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
    for part in (path, path.with_name(f"{path.name}-wal"), path.with_name(f"{path.name}-shm")):
        with contextlib.suppress(FileNotFoundError, PermissionError):  # of another owner: theirs to say
            if (mode := part.stat().st_mode) & 0o007:
                part.chmod(mode & 0o700)


def open_writer(path: Path, max_bytes: int) -> sqlite3.Connection:
    """Opens the file for writing, made and laid out where it is new.

    Raises sqlite3.Error, and MetricsUnavailable for a file of another program or of another version.
    """
    if sqlite3.sqlite_version_info < _OLDEST_SQLITE:
        raise MetricsUnavailable(f"SQLite {sqlite3.sqlite_version} is too old for the metric file: 3.38 is needed")
    try:
        make_private(path)
    except OSError as error:
        raise MetricsUnavailable(tell("{} can't be opened: {}", named(path), error.strerror)) from error
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


def describe_file(path: Path) -> str:
    """What a file is, without writing anything. Raises MetricsUnavailable as `open_writer`, and where it is missing."""
    # A log beside it is of a server that runs, or was killed. SQLite makes one even to read, unless told not to.
    mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
    with (
        translated(path),
        contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)) as connection,
    ):
        if _is_new(connection):
            return describe(path, 0)
        _check_layout(connection, path)
        return describe(path, connection.execute(COUNT_SERIES).fetchone()[0])


def describe(path: Path, series: int) -> str:
    return f"SQLite {sqlite3.sqlite_version}, file {path.name}, {series} series"


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
    if _is_new(connection):
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
        connection.execute("PRAGMA journal_mode = WAL")
        with transaction(connection):
            for statement in _TABLES.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
            connection.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
    else:
        _check_layout(connection, path)


def _is_new(connection: sqlite3.Connection) -> bool:
    empty: bool = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0] == 0
    return empty and not connection.execute("PRAGMA application_id").fetchone()[0]


def _check_layout(connection: sqlite3.Connection, path: Path) -> None:
    """Raises MetricsUnavailable for a file of another program or of another version."""
    version = connection.execute("PRAGMA user_version").fetchone()[0]
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise MetricsUnavailable(tell("{} belongs to another program: name another file for metrics", named(path)))
    if version != SCHEMA_VERSION:
        raise MetricsUnavailable(
            tell("{} has layout {}, this server knows {}: move it away", named(path), version, SCHEMA_VERSION)
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
