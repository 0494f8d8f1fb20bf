"""How far apart the samples of each cluster are, as a few of its objects show now and then."""

import time
from collections.abc import Collection, Iterable, Mapping

from fleet.metrics.aggregate import Series, find_resolution_ns
from fleet.metrics.prometheus.objects import Key
from fleet.model.usage import NANOSECONDS

_USUAL_NS = 15 * NANOSECONDS
_KNOWN_SECONDS = 300.0
_UNKNOWN_SECONDS = 15.0
_FEW = 3


class Intervals:
    """By cluster; nanoseconds."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}
        self._due: dict[str, float] = {}

    @property
    def shortest(self) -> int:
        return min(self._known.values(), default=_USUAL_NS)

    def group(self, keys: Iterable[Key]) -> Mapping[int, set[Key]]:
        """The objects by the interval of their cluster."""
        alike: dict[int, set[Key]] = {}
        for key in keys:
            alike.setdefault(self._known.get(key.cluster, _USUAL_NS), set()).add(key)
        return alike

    def pick(self, keys: Collection[Key]) -> frozenset[Key]:
        """A few objects of each cluster that is to be looked at again."""
        few: dict[str, list[Key]] = {}
        now = time.monotonic()
        for key in keys:
            if self._due.get(key.cluster, now) <= now and len(some := few.setdefault(key.cluster, [])) < _FEW:
                some.append(key)
        self._due |= dict.fromkeys(few, now + _UNKNOWN_SECONDS)
        return frozenset(key for some in few.values() for key in some)

    def learn(self, found: Iterable[tuple[Key, Series]]) -> None:
        for key, series in found:
            if len(series.times_ns) > 2:
                self._known[key.cluster] = find_resolution_ns(series.times_ns, _USUAL_NS)
                self._due[key.cluster] = time.monotonic() + _KNOWN_SECONDS
