"""What a command is at: one line that changes on a terminal, and elsewhere a line every few seconds."""

import itertools
import shutil
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

EVERY_SECONDS = 5.0
_TURN_SECONDS = 0.1
_SPINNER = "|/-\\"


@contextmanager
def open_progress(
    stream: TextIO | None = None, every_seconds: float = EVERY_SECONDS
) -> Iterator[Callable[[str], None]]:
    """Takes what is done now, as often as one likes; on a terminal nothing of it stays when the `with` is left."""
    progress = _Progress(stream or sys.stderr, every_seconds)
    thread = threading.Thread(target=progress.run, name="progress", daemon=True)
    thread.start()
    try:
        yield progress.say
    finally:
        progress.ended.set()
        thread.join()


class _Progress:
    def __init__(self, stream: TextIO, every_seconds: float) -> None:
        self.ended = threading.Event()
        self._stream = stream
        self._every_seconds = every_seconds
        self._text = ""
        self._begun = time.monotonic()

    def say(self, text: str) -> None:
        self._text = text

    def run(self) -> None:
        if self._stream.isatty():
            self._turn()
        else:
            while not self.ended.wait(self._every_seconds):
                self._write(f"{self._text} ({self._seconds:.0f} s)\n")

    @property
    def _seconds(self) -> float:
        return time.monotonic() - self._begun

    def _turn(self) -> None:
        for sign in itertools.cycle(_SPINNER):
            line = f"{sign} {self._text} ({self._seconds:.0f} s)"
            # The cursor goes back, so that a line of the log takes its place.
            self._write(f"{line[: shutil.get_terminal_size().columns - 1]}\x1b[K\r")
            if self.ended.wait(_TURN_SECONDS):
                break
        self._write("\x1b[K")

    def _write(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except (OSError, ValueError):  # nobody reads it any more
            self.ended.set()
