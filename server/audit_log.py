"""The audit log: a JSON object a line, to standard output or a file, by a thread of its own.

No disk holds a request up: lines wait in a bounded queue, and what finds no place there, or can't be written, is
counted and said. Workers share a file: each batch is written under the file's lock, whole or not at all, by whoever
rotates too.
"""

import errno
import fcntl
import json
import logging
import os
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import orjson

from fleet.aio.complaints import Complaints
from server.queued_lines import QueuedLines
from server.settings.disclosure import DisclosureSettings

STUCK_SECONDS = 5.0

_log = logging.getLogger(__name__)

Write = Callable[[bytes], None]
"""Writes whole lines, all or none. Raises OSError."""


class AuditLog:
    """Takes entries from the loop's thread. Made by `open_audit_log`; `name` is where it writes."""

    def __init__(self, name: str, write: Write, stuck_seconds: float = STUCK_SECONDS) -> None:
        self.name = name
        self._stuck_seconds = stuck_seconds
        self.written = 0
        self._write = write
        self._crowded_out = 0
        self._failed = 0
        self._told = 0
        self._failure: str | None = None
        self._busy_since: float | None = None
        self._complaints = Complaints()
        self._lines = QueuedLines("audit log", self._write_batch)

    @property
    def dropped(self) -> int:
        """Lines that were not written, and will not be."""
        return self._crowded_out + self._failed

    @property
    def problem(self) -> str | None:
        """What is wrong now; None while lines are written."""
        since = self._busy_since
        stuck = since is not None and time.monotonic() - since > self._stuck_seconds
        reason = f"it has taken nothing for more than {self._stuck_seconds:g} s" if stuck else self._failure
        return (
            f"the audit log {self.name} can't be written: {reason}; {self.dropped} lines are lost" if reason else None
        )

    def write(self, entry: Mapping[str, object]) -> None:
        """Never waits, never raises."""
        try:
            line = orjson.dumps(entry, default=str, option=orjson.OPT_APPEND_NEWLINE)
        except TypeError:  # half of a surrogate pair, which an issuer's JSON may hold
            line = json.dumps(entry, default=str).encode() + b"\n"
        if not self._lines.put(line):
            self._crowded_out += 1
            self._complain("it takes lines too slowly")

    def close(self) -> None:
        """Waits for lines that are on their way, not for a disk that hangs."""
        self._lines.close()

    def _write_batch(self, lines: list[bytes]) -> None:
        self._busy_since = time.monotonic()
        lost = self.dropped - self._told
        try:
            self._write(b"".join([*([_build_lost(lost)] if lost else []), *lines]))
        except OSError as error:
            self._failed += len(lines)
            self._failure = error.strerror or str(error)
            self._complain(self._failure)
        else:
            self.written += len(lines)
            self._told += lost
            self._failure = None
            if self._complaints.settle(self.name):
                _log.info("the audit log %s is written again; %d lines are lost", self.name, self.dropped)
        self._busy_since = None

    def _complain(self, reason: str) -> None:
        if self._complaints.is_due(self.name, reason):
            _log.error("the audit log %s can't be written: %s; %d lines are lost", self.name, reason, self.dropped)


class RotatedFile:
    """A file that is renamed to `NAME.1`, ... `NAME.files` before it grows beyond `max_bytes`."""

    def __init__(self, path: Path, max_bytes: int, files: int) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._files = files
        self._descriptor: int | None = None

    def write(self, lines: bytes) -> None:
        """Appends all of it or nothing. Raises OSError."""
        with self._locked() as descriptor:
            size = os.fstat(descriptor).st_size
            full = size > 0 and size + len(lines) > self._max_bytes
            if not full:
                self._append(descriptor, lines, size)
                return
            for number in range(self._files - 1, 0, -1):
                older = self._numbered(number)
                if older.exists():
                    older.replace(self._numbered(number + 1))
            self._path.replace(self._numbered(1))
        self.write(lines)

    def _append(self, descriptor: int, lines: bytes, size: int) -> None:
        if os.write(descriptor, lines) < len(lines):
            os.ftruncate(descriptor, size)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    @contextmanager
    def _locked(self) -> Iterator[int]:
        """The file that has the name now, which nobody else writes meanwhile."""
        while True:
            if self._descriptor is None:
                self._descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
            descriptor = self._descriptor
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            try:
                if _is_at(descriptor, self._path):
                    yield descriptor
                    return
            finally:
                fcntl.flock(descriptor, fcntl.LOCK_UN)
            os.close(descriptor)  # another process rotated it, or somebody moved or deleted it
            self._descriptor = None

    def _numbered(self, number: int) -> Path:
        return self._path.with_name(f"{self._path.name}.{number}")


def write_stdout(lines: bytes) -> None:
    """Raises OSError."""
    while lines:
        lines = lines[os.write(1, lines) :]


@contextmanager
def open_audit_log(settings: DisclosureSettings) -> Iterator[AuditLog | None]:
    """The log that is named; None where none is."""
    target = settings.audit_log
    if target is None:
        yield None
        return
    file = RotatedFile(Path(target), settings.audit_log_bytes, settings.audit_log_files)
    log = AuditLog("on standard output" if target == "-" else target, write_stdout if target == "-" else file.write)
    try:
        yield log
    finally:
        log.close()


def _is_at(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _build_lost(lines: int) -> bytes:
    return orjson.dumps({"time": time.time(), "kind": "lost", "lines": lines}, option=orjson.OPT_APPEND_NEWLINE)
