"""What is counted at the seams for as long as the process lives: how long things took, and what came of them.

It is written on the event loop, but for a `Sum`, and read by whoever shows it. Names and types of figures are those of
`server.figures`.
"""

import threading
from bisect import bisect_left
from collections import Counter
from itertools import accumulate

BOUNDS = (0.005, 0.025, 0.1, 0.5, 2.5, 10.0)
"""Upper bounds of durations in seconds, from what memory answers at once to where callers give up; five-fold steps let
a quantile be told apart from its double, and keep the series of a histogram to nine."""


class Durations:
    """A histogram: `counts` by the first of `BOUNDS` that it took no longer than, or longer; `seconds` in all."""

    __slots__ = ("counts", "seconds")

    def __init__(self) -> None:
        self.counts = [0] * (len(BOUNDS) + 1)
        self.seconds = 0.0

    def note(self, seconds: float) -> None:
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.seconds += seconds

    def cumulated(self) -> list[int]:
        """How many took no longer than each bound; the last is of all."""
        return list(accumulate(self.counts))


class Sum:
    """A number that threads add to."""

    __slots__ = ("_lock", "value")

    def __init__(self) -> None:
        self.value = 0
        self._lock = threading.Lock()

    def add(self, count: int) -> None:
        with self._lock:
            self.value += count


class Calls:
    """Calls of one server: how long answers took to begin, and what came of calls, by a few words."""

    __slots__ = ("durations", "outcomes")

    def __init__(self) -> None:
        self.durations = Durations()
        self.outcomes: Counter[str] = Counter()

    def note(self, outcome: str, seconds: float | None = None) -> None:
        self.outcomes[outcome] += 1
        if seconds is not None:
            self.durations.note(seconds)


class Follows:
    """How something was followed: whole lists and the seconds they took, and watches that were opened."""

    __slots__ = ("list_seconds", "lists", "watches")

    def __init__(self) -> None:
        self.lists = self.watches = 0
        self.list_seconds = 0.0

    def note_list(self, seconds: float) -> None:
        self.lists += 1
        self.list_seconds += seconds
