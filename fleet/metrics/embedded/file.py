"""The file of the embedded store: who may read it, and connections to it."""

import contextlib
import os
import sqlite3
import time
from pathlib import Path

from fleet.metrics.embedded.extent import load_extent, say_early
from fleet.metrics.embedded.layout import COUNT_SERIES, VERSION, check_layout, is_new, lay_out
from fleet.metrics.embedded.sqlite import named, translated
from fleet.model.errors import MetricsUnavailable
from fleet.model.told import tell
from fleet.model.usage import NANOSECONDS

BUSY_SECONDS = 2.0
HEADROOM = 1.25
_OLDEST_SQLITE = (3, 38)


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
        lay_out(connection, path)
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


def is_bare(path: Path) -> bool:
    """Whether a file has no tables yet. Raises sqlite3.Error."""
    with contextlib.closing(open_reader(path)) as connection:
        return is_new(connection)


def describe_file(path: Path, max_bytes: int, max_age: float) -> str:
    """What a file is, and what it lacks, without writing anything. `max_age` in seconds.

    Raises MetricsUnavailable as `open_writer`, and where it is missing.
    """
    # A log beside it is of a server that runs, or was killed. SQLite makes one even to read, unless told not to.
    mode = "mode=ro" if path.with_name(f"{path.name}-wal").exists() else "immutable=1"
    with (
        translated(path),
        contextlib.closing(sqlite3.connect(f"{path.absolute().as_uri()}?{mode}", uri=True)) as connection,
    ):
        if is_new(connection):
            return describe(path, 0)
        version = check_layout(connection, path)
        said = describe(path, connection.execute(COUNT_SERIES).fetchone()[0])
        if version < VERSION:
            return f"{said}, of layout {version}, which `serve` takes over"
        early = say_early(load_extent(connection, max_bytes, int(max_age * NANOSECONDS), time.time_ns()))
        return ", but ".join(filter(None, (said, early)))


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
