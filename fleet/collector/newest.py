"""The newest usage of each object, as it was collected here or by other replicas, in memory."""

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping
from itertools import count, repeat
from operator import attrgetter
from typing import Any

from msgspec import Struct

from fleet.model.objects import K, NodeKey, PodKey
from fleet.model.usage import ALL_MEASURES, NANOSECONDS, Kind, Measure, Measured, Point, Usage

_amounts_of = attrgetter("time_ns", *(measure.value for measure in Measure if not measure.is_counter))
NOTHING = "nothing: "
"""Begins what is said of a cluster whose usage comes from nowhere; the reason follows."""

_LOOK_SECONDS = 60.0
_A_TURN = 2_000


class _Newest(Struct, frozen=True, gc=False):
    """An object's newest point, and what is answered of it."""

    point: Point
    usage: Usage


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
                    kept[key] = _Newest(point, self._build_usage(before, point))
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
        newest = {key: each.usage for key in keys if (each := kept.get(key)) and each.point.time_ns >= since}
        found = newest if measures >= ALL_MEASURES else _chosen(newest, measures)
        silent = {key.cluster for key in keys} - {key.cluster for key in found}
        sources = {name: self.sources.get(name, "") for name in silent}
        return Measured(
            found,
            {
                name: f"no usage is collected: {source.removeprefix(NOTHING)}"
                for name, source in sources.items()
                if source.startswith(NOTHING)
            },
        )

    def _build_usage(self, before: _Newest | None, point: Point) -> Usage:
        rates: tuple[float | None, ...] = ()
        if before is not None and (elapsed := point.time_ns - before.point.time_ns) <= self._lookback_ns:
            then, seconds = before.point, elapsed / NANOSECONDS
            rates = (
                _rate(then.network_receive_bytes, point.network_receive_bytes, seconds),
                _rate(then.network_transmit_bytes, point.network_transmit_bytes, seconds),
            )
        return Usage(*_amounts_of(point), *rates)

    def forget(self) -> None:
        """Lets go of what counts no more."""
        since = self._clock() - self._lookback_ns
        for kept in self._kept.values():
            for key in [key for key, newest in kept.items() if newest.point.time_ns < since]:
                del kept[key]


def _rate(before: int | None, now: int | None, seconds: float) -> float | None:
    return None if before is None or now is None or now < before else (now - before) / seconds


def _chosen(usages: Mapping[K, Usage], measures: frozenset[Measure]) -> dict[K, Usage]:
    """The same, but for measures that were not asked for; a column at a time, since pages are large."""
    columns: list[Iterable[Any]] = [map(attrgetter("time_ns"), usages.values())]
    columns += [
        map(attrgetter(measure.usage_field), usages.values()) if measure in measures else repeat(None)
        for measure in Measure
    ]
    return dict(zip(usages, map(Usage, *columns), strict=True))
