"""Lines on their way to a slow place, written by a thread of their own: no disk or reader holds the loop up."""

import queue
import threading
import time
from collections.abc import Callable

MOST_WAITING = 10_000
"""Lines: some 5 MB."""

A_BATCH = 500
_CLOSE_SECONDS = 2.0


class QueuedLines:
    """Waits in memory, within a bound. `write` is called by the thread, with some lines at a time, and raises nothing.

    `gather_seconds` is how long it lets lines come together: each time it wakes, the loop waits for it.
    """

    def __init__(self, name: str, write: Callable[[list[bytes]], None], gather_seconds: float = 0.0) -> None:
        self._closed = False
        self._write = write
        self._gather_seconds = gather_seconds
        self._waiting: queue.SimpleQueue[bytes | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)
        self._thread.start()

    def put(self, line: bytes) -> bool:
        """Whether there was room. Never waits."""
        if self._waiting.qsize() >= MOST_WAITING:
            return False
        self._waiting.put(line)
        return True

    def close(self) -> bool:
        """Waits for lines that are on their way, not for a place that takes none; whether all are there."""
        if not self._closed:
            self._closed = True
            self._waiting.put(None)
            self._thread.join(_CLOSE_SECONDS)
        return not self._thread.is_alive()

    def _run(self) -> None:
        line = self._waiting.get()
        while line is not None:
            time.sleep(self._gather_seconds)
            lines = [line]
            try:
                while len(lines) < A_BATCH and (line := self._waiting.get_nowait()) is not None:
                    lines.append(line)
            except queue.Empty:
                pass
            self._write(lines)
            if line is not None:
                line = self._waiting.get()
