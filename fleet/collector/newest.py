"""The newest usage of each object, as it was collected here or by other replicas, in memory."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import count
from typing import Any

from msgspec import Struct

from fleet.model.objects import K, NodeKey, PodKey
from fleet.model.usage import NANOSECONDS, Kind, Measure, Measured, Point, Usage

_LOOK_SECONDS = 60.0
_A_TURN = 2_000


class _Newest(Struct, frozen=True, gc=False):
    """An object's newest point, and what its counters grew by a second since the one before."""

    point: Point
    rates: tuple[float | None, float | None]


class NewestUsage:
    """A `PointStore` that keeps what `latest` answers: of points that are `lookback` seconds old at most.

    `sources` says of a cluster where its usage comes from, or why there is none, as a `Collector` does.
    """

    def __init__(self, lookback: float, clock: Callable[[], int] = time.time_ns) -> None:
        self.sources: Mapping[str, str] = {}
        self._lookback_ns = int(lookback * NANOSECONDS)
        self._clock = clock
        self._kept: dict[Kind, dict[PodKey | NodeKey, _Newest]] = {kind: {} for kind in Kind}
        self._looked = time.monotonic()

    async def write(self, pods: Iterable[tuple[PodKey, Point]], nodes: Iterable[tuple[NodeKey, Point]]) -> None:
        turns = count(1)
        for kind, delivery in ((Kind.POD, pods), (Kind.NODE, nodes)):
            kept = self._kept[kind]
            for key, point in delivery:
                before = kept.get(key)
                if before is None or point.time_ns > before.point.time_ns:
                    kept[key] = _Newest(point, self._rates(before, point))
                if next(turns) % _A_TURN == 0:
                    await asyncio.sleep(0)
        if time.monotonic() - self._looked > _LOOK_SECONDS:
            self._looked = time.monotonic()
            self.forget()

    @property
    def size(self) -> int:
        """Objects that are kept."""
        return sum(map(len, self._kept.values()))

    def latest(self, kind: Kind, keys: frozenset[K], measures: frozenset[Measure]) -> Measured[K, Usage]:
        """As a `MetricStore` answers it; a cluster without a point whose usage is not collected is a problem."""
        since, kept = self._clock() - self._lookback_ns, self._kept[kind]
        found = {
            key: _usage_of(newest, measures)
            for key in keys
            if (newest := kept.get(key)) is not None and newest.point.time_ns >= since
        }
        silent = {key.cluster for key in keys} - {key.cluster for key in found}
        return Measured(
            found, {name: why for name in silent if (why := self.sources.get(name, "")).startswith("nothing")}
        )

    def _rates(self, before: _Newest | None, point: Point) -> tuple[float | None, float | None]:
        if before is None or point.time_ns - before.point.time_ns > self._lookback_ns:
            return None, None
        seconds = (point.time_ns - before.point.time_ns) / NANOSECONDS
        return (
            _rate(before.point.network_receive_bytes, point.network_receive_bytes, seconds),
            _rate(before.point.network_transmit_bytes, point.network_transmit_bytes, seconds),
        )

    def forget(self) -> None:
        """Lets go of what counts no more."""
        since = self._clock() - self._lookback_ns
        for kept in self._kept.values():
            for key in [key for key, newest in kept.items() if newest.point.time_ns < since]:
                del kept[key]


def _rate(before: int | None, now: int | None, seconds: float) -> float | None:
    return None if before is None or now is None or now < before else (now - before) / seconds


def _usage_of(newest: _Newest, measures: frozenset[Measure]) -> Usage:
    point, (receive, transmit) = newest.point, newest.rates
    rates = {Measure.NETWORK_RECEIVE_BYTES: receive, Measure.NETWORK_TRANSMIT_BYTES: transmit}
    values: dict[str, Any] = {
        measure.usage_field: rates[measure] if measure.is_counter else getattr(point, measure.value)
        for measure in measures
    }
    return Usage(time_ns=point.time_ns, **values)
