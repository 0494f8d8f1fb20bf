"""The metric file as it is now: deleted or replaced while the server runs, it is told, and opened anew.

SQLite goes on with the file that it has open, which nobody else finds any more. What it has written beside the old file
belongs to that one alone: taken for the new one's it would damage it. Source: sqlite.org/howtocorrupt.html, section 2.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from fleet.metrics.embedded.file import is_bare, open_reader, open_writer
from fleet.metrics.embedded.sqlite import named
from fleet.model.errors import MetricsUnavailable
from fleet.model.told import tell

_Identity = tuple[int, int] | None

_BESIDE = ("-wal", "-shm")

logger = logging.getLogger(__name__)


class FollowedFile:
    """A file that `writes` or only reads; of the latter kind some other process makes a new one where it is missing."""

    def __init__(self, path: Path, max_bytes: int, *, writes: bool) -> None:
        self.path = path
        self._max_bytes = max_bytes
        self._writes = writes
        self._lock = threading.RLock()
        self._identity = _identify(path)
        self._beside: dict[Path, _Identity] = {}
        self._number = 0

    def open_writer(self) -> sqlite3.Connection:
        return self._open(lambda: open_writer(self.path, self._max_bytes))

    def open_reader(self) -> sqlite3.Connection:
        return self._open(lambda: open_reader(self.path))

    def look(self) -> int:
        """Which of the files that were at the path is there now. Raises MetricsUnavailable, sqlite3.Error."""
        if _identify(self.path) != self._identity:
            with self._lock:
                if _identify(self.path) != self._identity:
                    self._replace()
        return self._number

    def _replace(self) -> None:
        gone = _identify(self.path) is None
        stale = [part for part, identity in self._beside.items() if identity and _identify(part) == identity]
        if not self._writes and (gone or stale or is_bare(self.path)):
            raise MetricsUnavailable(tell("{} was deleted or replaced, and is not made anew yet", named(self.path)))
        for part in stale:
            part.unlink(missing_ok=True)
        if self._writes:
            with closing(open_writer(self.path, self._max_bytes)):
                what = "deleted: what it held is lost, a new one is begun" if gone else "replaced: the new one counts"
                logger.error("the metric file %s was %s", self.path, what)
        self._identity = _identify(self.path)
        self._number += 1

    def _open(self, opens: Callable[[], sqlite3.Connection]) -> sqlite3.Connection:
        with self._lock:
            opened = opens()
            opened.execute("SELECT count(*) FROM sqlite_schema")  # makes what stands beside the file
            self._identity = self._identity or _identify(self.path)
            self._beside = {part: _identify(part) for part in map(self._name_beside, _BESIDE)}
        return opened

    def _name_beside(self, suffix: str) -> Path:
        return self.path.with_name(self.path.name + suffix)


class Followed:
    """A connection to the file as it is now. Of one thread at a time."""

    def __init__(self, file: FollowedFile, opens: Callable[[], sqlite3.Connection]) -> None:
        self._file = file
        self._opens = opens
        self._number = file.look()
        self._connection = opens()

    def get(self) -> sqlite3.Connection:
        """The connection, another one than before where the file is. Raises MetricsUnavailable, sqlite3.Error."""
        number = self._file.look()
        if number != self._number:
            self._connection.close()
            self._connection = self._opens()
            self._number = number
        return self._connection

    def close(self) -> None:
        self._connection.close()


def _identify(path: Path) -> _Identity:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_dev, found.st_ino
