"""Usage and history from an InfluxDB 1.x, as the platform deploys and feeds it, by InfluxQL with bound parameters.

Latest: since `lookback` ago, by one of two statements. `GROUP BY` an object's tags, newest first, `LIMIT 1` (2 where a
network rate is asked for) is right for any object, and slow, since the server looks into each series by itself. The raw
rows since the time up to which nearly all objects are known to have been measured take a third of that; who has none
among them is asked for in the other way.
History: raw rows of one statement, aggregated here, since the server can't aggregate the strings that are stored.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar, cast

from fleet.metrics.aggregate import build_usages
from fleet.metrics.influx import influxql_text
from fleet.metrics.influx.cluster_status import build_statuses, read_statuses
from fleet.metrics.influx.coverage import build_clusters, read_clusters
from fleet.metrics.influx.field_types import (
    Mixed,
    build_field_types,
    cast_fields,
    describe,
    merge_casts,
    read_mixed_fields,
)
from fleet.metrics.influx.influxql_answer import NotExecuted, build_call, decode_answer, explain_refusal
from fleet.metrics.influx.last_seen import LastSeen
from fleet.metrics.influx.layout import LAYOUTS, Query
from fleet.metrics.influx.options import InfluxOptions
from fleet.metrics.influx.pool import InfluxAnswer, InfluxPool
from fleet.metrics.influx.rows import InfluxSeries, read_newest
from fleet.metrics.influx.store import InfluxStore, Read
from fleet.metrics.pool import Call
from fleet.model.cluster_status import ClusterStatus
from fleet.model.errors import MetricsUnavailable
from fleet.model.objects import K
from fleet.model.told import tell
from fleet.model.usage import NANOSECONDS, Kind, Measure, Usage

T = TypeVar("T")


class InfluxqlStore(InfluxStore):
    """The `MetricStore` of an InfluxDB 1.x. One question is one request, whatever the number of objects.

    One more is sent where a few objects had no point of late, and the others did: for these few alone.
    """

    name = "influxql"
    queries = influxql_text

    def __init__(self, options: InfluxOptions, pool: InfluxPool) -> None:
        super().__init__(options, pool)
        self._last_seen = LastSeen()
        self._mixed: Mixed | None = None
        self._types_due = 0.0

    async def _latest(self, kind: Kind, keys: frozenset[K], measures: frozenset[Measure]) -> Mapping[K, Usage]:
        now = time.time_ns()
        since = now - int(self._options.lookback * NANOSECONDS)
        recent = None if any(measure.is_counter for measure in measures) else self._last_seen.since_ns(keys, now)
        if recent is None or recent < since:
            return await self._newest(kind, keys, measures, since)
        query = influxql_text.build_recent(LAYOUTS[kind], keys, measures, since_ns=recent)

        def read(answer: list[InfluxSeries]) -> dict[K, Usage]:
            usages = build_usages(read_newest(answer, LAYOUTS[kind], keys, measures, self._cells))
            return self._note(cast("dict[K, Usage]", usages))

        usages = await self._ask(query, (), (), read)
        # What was seen is there still, unless the store was told to forget it meanwhile.
        if silent := keys - usages.keys():
            usages |= await self._newest(kind, silent, measures, since)
        return usages

    async def _newest(
        self, kind: Kind, keys: frozenset[K], measures: frozenset[Measure], since_ns: int
    ) -> dict[K, Usage]:
        points = 2 if any(measure.is_counter for measure in measures) else 1
        query = influxql_text.build_latest(LAYOUTS[kind], keys, measures, since_ns=since_ns, newest=points)

        def read(answer: list[InfluxSeries]) -> dict[K, Usage]:
            return self._note(build_usages(self._columns(answer, kind, keys, measures)))

        return await self._ask(query, (), (), read)

    def _note(self, usages: dict[K, Usage]) -> dict[K, Usage]:
        self._last_seen.note(usages)
        return usages

    async def cluster_statuses(
        self, cluster: str, *, start_ns: int | None, end_ns: int | None, limit: int
    ) -> list[ClusterStatus]:
        """The platform's scores of a cluster in [start, end), oldest first; with neither bound the newest one."""
        query = build_statuses(cluster, start_ns=start_ns, end_ns=end_ns, limit=limit)
        return await self._ask(query, (), (), read_statuses)

    async def check(self) -> str:
        """What the server is, if it lets this user in and has the database. Raises MetricsUnavailable."""
        options = self._options

        def read(answer: InfluxAnswer) -> tuple[str, set[str]]:
            (series,) = decode_answer(answer, options.database)
            return answer.version, {str(row[0]) for entry in series for row in entry.values}

        version, databases = await self._send(build_call(Query("SHOW DATABASES", {}), None), read)
        if options.database not in databases:
            reader = tell(" that {} may read", options.caller) if options.username else ""
            raise MetricsUnavailable(tell("InfluxDB {} has no database {!r}{}", version, options.database, reader))
        types = build_call(build_field_types(), options.database)
        self._mixed = await self._send(
            types, lambda answer: read_mixed_fields(*decode_answer(answer, options.database))
        )
        said = "".join(f"; {entry}" for entry in describe(self._mixed))
        return f"InfluxDB {version}, database {options.database}{said}"

    async def list_measured(self) -> set[str]:
        call = build_call(build_clusters(), self._options.database)
        return await self._send(call, lambda answer: read_clusters(*decode_answer(answer, self._options.database)))

    async def _ask(self, query: Query, tags: Sequence[str], columns: Sequence[str], read: Read[T]) -> T:
        """As any store's. Now and then a question brings along in which types fields are stored."""
        known, database = self._mixed or {}, self._options.database
        question, fresh = cast_fields(query, known), time.monotonic() < self._types_due

        def read_one(answer: InfluxAnswer) -> T:
            return read(merge_casts(*decode_answer(answer, database)))

        def read_both(answer: InfluxAnswer) -> tuple[T, Mixed]:
            series, types = decode_answer(answer, database, 2)
            return read(merge_casts(series)), read_mixed_fields(types)

        if self._mixed is None or not fresh:
            self._types_due = time.monotonic() + self._options.types_kept
            try:
                found, self._mixed = await self._send(build_call(question, database, build_field_types()), read_both)
            except NotExecuted:
                pass
            else:
                return found if self._mixed == known else await self._ask(query, tags, columns, read)
        return await self._send(build_call(question, database), read_one)

    async def _send(self, call: Call, read: Callable[[InfluxAnswer], T]) -> T:
        return await self._pool.ask(call, read, lambda status, _: explain_refusal(self._options, status))
