"""Usage and history from an InfluxDB 2.x that holds the platform's points, by Flux with bound parameters.

The platform stores quantities as text, so InfluxDB finds the newest points and makes rows of them, and what is
computed is computed here, by the arithmetic that all stores share: the same points give the same answers.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TypeVar

from fleet.metrics.aggregate import build_usages
from fleet.metrics.influx import flux_text
from fleet.metrics.influx.coverage import build_clusters, read_clusters
from fleet.metrics.influx.field_types import Mixed, build_field_types, describe, read_mixed_fields
from fleet.metrics.influx.flux_http import build_bucket_call, build_call, decode_shard_seconds, explain_refusal
from fleet.metrics.influx.flux_rows import decode_rows, decode_values
from fleet.metrics.influx.influxql_answer import build_call as build_types_call
from fleet.metrics.influx.influxql_answer import decode_answer
from fleet.metrics.influx.layout import FIELDS, LAYOUTS, Query
from fleet.metrics.influx.options import InfluxOptions
from fleet.metrics.influx.pool import InfluxAnswer, InfluxPool
from fleet.metrics.influx.rows import InfluxSeries
from fleet.metrics.influx.store import InfluxStore, Read
from fleet.model.errors import MetricsUnavailable
from fleet.model.objects import K, NodeKey, PodKey
from fleet.model.usage import NANOSECONDS, Kind, Measure, Point, Usage

T = TypeVar("T")

Decode = Callable[[bytes, Sequence[str], Sequence[str]], list[InfluxSeries]]

_RECENT_NS = 60 * NANOSECONDS
"""Where two points of each object are looked for; half of it where there are more than `_MANY`, to bound the answer."""

_MANY = 2_000

_DAY_NS = 86_400 * NANOSECONDS
_YEAR_ONE_NS = 719_162 * _DAY_NS
"""Shards begin at whole multiples of their length since the year 1."""

_MOST_EDGES = 500


class FluxStore(InfluxStore):
    """The `MetricStore` of an InfluxDB 2.x. One question is one request, whatever the number of objects.

    Each `types_kept` seconds one goes before it, which asks for the types of fields. One more is sent where a rate is
    asked for of objects that were silent of late: both of their points are old.
    """

    name = "flux"
    queries = flux_text

    def __init__(self, options: InfluxOptions, pool: InfluxPool) -> None:
        super().__init__(options, pool)
        self._mixed: Mixed | None = None
        self._types_due = 0.0
        self._shard_ns: int | None = None

    async def _latest(self, kind: Kind, keys: frozenset[K], measures: frozenset[Measure]) -> Mapping[K, Usage]:
        layout, now = LAYOUTS[kind], time.time_ns()
        since = now - int(self._options.lookback * NANOSECONDS)
        if not any(measure.is_counter for measure in measures):
            query = flux_text.build_latest(layout, keys, measures, since_ns=since)
            return await self._usages(kind, keys, measures, query, decode_rows)
        recent = now - (_RECENT_NS if len(keys) <= _MANY else _RECENT_NS // 2)
        if recent <= since:
            query = flux_text.build_old_pairs(layout, keys, measures, since_ns=since)
            return await self._usages(kind, keys, measures, query, decode_values)
        query = flux_text.build_latest_pairs(layout, keys, measures, since_ns=since, recent_ns=recent)
        usages = await self._usages(kind, keys, measures, query, decode_values)
        silent = frozenset(key for key, usage in usages.items() if usage.time_ns < recent)
        if silent:
            query = flux_text.build_old_pairs(layout, silent, measures, since_ns=since)
            usages |= await self._usages(kind, silent, measures, query, decode_values)
        return usages

    async def _usages(
        self, kind: Kind, keys: frozenset[K], measures: frozenset[Measure], query: Query, decode: Decode
    ) -> dict[K, Usage]:
        tags, fields = LAYOUTS[kind].tags, [FIELDS[measure] for measure in measures]

        def read(answer: InfluxAnswer) -> dict[K, Usage]:
            return build_usages(self._columns(decode(answer.body, tags, fields), kind, keys, measures))

        return await self._send(query, read)

    async def points(
        self, kind: Kind, key: PodKey | NodeKey, *, start_ns: int | None, end_ns: int | None, limit: int
    ) -> list[Point]:
        """As any store's; Flux refuses an empty range, which InfluxQL answers with nothing."""
        if start_ns is None and end_ns is not None and await self._load_mixed() != {}:
            # Where to cut is known by where it begins.
            first = await self._ask(flux_text.build_first(LAYOUTS[kind], key), (), (), lambda answer: answer)
            start_ns = first[0].values[0][0] if first else end_ns
        if start_ns is not None and end_ns is not None and start_ns >= end_ns:
            return []
        return await super().points(kind, key, start_ns=start_ns, end_ns=end_ns, limit=limit)

    async def _ask(self, query: Query, tags: Sequence[str], columns: Sequence[str], read: Read[T]) -> T:
        return await self._send(query, lambda answer: read(decode_rows(answer.body, tags, columns)))

    async def _send(self, query: Query, read: Callable[[InfluxAnswer], T]) -> T:
        edges = [] if await self._load_mixed() == {} else await self._list_edges(query)
        call = build_call(self._options, flux_text.cut_at(query, edges))
        return await self._pool.ask(call, read, partial(explain_refusal, self._options))

    async def _load_mixed(self) -> Mixed | None:
        """The fields that are stored in several types, as they were known a moment ago; None where it is not told."""
        if time.monotonic() >= self._types_due:
            self._types_due = time.monotonic() + self._options.types_kept
            self._mixed, self._shard_ns = await self._ask_mixed(), None
        return self._mixed

    async def list_measured(self) -> set[str]:
        database = self._options.database
        call = build_types_call(build_clusters(), database)
        refused = partial(explain_refusal, self._options)
        return await self._pool.ask(call, lambda answer: read_clusters(*decode_answer(answer, database)), refused)

    async def _ask_mixed(self) -> Mixed | None:
        """By InfluxQL, since Flux can't tell."""
        call = build_types_call(build_field_types(), self._options.database)
        try:
            return await self._pool.ask(call, self._read_mixed, partial(explain_refusal, self._options))
        except MetricsUnavailable:
            return None

    def _read_mixed(self, answer: InfluxAnswer) -> Mixed:
        return read_mixed_fields(*decode_answer(answer, self._options.database))

    async def _list_edges(self, query: Query) -> list[int]:
        """The times in a query's span where a shard may begin. Raises MetricsUnavailable."""
        start, end = query.params["start"], query.params["end"]
        if not isinstance(start, int) or not isinstance(end, int) or start == flux_text.FIRST_NS:
            return []  # then the newest or the oldest value is asked for, which is found whatever its type
        if self._shard_ns is None:
            self._shard_ns = await self._ask_shard_ns()
        step = self._shard_ns
        first = (start + _YEAR_ONE_NS) // step * step + step - _YEAR_ONE_NS
        edges = range(first, min(end, time.time_ns() + step), step)
        if len(edges) > _MOST_EDGES:
            raise MetricsUnavailable(
                f"a field changed its type, and the time that is asked for lies in {len(edges)} shards of InfluxDB: "
                f"ask for {_MOST_EDGES * step // NANOSECONDS} s at most"
            )
        return list(edges)

    async def _ask_shard_ns(self) -> int:
        call = build_bucket_call(self._options)
        try:
            seconds = await self._pool.ask(
                call, lambda answer: decode_shard_seconds(answer.body), partial(explain_refusal, self._options)
            )
        except MetricsUnavailable:
            return _DAY_NS
        return seconds * NANOSECONDS

    async def check(self) -> str:
        """What the server is, if it lets this token read the bucket. Raises MetricsUnavailable."""

        def read(answer: InfluxAnswer) -> str:
            decode_rows(answer.body, (), ())
            return answer.version

        version = await self._send(flux_text.build_check(), read)
        self._mixed = await self._ask_mixed()
        said = "".join(f"; {entry}" for entry in describe(self._mixed or {}))
        return f"InfluxDB {version}, bucket {self._options.database} of organisation {self._options.org}{said}"
