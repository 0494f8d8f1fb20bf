"""Usage and history from an InfluxDB 1.x, as the platform deploys and feeds it, by InfluxQL with bound parameters.

Latest: since `lookback` ago, by one of two statements. `GROUP BY` an object's tags, newest first, `LIMIT 1` (2 where a
network rate is asked for) is right for any object, and slow, since the server looks into each series by itself. The raw
rows since the time up to which nearly all objects are known to have been measured take a third of that; who has none
among them is asked for in the other way.
History: raw rows of one statement, aggregated here, since the server can't aggregate the strings that are stored.
"""

import contextlib
import time
from collections.abc import AsyncIterator, Mapping
from typing import TypeVar, cast

from fleet.metrics.aggregate import build_usages
from fleet.metrics.influx.cluster_status import build_statuses, read_statuses
from fleet.metrics.influx.influxql_http import InfluxConnection, InfluxOptions, is_packed, open_influx_connection
from fleet.metrics.influx.influxql_rows import InfluxSeries, decode_answer, read_newest
from fleet.metrics.influx.influxql_text import (
    LAYOUTS,
    Statement,
    build_latest,
    build_points,
    build_range,
    build_recent,
    build_sightings,
)
from fleet.metrics.influx.last_seen import SeenTimes
from fleet.metrics.influx.pool import InfluxAnswer
from fleet.metrics.influx.store import InfluxStore, Read
from fleet.model.cluster_status import ClusterStatus
from fleet.model.errors import MetricsUnavailable
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import NANOSECONDS, Kind, Measure, Usage
from fleet.ports import MetricStore

__all__ = ["InfluxOptions", "InfluxqlStore", "open_influxql_store"]

K = TypeVar("K", PodKey, NodeKey)
T = TypeVar("T")


class InfluxqlStore(InfluxStore):
    """The `MetricStore` of an InfluxDB 1.x. One question is one request, whatever the number of objects.

    One more is sent where a few objects had no point of late, and the others did: for these few alone.
    """

    name = "influxql"

    def __init__(self, options: InfluxOptions, connection: InfluxConnection) -> None:
        super().__init__()
        self._options = options
        self._connection = connection
        self._seen = SeenTimes()

    async def _latest(self, kind: Kind, keys: frozenset[K], measures: frozenset[Measure]) -> Mapping[K, Usage]:
        now = time.time_ns()
        since = now - int(self._options.lookback * NANOSECONDS)
        recent = None if any(measure.is_counter for measure in measures) else self._seen.since_ns(keys, now)
        if recent is None or recent < since:
            return await self._newest(kind, keys, measures, since)
        statement = build_recent(LAYOUTS[kind], keys, measures, since_ns=recent)

        def read(answer: list[InfluxSeries]) -> dict[K, Usage]:
            usages = build_usages(read_newest(answer, LAYOUTS[kind], keys, measures, self._cells))
            return self._note(cast("dict[K, Usage]", usages))

        usages = await self._ask(statement, read)
        # What was seen is there still, unless the store was told to forget it meanwhile.
        if silent := keys - usages.keys():
            usages |= await self._newest(kind, silent, measures, since)
        return usages

    async def _newest(
        self, kind: Kind, keys: frozenset[K], measures: frozenset[Measure], since_ns: int
    ) -> dict[K, Usage]:
        points = 2 if any(measure.is_counter for measure in measures) else 1
        statement = build_latest(LAYOUTS[kind], keys, measures, since_ns=since_ns, newest=points)

        def read(answer: list[InfluxSeries]) -> dict[K, Usage]:
            return self._note(build_usages(self._columns(answer, kind, keys, measures)))

        return await self._ask(statement, read)

    def _note(self, usages: dict[K, Usage]) -> dict[K, Usage]:
        self._seen.note(usages)
        return usages

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
        return await self._ask(build_range(LAYOUTS[kind], keys, measures, start_ns=start_ns, end_ns=end_ns), read)

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
        return await self._ask(build_points(LAYOUTS[kind], key, start_ns=start_ns, end_ns=end_ns, limit=limit), read)

    async def _ask_sightings(self, kind: Kind, keys: frozenset[K], *, start_ns: int, end_ns: int, read: Read[T]) -> T:
        return await self._ask(build_sightings(kind, keys, start_ns=start_ns, end_ns=end_ns), read)

    async def cluster_statuses(
        self, cluster: str, *, start_ns: int | None, end_ns: int | None, limit: int
    ) -> list[ClusterStatus]:
        """The platform's scores of a cluster in [start, end), oldest first; with neither bound the newest one."""
        return await self._ask(build_statuses(cluster, start_ns=start_ns, end_ns=end_ns, limit=limit), read_statuses)

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

    async def _ask(self, statement: Statement, read: Read[T]) -> T:
        return await self._connection.query(
            statement.text,
            statement.params,
            lambda answer: read(self._decode(answer)),
            database=self._options.database,
        )

    def _decode(self, answer: InfluxAnswer) -> list[InfluxSeries]:
        return decode_answer(answer.body, self._options.database, packed=is_packed(answer))


@contextlib.asynccontextmanager
async def open_influxql_store(options: InfluxOptions) -> AsyncIterator[MetricStore]:
    """Opens the store; nothing is sent until it is asked, so a server that is down is found by the first question."""
    async with open_influx_connection(options) as connection:
        yield InfluxqlStore(options, connection)
