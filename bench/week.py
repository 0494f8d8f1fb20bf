"""A metric file that has been written for a week: the same writes, sealing and cutting, without waiting in between."""

import asyncio
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import mean
from typing import Any

from msgspec import Struct

from bench.kubelet_series import INTERVAL_SECONDS, POD_HABITS, Habit, build_series
from fleet.metrics.aggregate import Series
from fleet.metrics.embedded.store import EmbeddedOptions, EmbeddedStore, open_embedded_store
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import NANOSECONDS, Measure, Point

DAYS = 7
_POINTS = (DAYS + 1) * 86_400 // INTERVAL_SECONDS
_A_DELIVERY = 6 * 3600 // INTERVAL_SECONDS
_LATE = 1800 // INTERVAL_SECONDS
_FIELDS = [measure.value for measure in Measure]


class Filled(Struct, frozen=True):
    """`cpu_seconds` is what sealing half an hour of points took, as it is done all the time."""

    bytes: int
    cpu_seconds: float


async def fill_week(path: Path, pods: Sequence[PodKey], nodes: Sequence[NodeKey], habit: Habit | None = None) -> Filled:
    """Eight days of points until now, sealed and cut to seven. All have the `habit`, or those of a fleet's mix."""
    now = int(time.time()) * NANOSECONDS
    series = [
        *(
            (pod, build_series(habit or POD_HABITS[at % len(POD_HABITS)], _POINTS, now, at))
            for at, pod in enumerate(pods)
        ),
        *((node, build_series(habit or Habit.NODE, _POINTS, now, 10_000 + at)) for at, node in enumerate(nodes)),
    ]
    moment = now
    sealing: list[float] = []
    async with open_embedded_store(EmbeddedOptions(path, clock=lambda: moment, cut_interval=1e9)) as store:
        for begin, end in _deliveries():
            moment = now - (_POINTS - end) * INTERVAL_SECONDS * NANOSECONDS
            await store.write(
                [(key, point) for key, of in series if isinstance(key, PodKey) for point in _points(of, begin, end)],
                [(key, point) for key, of in series if isinstance(key, NodeKey) for point in _points(of, begin, end)],
            )
            sealing.append(await _seal(store))
    return Filled(await asyncio.to_thread(os.path.getsize, path), mean(sealing[-_A_DELIVERY // _LATE :]))


def _deliveries() -> Iterator[tuple[int, int]]:
    """Six hours each, and half an hour each at last, as all of it would be."""
    border = _POINTS - _A_DELIVERY
    yield from ((begin, min(begin + _A_DELIVERY, border)) for begin in range(0, border, _A_DELIVERY))
    yield from ((begin, begin + _LATE) for begin in range(border, _POINTS, _LATE))


async def _seal(store: EmbeddedStore) -> float:
    began = time.process_time()
    await store.cut()
    while await store.seal():
        pass
    return time.process_time() - began


def _points(series: Series, begin: int, end: int) -> Iterable[Point]:
    columns: list[Sequence[Any]] = [series.values[measure][begin:end] for measure in Measure]
    for time_ns, *values in zip(series.times_ns[begin:end], *columns, strict=True):
        yield Point(time_ns=time_ns, node="n1", **dict(zip(_FIELDS, values, strict=True)))
