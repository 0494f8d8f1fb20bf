"""The newest points that were read from the metric file, kept until the file changes."""

import sqlite3
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from msgspec.structs import replace

from fleet.metrics.embedded.followed import Followed
from fleet.model.errors import MetricsUnavailable
from fleet.model.objects import K, NodeKey, PodKey
from fleet.model.usage import Kind, Measure, Point, Usage

MOST_KEPT = 200_000
"""Objects whose usage or point is kept, about 250 bytes each; what is read beyond them is not."""


class Newest(NamedTuple):
    """Usage as it was read: its rates are since the point before, if there was one of late."""

    usage: Usage
    before_ns: int | None = None

    @property
    def points(self) -> int:
        """Rows of the file that it was made of."""
        return 1 if self.before_ns is None else 2

    @property
    def begin_ns(self) -> int:
        """The time of the first of these."""
        return self.usage.time_ns if self.before_ns is None else self.before_ns

    def since(self, start_ns: int) -> Usage | None:
        """What of it is of that time or later: rates are made of two points."""
        if self.usage.time_ns < start_ns:
            return None
        if self.before_ns is not None and self.before_ns < start_ns:
            return replace(self.usage, network_receive_bytes_per_second=None, network_transmit_bytes_per_second=None)
        return self.usage


Cached = dict[PodKey | NodeKey, Newest | None]
"""Usage by object; None for one that has no point of late."""

Points = dict[tuple[Kind, PodKey | NodeKey], list[Point]]
"""The newest point of each object, however old, in a list of one."""

_MOST_QUESTIONS = 8


class NewestPoints:
    """What is known of the file as it is now, by kind and measures.

    SQLite tells on a connection of its own whether any other wrote to the file, of this process or of another, without
    reading the file; it is asked each time, so what is kept is never older than what the file holds.
    """

    def __init__(self, followed: Followed) -> None:
        self._followed = followed
        self._connection: sqlite3.Connection | None = None
        self._version: int | None = None
        self._cached: dict[tuple[Kind, frozenset[Measure]], Cached] = {}
        self._points: Points = {}

    def cached(self, kind: Kind, measures: frozenset[Measure]) -> Cached:
        """What was read since the last change of the file. What is added to it is kept until the next one."""
        if not self._look():
            return {}
        question = (kind, measures)
        if question not in self._cached and len(self._cached) >= _MOST_QUESTIONS:
            self._cached = {}
        return self._cached.setdefault(question, {})

    def points(self) -> Points:
        """As `cached`, of whole points."""
        return self._points if self._look() else {}

    def _look(self) -> bool:
        """Forgets what the file does not say any more; whether it could be asked."""
        try:
            connection = self._followed.get()
            if connection is not self._connection:
                # Asked by the event loop, which waits for nobody: whoever finds the file locked reads it in a thread.
                connection.execute("PRAGMA busy_timeout = 0")
                self._connection, self._version = connection, None
            version = int(connection.execute("PRAGMA data_version").fetchone()[0])
        except (sqlite3.Error, MetricsUnavailable):
            return False
        if version != self._version or len(self._points) + sum(map(len, self._cached.values())) > MOST_KEPT:
            self._version, self._cached, self._points = version, {}, {}
        return True


def pick_usages(cached: Mapping[PodKey | NodeKey, Newest | None], keys: Iterable[K], since_ns: int) -> dict[K, Usage]:
    """The usage of those objects that have a point since then."""
    picked: dict[K, Usage] = {}
    for key in keys:
        newest = cached.get(key)
        if newest is not None and (usage := newest.since(since_ns)) is not None:
            picked[key] = usage
    return picked
