"""SQLite in the fleet's words: its errors, and transactions that are whole or not at all."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from fleet.model.errors import MetricsUnavailable
from fleet.model.told import Told, foreign, tell


@contextlib.contextmanager
def translated(path: Path, *, refused: type[MetricsUnavailable] = MetricsUnavailable) -> Iterator[None]:
    """Turns SQLite's errors into MetricsUnavailable that says what would mend them; `refused` are numbers too large."""
    try:
        yield
    except OverflowError as error:
        raise refused(tell("{} has no room for so large a number ({})", named(path), error)) from error
    except sqlite3.Error as error:
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
