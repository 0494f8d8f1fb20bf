"""Usage and history from an InfluxDB 2.x that holds the platform's points, by Flux with bound parameters.

The platform stores quantities as text, so InfluxDB finds the newest points and makes rows of them, and what is
computed is computed here, by the arithmetic that all stores share: the same points give the same answers.
"""

import contextlib
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TypeVar

from fleet.metrics.aggregate import build_usages
from fleet.metrics.influx.flux_http import FluxConnection, FluxOptions, open_flux_connection
from fleet.metrics.influx.flux_rows import decode_rows, decode_values
from fleet.metrics.influx.flux_text import (
    FluxQuery,
    build_check,
    build_latest,
    build_latest_pairs,
    build_old_pairs,
    build_points,
    build_range,
    build_sightings,
)
from fleet.metrics.influx.influxql_rows import InfluxSeries
from fleet.metrics.influx.influxql_text import FIELDS, LAYOUTS, SIGHTING_TAGS
from fleet.metrics.influx.pool import InfluxAnswer
from fleet.metrics.influx.store import InfluxStore, Read
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import NANOSECONDS, Kind, Measure, Usage
from fleet.ports import MetricStore

__all__ = ["FluxOptions", "FluxStore", "open_flux_store"]

K = TypeVar("K", PodKey, NodeKey)
T = TypeVar("T")

Decode = Callable[[bytes, Sequence[str], Sequence[str]], list[InfluxSeries]]

_RECENT_NS = 60 * NANOSECONDS
"""Where two points of each object are looked for; half of it where there are more than `_MANY`, to bound the answer."""

_MANY = 2_000


class FluxStore(InfluxStore):
    """The `MetricStore` of an InfluxDB 2.x. One question is one request, whatever the number of objects.

    One more is sent where a rate is asked for of objects that were silent of late: both of their points are old.
    """

    name = "flux"

    def __init__(self, options: FluxOptions, connection: FluxConnection) -> None:
        super().__init__()
        self._options = options
        self._bucket = options.bucket
        self._connection = connection

    async def _latest(self, kind: Kind, keys: frozenset[K], measures: frozenset[Measure]) -> Mapping[K, Usage]:
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
        tags, fields = LAYOUTS[kind].tags, [FIELDS[measure] for measure in measures]

        def read(answer: InfluxAnswer) -> dict[K, Usage]:
            return build_usages(self._columns(decode(answer.body, tags, fields), kind, keys, measures))

        return await self._connection.query(query, read)

    async def _ask_range(
        self,
        kind: Kind,
        keys: frozenset[K],
        measures: frozenset[Measure],
        *,
        start_ns: int,
        end_ns: int,
        read: Read[T],
    ) -> T:
        layout = LAYOUTS[kind]
        query = build_range(self._bucket, layout, keys, measures, start_ns=start_ns, end_ns=end_ns)
        return await self._ask(query, layout.tags, [FIELDS[measure] for measure in measures], read)

    async def _ask_points(
        self,
        kind: Kind,
        key: PodKey | NodeKey,
        *,
        start_ns: int | None,
        end_ns: int | None,
        limit: int,
        read: Read[T],
    ) -> T:
        if start_ns is not None and end_ns is not None and start_ns >= end_ns:
            return read([])  # which Flux refuses, and InfluxQL answers so
        query = build_points(self._bucket, LAYOUTS[kind], key, start_ns=start_ns, end_ns=end_ns, limit=limit)
        return await self._ask(query, (), [*FIELDS.values(), "node"], read)

    async def _ask_sightings(self, kind: Kind, keys: frozenset[K], *, start_ns: int, end_ns: int, read: Read[T]) -> T:
        query = build_sightings(self._bucket, kind, keys, start_ns=start_ns, end_ns=end_ns)
        return await self._ask(query, SIGHTING_TAGS, (), read)

    async def _ask(self, query: FluxQuery, tags: Sequence[str], fields: Sequence[str], read: Read[T]) -> T:
        return await self._connection.query(query, lambda answer: read(decode_rows(answer.body, tags, fields)))

    async def check(self) -> str:
        """What the server is, if it lets this token read the bucket. Raises MetricsUnavailable."""

        def read(answer: InfluxAnswer) -> str:
            decode_rows(answer.body, (), ())
            return answer.version

        version = await self._connection.query(build_check(self._bucket), read)
        return f"InfluxDB {version}, bucket {self._bucket} of organisation {self._options.org}"


@contextlib.asynccontextmanager
async def open_flux_store(options: FluxOptions) -> AsyncIterator[MetricStore]:
    """Opens the store; nothing is sent until it is asked, so a server that is down is found by the first question."""
    async with open_flux_connection(options) as connection:
        yield FluxStore(options, connection)
