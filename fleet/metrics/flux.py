"""Usage and history from an InfluxDB 2.x that holds the platform's points, by Flux with bound parameters.

The platform stores quantities as text, so InfluxDB finds the newest points and makes rows of them, and what is
computed is computed here, by the arithmetic that all stores share: the same points give the same answers.
"""

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TypeVar, cast

from fleet.metrics.aggregate import Series, build_history, build_usage, counter_lead_ns
from fleet.metrics.flux_http import FluxConnection, FluxOptions, open_flux_connection
from fleet.metrics.flux_rows import decode_rows, decode_values
from fleet.metrics.flux_text import (
    FluxQuery,
    build_check,
    build_latest,
    build_latest_pairs,
    build_old_pairs,
    build_points,
    build_range,
    build_sightings,
)
from fleet.metrics.influx_pool import InfluxAnswer
from fleet.metrics.influx_rows import CellReader, InfluxSeries, read_points, read_series, read_sightings
from fleet.metrics.influx_text import FIELDS, LAYOUTS, SIGHTING_TAGS
from fleet.models import NodeKey, PodKey
from fleet.placements import GAP_NS, Placement, group_at, group_by_pod
from fleet.ports import MetricStore
from fleet.usage import NANOSECONDS, Column, History, Kind, Measure, Point, Usage, Window

__all__ = ["FluxOptions", "FluxStore", "open_flux_store"]

K = TypeVar("K", PodKey, NodeKey)

Decode = Callable[[bytes, Sequence[str], Sequence[str]], list[InfluxSeries]]

_RECENT_NS = 60 * NANOSECONDS
"""Where two points of each object are looked for; half of it where there are more than `_MANY`, to bound the answer."""

_MANY = 2_000


