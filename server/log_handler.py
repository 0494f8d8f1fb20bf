"""Where log lines go: standard error, at once or by a thread, and never faster than somebody could read them."""

import logging
import os
import select
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from fleet.aio.rates import Rates
from server.queued_lines import QueuedLines

BURST = 500
"""Lines of one kind that may come at once: each of some hundred members may have something to say."""

A_SECOND = 1.0
TELL_SECONDS = 10.0
_PIPE_BUF = 4096
"""Bytes that no other process' line gets into (pipe(7), PIPE_BUF)."""

_GATHER_SECONDS = 0.005
_ONE_A_REQUEST = ("server.request_log", logging.INFO)

_Kind = tuple[str, int, str]


class Repetition:
    """Bounds how often lines of a kind (a logger, a level and a template) come, and counts what is left out."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._rates = Rates(A_SECOND, clock, BURST / A_SECOND)
        self._left_out: Counter[_Kind] = Counter()
        self._tell_at = 0.0

    def takes(self, record: logging.LogRecord) -> bool:
        """Whether it is to be written; of requests each is, and whoever debugs wants all."""
        if record.levelno <= logging.DEBUG or (record.name, record.levelno) == _ONE_A_REQUEST:
            return True
        kind = (record.name, record.levelno, str(record.msg))
        if self._rates.take(kind):
            return True
        self._tell_at = self._tell_at or self._clock() + TELL_SECONDS
        self._left_out[kind] += 1
        return False

    def tell(self, *, now: bool = False) -> list[logging.LogRecord]:
        """Lines that say how many were left out, when it is time to."""
        if not self._tell_at or (not now and self._clock() < self._tell_at):
            return []
        told = [
            logging.LogRecord(name, level, "", 0, "%d more lines like this were left out: %s", (count, text), None)
            for (name, level, text), count in self._left_out.items()
        ]
        self._left_out.clear()
        self._tell_at = 0.0
        return told


class LogHandler(logging.Handler):
    """Writes to standard error, by a thread between `start` and `stop`: a process that will fork has none before.

    A pipe that nobody reads then stops nothing; what finds no room in the queue is counted, and told afterwards.
    """

    def __init__(self) -> None:
        super().__init__()
        self.dropped = 0
        self._told = 0
        self._repetition = Repetition()
        self._lines: QueuedLines | None = None
        self._descriptor: int | None = None

    def start(self, *, threaded: bool = True) -> None:
        """From here on no line is waited for; without a thread, one is dropped when nobody has read those before."""
        self._descriptor = sys.stderr.fileno()  # its own buffer has a lock, for which the process' end would wait
        if threaded and self._lines is None:
            self._lines = QueuedLines("log", self._write, _GATHER_SECONDS)

    def stop(self) -> None:
        """Waits for lines that are on their way, not for a reader who takes none: what comes then is dropped too."""
        for told in self._repetition.tell(now=True):
            self._put(told)
        if self._lines is None or self._lines.close():
            self._lines = self._descriptor = None

    def emit(self, record: logging.LogRecord) -> None:
        if self._repetition.takes(record):
            self._put(record)
        for told in self._repetition.tell():
            self._put(told)

    def close(self) -> None:
        self.stop()
        super().close()

    def _put(self, record: logging.LogRecord) -> None:
        try:
            line = self.format(record).encode(errors="backslashreplace") + b"\n"
        except Exception as error:  # noqa: BLE001 - whatever it is: logging's own way would print the arguments
            line = f"a line of {record.name} could not be written: {type(error).__name__}\n".encode()
        if self._lines is None:
            self._write([line])
        elif not self._lines.put(line):
            self.dropped += 1

    def _write(self, lines: list[bytes]) -> None:
        count, lost = len(lines), self.dropped - self._told
        if lost:
            words = "%d lines are lost: they came faster than this log was read"
            said = self.format(logging.LogRecord(__name__, logging.WARNING, "", 0, words, (lost,), None))
            lines.insert(0, said.encode() + b"\n")
        try:
            for piece in _join(lines):
                self._write_piece(piece)
            self._told += lost
        except (OSError, ValueError):  # nobody reads it now, or any more, or it is closed
            self.dropped += count

    def _write_piece(self, piece: bytes) -> None:
        if self._descriptor is None:
            sys.stderr.write(piece.decode())
            sys.stderr.flush()
            return
        if self._lines is None and not select.select((), (self._descriptor,), (), 0)[1]:
            raise BlockingIOError
        _write_all(self._descriptor, piece)


@contextmanager
def queued_logs(*, threaded: bool = True) -> Iterator[None]:
    """Inside, whoever logs to standard error waits for nobody; who forks has no thread for it."""
    handlers = [handler for handler in logging.getLogger().handlers if isinstance(handler, LogHandler)]
    for handler in handlers:
        handler.start(threaded=threaded)
    try:
        yield
    finally:
        for handler in handlers:
            handler.stop()


def _join(lines: list[bytes]) -> Iterator[bytes]:
    """Pieces of whole lines that are written at once: of workers with one pipe none tears another's."""
    piece = b""
    for line in lines:
        if piece and len(piece) + len(line) > _PIPE_BUF:
            yield piece
            piece = b""
        piece += line
    yield piece


def _write_all(descriptor: int, piece: bytes) -> None:
    """Raises OSError. Waits for the reader, even where who started this process wanted no such wait."""
    while piece:
        try:
            piece = piece[os.write(descriptor, piece) :]
        except BlockingIOError:
            select.select((), (descriptor,), ())
