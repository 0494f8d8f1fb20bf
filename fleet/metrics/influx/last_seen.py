"""When objects were last seen to be measured: a hint at how far back all of their newest points are."""

from collections.abc import Collection, Mapping

from fleet.metrics.influx.layout import Key
from fleet.model.objects import K
from fleet.model.usage import NANOSECONDS, Usage

_RECENT_NS = 90 * NANOSECONDS
"""Older points are looked for object by object: collectors report each minute or more often."""

_MOST_KEPT = 200_000


class LastSeen:
    """The times of the newest points that were answered. It decides how a question is put, never what is answered.

    Threads note while the event loop asks: each does one thing to the dictionary at a time.
    """

    def __init__(self) -> None:
        self._times_ns: dict[Key, int] = {}

    def note(self, usages: Mapping[K, Usage]) -> None:
        if len(self._times_ns) > _MOST_KEPT:
            self._times_ns = {}
        self._times_ns.update({key: usage.time_ns for key, usage in usages.items()})

    def since_ns(self, keys: Collection[Key], now_ns: int) -> int | None:
        """Since when each of the objects has a point; None where that is long ago, or not known."""
        oldest = min((self._times_ns.get(key, 0) for key in keys), default=0)
        return oldest if oldest >= now_ns - _RECENT_NS else None
