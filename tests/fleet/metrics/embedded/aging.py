"""A store whose clock is the test's, so that its points grow old within milliseconds."""

import math
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from itertools import groupby
from pathlib import Path

from fleet.metrics.aggregate import build_history
from fleet.metrics.embedded.store import EmbeddedOptions, EmbeddedStore, open_embedded_store
from fleet.model.objects import PodKey
from fleet.model.usage import ALL_MEASURES, NANOSECONDS, Aggregate, Column, History, Kind, Measure, Point, TimeRange
from tests.fleet.metrics.stores import build_series

SECOND = NANOSECONDS
MINUTE, HOUR, DAY = 60 * SECOND, 3600 * SECOND, 86_400 * SECOND
NOON = 1_790_000_000 * SECOND // DAY * DAY + DAY // 2
WEB = PodKey("cluster1", "default", "web-0")
BOUNDS = (Aggregate.MEAN, Aggregate.MIN, Aggregate.MAX, Aggregate.LAST)
COLUMNS: frozenset[Column] = frozenset((measure, aggregate) for measure in Measure for aggregate in BOUNDS)


class Aging:
    """A store, and the time it has."""

    store: EmbeddedStore

    def __init__(self, now_ns: int) -> None:
        self.now_ns = now_ns

    async def settle(self, now_ns: int | None = None) -> None:
        """Cuts and seals all there is to, at that time."""
        self.now_ns = self.now_ns if now_ns is None else now_ns
        while await self.store.cut():
            while await self.store.seal():
                pass

    async def live(self, points: Iterable[Point], key: PodKey = WEB) -> None:
        """Points as time passes: a quarter of an hour of them at once, and bounds kept between."""
        for _, together in groupby(points, lambda point: point.time_ns // (15 * MINUTE)):
            written = list(together)
            await self.store.write((key, point) for point in written)
            await self.settle(written[-1].time_ns)

    async def history(self, window: TimeRange, columns: Iterable[Column] = COLUMNS, key: PodKey = WEB) -> History:
        return (await self.store.history(Kind.POD, frozenset({key}), window, frozenset(columns)))[key]

    async def points(self, start_ns: int, end_ns: int | None = None, limit: int = 10**6) -> list[Point]:
        return await self.store.points(Kind.POD, WEB, start_ns=start_ns, end_ns=end_ns, limit=limit)


@asynccontextmanager
async def open_aging(path: Path, now_ns: int = NOON, **options: object) -> AsyncIterator[Aging]:
    aging = Aging(now_ns)
    made = EmbeddedOptions(path, cut_interval=10**6, clock=lambda: aging.now_ns, **options)  # type: ignore[arg-type]  # named by the caller
    async with open_embedded_store(made) as store:
        aging.store = store
        await aging.settle()
        yield aging


def build_points(start_ns: int, count: int, every: int = 15, node: str = "n1") -> list[Point]:
    """Points of all measures, uneven and with a reset of counters now and then, oldest first."""
    return [
        Point(
            time_ns=start_ns + number * every * SECOND,
            cpu_cores=0.25 + number % 7 / 100 + number / 10**5,
            memory_bytes=4096 * (10_000 + number % 13),
            memory_usage_bytes=4096 * (20_000 + number % 11),
            memory_available_bytes=4096 * (90_000 - number % 13),
            fs_used_bytes=4096 * (100 + number // 50),
            fs_capacity_bytes=10**11,
            fs_available_bytes=10**11 - 4096 * (number // 50),
            network_receive_bytes=(1000 + number % 5) * (number % 1000),
            network_transmit_bytes=777 * number,
            node=node,
        )
        for number in range(count)
    ]


def expect(points: Iterable[Point], window: TimeRange, columns: Iterable[Column] = COLUMNS) -> History:
    expected = build_history(build_series(points, ALL_MEASURES), window, columns)
    assert expected is not None
    return expected


def assert_near(found: History, expected: History, rel: float = 1e-9) -> None:
    """Columns are equal but for rounding, and for `rel` of it."""
    assert found.time_range == expected.time_range
    for column, values in expected.columns.items():
        for at, (a, b) in enumerate(zip(found.columns[column], values, strict=True)):
            same = a == b or (a is not None and b is not None and math.isclose(a, b, rel_tol=rel, abs_tol=1e-9))
            assert same, f"{column} at step {at} is {a}, not {b}"
