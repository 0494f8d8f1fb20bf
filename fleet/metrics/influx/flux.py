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
from fleet.metrics.influx.flux_http import build_call, explain_refusal
from fleet.metrics.influx.flux_rows import decode_rows, decode_values
from fleet.metrics.influx.layout import FIELDS, LAYOUTS, Query
from fleet.metrics.influx.pool import InfluxAnswer
from fleet.metrics.influx.rows import InfluxSeries
from fleet.metrics.influx.store import InfluxStore, Read
from fleet.model.objects import K, NodeKey, PodKey
from fleet.model.usage import NANOSECONDS, Kind, Measure, Point, Usage

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
    queries = flux_text

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
        if start_ns is not None and end_ns is not None and start_ns >= end_ns:
            return []
        return await super().points(kind, key, start_ns=start_ns, end_ns=end_ns, limit=limit)

    async def _ask(self, query: Query, tags: Sequence[str], columns: Sequence[str], read: Read[T]) -> T:
        return await self._send(query, lambda answer: read(decode_rows(answer.body, tags, columns)))

    async def _send(self, query: Query, read: Callable[[InfluxAnswer], T]) -> T:
        return await self._pool.ask(build_call(self._options, query), read, partial(explain_refusal, self._options))

    async def check(self) -> str:
        """What the server is, if it lets this token read the bucket. Raises MetricsUnavailable."""

        def read(answer: InfluxAnswer) -> str:
            decode_rows(answer.body, (), ())
            return answer.version

        version = await self._send(flux_text.build_check(), read)
        return f"InfluxDB {version}, bucket {self._options.database} of organisation {self._options.org}"
