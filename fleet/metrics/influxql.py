"""Usage and history from an InfluxDB 1.x, as the platform deploys and feeds it, by InfluxQL with bound parameters.

Latest: `GROUP BY` an object's tags, newest first, `LIMIT 1` (2 where a network rate is asked for), since `lookback`
ago. That is right for an object whose newest point is old, and hardly slower than the raw rows of the last 30 s.
History: raw rows of one statement, aggregated here, since the server can't aggregate the strings that are stored.
"""

import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from typing import TypeVar, cast

from fleet.cluster_status import ClusterStatus
from fleet.errors import MetricsUnavailable
from fleet.metrics.aggregate import Series, build_history, build_usage, counter_lead_ns
from fleet.metrics.influx_http import InfluxConnection, InfluxOptions, is_packed, open_influx_connection
from fleet.metrics.influx_pool import InfluxAnswer
from fleet.metrics.influx_rows import (
    CellReader,
    InfluxSeries,
    decode_answer,
    read_points,
    read_series,
    read_sightings,
)
from fleet.metrics.influx_status import build_statuses, read_statuses
from fleet.metrics.influx_text import LAYOUTS, Statement, build_latest, build_points, build_range, build_sightings
from fleet.models import NodeKey, PodKey
from fleet.placements import GAP_NS, Placement, group_at, group_by_pod
from fleet.ports import MetricStore
from fleet.usage import NANOSECONDS, Column, History, Kind, Measure, Point, Usage, Window

__all__ = ["InfluxOptions", "InfluxqlStore", "open_influxql_store"]

K = TypeVar("K", PodKey, NodeKey)


class InfluxqlStore:
    """The `MetricStore` of an InfluxDB 1.x. One question is one request, whatever the number of objects."""

    name = "influxql"

    def __init__(self, options: InfluxOptions, connection: InfluxConnection) -> None:
        self._options = options
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
        since = time.time_ns() - int(self._options.lookback * NANOSECONDS)
        newest = 2 if any(measure.is_counter for measure in measures) else 1
        statement = build_latest(LAYOUTS[kind], keys, measures, since_ns=since, newest=newest)

        def read(answer: InfluxAnswer) -> dict[K, Usage]:
            found = self._read_series(answer, kind, keys, measures)
            usages = {key: build_usage(series) for key, series in found.items()}
            return {key: usage for key, usage in usages.items() if usage is not None}

        return await self._connection.query(statement.text, statement.params, read, database=self._options.database)

    async def _history(
        self, kind: Kind, keys: frozenset[K], window: Window, columns: frozenset[Column]
    ) -> Mapping[K, History]:
        if not keys:
            return {}
        measures = frozenset(measure for measure, _ in columns)
        start = window.start_ns - counter_lead_ns(window, measures)
        statement = build_range(LAYOUTS[kind], keys, measures, start_ns=start, end_ns=window.end_ns)

        def read(answer: InfluxAnswer) -> dict[K, History]:
            found = self._read_series(answer, kind, keys, measures)
            histories = {key: build_history(series, window, columns) for key, series in found.items()}
            return {key: history for key, history in histories.items() if history is not None}

        return await self._connection.query(statement.text, statement.params, read, database=self._options.database)

    def _read_series(
        self, answer: InfluxAnswer, kind: Kind, keys: frozenset[K], measures: frozenset[Measure]
    ) -> dict[K, Series]:
        series = self._decode(answer)
        return cast("dict[K, Series]", read_series(series, LAYOUTS[kind], keys, measures, self._cells))

    def _decode(self, answer: InfluxAnswer) -> list[InfluxSeries]:
        return decode_answer(answer.body, self._options.database, packed=is_packed(answer))

    async def points(
        self, kind: Kind, key: PodKey | NodeKey, *, start_ns: int | None, end_ns: int | None, limit: int
    ) -> list[Point]:
        """The newest `limit` points of one object in [start, end), oldest first; with neither bound the newest one."""
        wanted = 1 if start_ns is None and end_ns is None else limit
        statement: Statement = build_points(LAYOUTS[kind], key, start_ns=start_ns, end_ns=end_ns, limit=wanted)

        def read(answer: InfluxAnswer) -> list[Point]:
            return read_points(self._decode(answer), self._cells)

        return await self._connection.query(statement.text, statement.params, read, database=self._options.database)

    async def cluster_statuses(
        self, cluster: str, *, start_ns: int | None, end_ns: int | None, limit: int
    ) -> list[ClusterStatus]:
        """The platform's scores of a cluster in [start, end), oldest first; with neither bound the newest one."""
        statement = build_statuses(cluster, start_ns=start_ns, end_ns=end_ns, limit=limit)

        def read(answer: InfluxAnswer) -> list[ClusterStatus]:
            return read_statuses(self._decode(answer))

        return await self._connection.query(statement.text, statement.params, read, database=self._options.database)

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
        if not keys:
            return {}
        statement = build_sightings(kind, keys, start_ns=start_ns, end_ns=end_ns)

        def read(answer: InfluxAnswer) -> dict[tuple[PodKey, str], list[int]]:
            return read_sightings(self._decode(answer))

        return await self._connection.query(statement.text, statement.params, read, database=self._options.database)

    async def check(self) -> str:
        """What the server is, if it lets this user in and has the database. Raises MetricsUnavailable."""
        options = self._options

        def read(answer: InfluxAnswer) -> tuple[str, set[str]]:
            series = self._decode(answer)
            return answer.version, {str(row[0]) for entry in series for row in entry.values}

        version, databases = await self._connection.query("SHOW DATABASES", {}, read)
        if options.database not in databases:
            reader = f" that user {options.username!r} may read" if options.username else ""
            raise MetricsUnavailable(f"InfluxDB {version} has no database {options.database!r}{reader}")
        return f"InfluxDB {version}, database {options.database}"

    async def close(self) -> None:
        """Nothing to do: the pool belongs to `open_influxql_store`."""


@contextlib.asynccontextmanager
async def open_influxql_store(options: InfluxOptions) -> AsyncIterator[MetricStore]:
    """Opens the store; nothing is sent until it is asked, so a server that is down is found by the first question."""
    async with open_influx_connection(options) as connection:
        yield InfluxqlStore(options, connection)
