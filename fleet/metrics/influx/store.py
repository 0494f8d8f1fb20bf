"""What the stores of an InfluxDB share: what they are asked, and what is made of the rows that come back."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Protocol, TypeVar, cast

from fleet.metrics.aggregate import Columns, build_histories, counter_lead_ns
from fleet.metrics.influx.cells import CellReader
from fleet.metrics.influx.coverage import describe_strange
from fleet.metrics.influx.layout import FIELDS, LAYOUTS, SIGHTING_TAGS, Key, Layout, Query
from fleet.metrics.influx.options import InfluxOptions
from fleet.metrics.influx.pool import InfluxPool
from fleet.metrics.influx.rows import InfluxSeries, read_columns, read_points, read_sightings
from fleet.model.objects import K, NodeKey, PodKey
from fleet.model.placements import GAP_NS, Placement, group_at, group_by_pod
from fleet.model.usage import Column, History, Kind, Measure, Point, TimeRange, Usage

T = TypeVar("T")

Read = Callable[[list[InfluxSeries]], T]
"""What is made of an answer's series, in the thread that received it."""


class Queries(Protocol):
    """The queries that both languages have, by the same signatures: a module each."""

    def build_range(
        self, layout: Layout, keys: Collection[Key], measures: Collection[Measure], *, start_ns: int, end_ns: int
    ) -> Query:
        """All points of the objects in [start, end)."""

    def build_points(self, layout: Layout, key: Key, *, start_ns: int | None, end_ns: int | None, limit: int) -> Query:
        """The newest `limit` points of one object in [start, end), with all fields and its node."""

    def build_sightings(self, kind: Kind, keys: Collection[Key], *, start_ns: int, end_ns: int) -> Query:
        """The points of pods in [start, end), with their node: of these pods, or of all in these nodes' clusters."""


class InfluxStore(ABC):
    """A `MetricStore` but for how its server is asked. One question is one request, whatever the number of objects."""

    name: str
    queries: Queries

    def __init__(self, options: InfluxOptions, pool: InfluxPool) -> None:
        self._options = options
        self._pool = pool
        self._cells = CellReader()
        self._newest_points: dict[tuple[Kind, Key], asyncio.Task[list[Point]]] = {}

    @abstractmethod
    async def check(self) -> str:
        """Asks the server something cheap and says what it is. Raises MetricsUnavailable."""

    @abstractmethod
    async def list_measured(self) -> set[str]:
        """The clusters that there are points of, however old. Raises MetricsUnavailable."""

    async def describe_coverage(self, clusters: Collection[str]) -> str:
        return describe_strange(await self.list_measured(), clusters)

    @abstractmethod
    async def _latest(self, kind: Kind, keys: frozenset[K], measures: frozenset[Measure]) -> Mapping[K, Usage]:
        """The newest usage of each object, of one at least, that has a point within the lookback."""

    @abstractmethod
    async def _ask(self, query: Query, tags: Sequence[str], columns: Sequence[str], read: Read[T]) -> T:
        """Sends a query whose answer has a series for each value of `tags`, of rows of the time and `columns`."""

    @property
    def unparsable_cells(self) -> int:
        """How many stored values could not be read as a quantity so far."""
        return self._cells.unparsable

    async def latest(self, kind: Kind, keys: frozenset[K], measures: frozenset[Measure]) -> Mapping[K, Usage]:
        return await self._latest(kind, keys, measures) if keys else {}

    async def history(
        self, kind: Kind, keys: frozenset[K], window: TimeRange, columns: frozenset[Column]
    ) -> Mapping[K, History]:
        if not keys:
            return {}
        measures = frozenset(measure for measure, _ in columns)
        start = window.start_ns - counter_lead_ns(window, measures)

        def read(answer: list[InfluxSeries]) -> dict[K, History]:
            return build_histories(self._columns(answer, kind, keys, measures).series(), window, columns)

        layout = LAYOUTS[kind]
        query = self.queries.build_range(layout, keys, measures, start_ns=start, end_ns=window.end_ns)
        return await self._ask(query, layout.tags, [FIELDS[measure] for measure in measures], read)

    async def points(
        self, kind: Kind, key: PodKey | NodeKey, *, start_ns: int | None, end_ns: int | None, limit: int
    ) -> list[Point]:
        if start_ns is not None or end_ns is not None:
            return await self._points(kind, key, start_ns, end_ns, limit)
        asking = self._newest_points.get((kind, key))
        if asking is None:
            asking = self._newest_points[kind, key] = asyncio.create_task(self._points(kind, key, None, None, 1))
            asking.add_done_callback(lambda done: self._forget_failed(kind, key, done))
            asyncio.get_running_loop().call_later(self._options.newest_kept, self._newest_points.pop, (kind, key), None)
        return await asyncio.shield(asking)

    async def _points(
        self, kind: Kind, key: PodKey | NodeKey, start_ns: int | None, end_ns: int | None, limit: int
    ) -> list[Point]:
        def read(answer: list[InfluxSeries]) -> list[Point]:
            return read_points(answer, self._cells)[-limit:]

        query = self.queries.build_points(LAYOUTS[kind], key, start_ns=start_ns, end_ns=end_ns, limit=limit)
        return await self._ask(query, (), [*FIELDS.values(), "node"], read)

    def _forget_failed(self, kind: Kind, key: Key, done: asyncio.Task[list[Point]]) -> None:
        """Nor is it kept that there is none: names that nobody measures are the caller's."""
        if (done.cancelled() or done.exception() or not done.result()) and self._newest_points.get((kind, key)) is done:
            del self._newest_points[kind, key]

    async def pods_on_nodes(self, keys: frozenset[NodeKey], at_ns: int) -> Mapping[NodeKey, list[Placement]]:
        return group_at(keys, await self._sightings(Kind.NODE, keys, at_ns - GAP_NS, at_ns + GAP_NS), at_ns)

    async def placements(
        self, keys: frozenset[PodKey], *, start_ns: int, end_ns: int
    ) -> Mapping[PodKey, list[Placement]]:
        return group_by_pod(keys, await self._sightings(Kind.POD, keys, start_ns, end_ns))

    def _columns(
        self, answer: list[InfluxSeries], kind: Kind, keys: frozenset[K], measures: frozenset[Measure]
    ) -> Columns[K]:
        return cast("Columns[K]", read_columns(answer, LAYOUTS[kind], keys, measures, self._cells))

    async def _sightings(
        self, kind: Kind, keys: frozenset[K], start_ns: int, end_ns: int
    ) -> Mapping[tuple[PodKey, str], list[int]]:
        if not keys or start_ns >= end_ns:
            return {}
        query = self.queries.build_sightings(kind, keys, start_ns=start_ns, end_ns=end_ns)
        return await self._ask(query, SIGHTING_TAGS, (), read_sightings)