class FluxStore:
    """The `MetricStore` of an InfluxDB 2.x. One question is one request, whatever the number of objects.

    One more is sent where a rate is asked for of objects that were silent of late: both of their points are old.
    """

    name = "flux"

    def __init__(self, options: FluxOptions, connection: FluxConnection) -> None:
        self._options = options
        self._bucket = options.bucket
        self._connection = connection
        self._cells = CellReader()

    @property
    def unparsable_cells(self) -> int:
        """How many stored values could not be read as a quantity so far."""
        return self._cells.unparsable

    async def latest_pods(self, keys: frozenset[PodKey], measures: frozenset[Measure]) -> Mapping[PodKey, Usage]:
        """The newest usage of each pod that has a point within the lookback."""
        return await self._latest(Kind.POD, keys, measures)

    async def latest_nodes(self, keys: frozenset[NodeKey], measures: frozenset[Measure]) -> Mapping[NodeKey, Usage]:
        """The newest usage of each node that has a point within the lookback."""
        return await self._latest(Kind.NODE, keys, measures)

    async def pod_history(
        self, keys: frozenset[PodKey], window: Window, columns: frozenset[Column]
    ) -> Mapping[PodKey, History]:
        """The columns over the window for each pod that has a point in it."""
        return await self._history(Kind.POD, keys, window, columns)

    async def node_history(
        self, keys: frozenset[NodeKey], window: Window, columns: frozenset[Column]
    ) -> Mapping[NodeKey, History]:
        """The columns over the window for each node that has a point in it."""
        return await self._history(Kind.NODE, keys, window, columns)

    async def _latest(self, kind: Kind, keys: frozenset[K], measures: frozenset[Measure]) -> Mapping[K, Usage]:
        if not keys:
            return {}
        bucket, layout, now = self._bucket, LAYOUTS[kind], time.time_ns()
        since = now - int(self._options.lookback * NANOSECONDS)
        if not any(measure.is_counter for measure in measures):
            query = build_latest(bucket, layout, keys, measures, since_ns=since)
            return await self._usages(kind, keys, measures, query, decode_rows)
        recent = now - (_RECENT_NS if len(keys) <= _MANY else _RECENT_NS // 2)
        if recent <= since:
            query = build_old_pairs(bucket, layout, keys, measures, since_ns=since)
            return await self._usages(kind, keys, measures, query, decode_values)
        query = build_latest_pairs(bucket, layout, keys, measures, since_ns=since, recent_ns=recent)
        usages = await self._usages(kind, keys, measures, query, decode_values)
        silent = frozenset(key for key, usage in usages.items() if usage.time_ns < recent)
        if silent:
            query = build_old_pairs(bucket, layout, silent, measures, since_ns=since)
            usages |= await self._usages(kind, silent, measures, query, decode_values)
        return usages

    async def _usages(
        self, kind: Kind, keys: frozenset[K], measures: frozenset[Measure], query: FluxQuery, decode: Decode
    ) -> dict[K, Usage]:
        def read(answer: InfluxAnswer) -> dict[K, Usage]:
            found = self._read_series(answer, kind, keys, measures, decode)
            usages = {key: build_usage(series) for key, series in found.items()}
            return {key: usage for key, usage in usages.items() if usage is not None}

        return await self._connection.query(query, read)

    async def _history(
        self, kind: Kind, keys: frozenset[K], window: Window, columns: frozenset[Column]
    ) -> Mapping[K, History]:
        if not keys:
            return {}
        measures = frozenset(measure for measure, _ in columns)
        start = window.start_ns - counter_lead_ns(window, measures)
        query = build_range(self._bucket, LAYOUTS[kind], keys, measures, start_ns=start, end_ns=window.end_ns)

        def read(answer: InfluxAnswer) -> dict[K, History]:
            found = self._read_series(answer, kind, keys, measures, decode_rows)
            histories = {key: build_history(series, window, columns) for key, series in found.items()}
            return {key: history for key, history in histories.items() if history is not None}

        return await self._connection.query(query, read)

    def _read_series(
        self, answer: InfluxAnswer, kind: Kind, keys: frozenset[K], measures: frozenset[Measure], decode: Decode
    ) -> dict[K, Series]:
        layout = LAYOUTS[kind]
        series = decode(answer.body, layout.tags, [FIELDS[measure] for measure in measures])
        return cast("dict[K, Series]", read_series(series, layout, keys, measures, self._cells))

    async def points(
        self, kind: Kind, key: PodKey | NodeKey, *, start_ns: int | None, end_ns: int | None, limit: int
    ) -> list[Point]:
        """The newest `limit` points of one object in [start, end), oldest first; with neither bound the newest one."""
        wanted = 1 if start_ns is None and end_ns is None else limit
        if start_ns is not None and end_ns is not None and start_ns >= end_ns:
            return []  # which Flux refuses, and InfluxQL answers so
        query = build_points(self._bucket, LAYOUTS[kind], key, start_ns=start_ns, end_ns=end_ns, limit=wanted)

        def read(answer: InfluxAnswer) -> list[Point]:
            series = decode_rows(answer.body, (), [*FIELDS.values(), "node"])
            return read_points(series, self._cells)[-wanted:]

        return await self._connection.query(query, read)

    async def pods_on_nodes(self, keys: frozenset[NodeKey], at_ns: int) -> Mapping[NodeKey, list[Placement]]:
        """Which pods ran on each node at a time, by namespace and name."""
        found = await self._sightings(Kind.NODE, keys, at_ns - GAP_NS, at_ns + GAP_NS)
        return group_at(keys, found, at_ns)

    async def placements(
        self, keys: frozenset[PodKey], *, start_ns: int, end_ns: int
    ) -> Mapping[PodKey, list[Placement]]:
        """Where each pod ran in [start, end), oldest first."""
        return group_by_pod(keys, await self._sightings(Kind.POD, keys, start_ns, end_ns))

    async def _sightings(
        self, kind: Kind, keys: frozenset[K], start_ns: int, end_ns: int
    ) -> Mapping[tuple[PodKey, str], list[int]]:
        if not keys or start_ns >= end_ns:
            return {}
        query = build_sightings(self._bucket, kind, keys, start_ns=start_ns, end_ns=end_ns)
        return await self._connection.query(
            query, lambda answer: read_sightings(decode_rows(answer.body, SIGHTING_TAGS, ()))
        )

    async def check(self) -> str:
        """What the server is, if it lets this token read the bucket. Raises MetricsUnavailable."""

        def read(answer: InfluxAnswer) -> str:
            decode_rows(answer.body, (), ())
            return answer.version

        version = await self._connection.query(build_check(self._bucket), read)
        return f"InfluxDB {version}, bucket {self._bucket} of organisation {self._options.org}"

    async def close(self) -> None:
        """Nothing to do: the pool belongs to `open_flux_store`."""


@contextlib.asynccontextmanager
async def open_flux_store(options: FluxOptions) -> AsyncIterator[MetricStore]:
    """Opens the store; nothing is sent until it is asked, so a server that is down is found by the first question."""
    async with open_flux_connection(options) as connection:
        yield FluxStore(options, connection)
