"""Sealing: rows that are old enough become blocks, of points and of spans. Runs in the one writer thread.

A slice is one transaction, so whatever ends it leaves rows or blocks, and never both or neither. Rows of a time that
has blocks already came late: what is there is decoded, joined with them and written anew.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import groupby
from typing import Any, TypeVar

import numpy as np

from fleet.metrics.aggregate import Series
from fleet.metrics.embedded.blocks.raw import decode_places, decode_points, encode_points
from fleet.metrics.embedded.blocks.rolled import decode_rolled, encode_rolled
from fleet.metrics.embedded.blocks.spans import Spans, from_series, join, roll_up, select
from fleet.metrics.embedded.facts import SEALED_TO, load_facts, put_fact
from fleet.metrics.embedded.layout import MEASURE_COLUMNS
from fleet.metrics.embedded.merging import find_before
from fleet.metrics.embedded.sqlite import transaction
from fleet.metrics.embedded.tiers import EVER, NEVER, RAW, ROLLED, Plan, Tier
from fleet.metrics.embedded.view import Damages, View
from fleet.model.usage import NANOSECONDS, Measure

T = TypeVar("T")

_MEASURES = tuple(Measure)
_COUNTERS = tuple(measure for measure in Measure if measure.is_counter)
_COUNTED = tuple(map(_MEASURES.index, _COUNTERS))
_AT_ONCE_NS = 6 * 3600 * NANOSECONDS
_SERIES_A_LOOK = 64

_Row = tuple[Any, ...]
"""The measures of a point in their order, and the id of its place."""


class Sealer:
    """Goes through the series, in slices, as often as it is called."""

    def __init__(self, damages: Damages) -> None:
        self._damages = damages
        self._after = 0
        self._sealed = False

    def seal(self, connection: sqlite3.Connection, plan: Plan, seconds: float) -> bool:
        """Seals what is due, for so long; whether more may wait. What is too old goes.

        Raises sqlite3.Error.
        """
        deadline = time.monotonic() + seconds
        due = self._find_due(connection, plan)
        if not due:
            again, self._after, self._sealed = self._sealed, 0, False
            return again
        with transaction(connection):
            put_fact(connection, SEALED_TO, max(plan.border_ns, load_facts(connection).get(SEALED_TO, EVER)))
            for series_id, first_ns in due:
                _Series(View(connection, self._damages), series_id, plan).seal(first_ns)
                self._after, self._sealed = series_id, True
                if time.monotonic() >= deadline:
                    break
        return True

    def is_due(self, connection: sqlite3.Connection, plan: Plan) -> bool:
        """Whether a pass has something to seal; it begins anew."""
        self._after = 0
        return bool(self._find_due(connection, plan))

    def _find_due(self, connection: sqlite3.Connection, plan: Plan) -> list[tuple[int, int]]:
        """The next series that have rows to seal, and the times of their first ones."""
        return connection.execute(
            "SELECT id, first_ns FROM (SELECT id, (SELECT min(time_ns) FROM points WHERE series_id = series.id) AS "
            "first_ns FROM series WHERE id > ?) WHERE first_ns < ? ORDER BY id LIMIT ?",
            (self._after, plan.border_ns, _SERIES_A_LOOK),
        ).fetchall()


class _Series:
    """One series whose rows become blocks."""

    def __init__(self, view: View, series_id: int, plan: Plan) -> None:
        self._view, self._id, self._plan = view, series_id, plan
        self._before: tuple[int, _Row] | None = None

    def seal(self, first_ns: int) -> None:
        """From its first row to the border; a bounded time at once, however much waits."""
        first_ns = max(first_ns, self._plan.oldest_ns)
        while first_ns < self._plan.border_ns:
            first_ns = first_ns // _AT_ONCE_NS * _AT_ONCE_NS + _AT_ONCE_NS
            self._seal_before(min(first_ns, self._plan.border_ns))

    def _seal_before(self, end_ns: int) -> None:
        text = f"SELECT time_ns, {', '.join(MEASURE_COLUMNS)}, place_id FROM points "  # noqa: S608 - constants only
        execute = self._view.connection.execute
        where = "WHERE series_id = ? AND time_ns < ?"
        rows = execute(
            f"{text} {where} AND time_ns >= ? ORDER BY time_ns", (self._id, end_ns, self._plan.oldest_ns)
        ).fetchall()
        execute(f"DELETE FROM points {where}", (self._id, end_ns))  # noqa: S608 - constants only
        points, anew = self._seal_raw(rows)
        for tier in ROLLED if points else ():
            if self._plan.begins_ns[tier.number] < NEVER:
                self._seal_rolled(tier, roll_up(join(points), tier.span_ns), anew)

    def _seal_raw(self, rows: Iterable[_Row]) -> tuple[list[Spans], list[int]]:
        """The points of each period as spans of 0 ns, and the beginnings of the periods whose points were known."""
        points, anew = [], []
        for begin_ns, of_period in groupby(rows, lambda row: RAW.floor(row[0])):
            known = next(self._blocks(RAW, begin_ns, _decode_rows), {})
            added = [(row[0], row[1:]) for row in of_period]
            ordered = sorted({**known, **dict(added)}.items())
            if begin_ns >= self._plan.begins_ns[RAW.number]:
                self._put(RAW, begin_ns, encode_points(*_as_series(ordered)))
            if known and added[0][0] > max(known):
                self._note_before(sorted(known.items()))
                ordered = added
            elif known:
                anew.append(begin_ns)
            if self._before is None and (last := find_before(self._view, self._id, begin_ns, _COUNTERS)) is not None:
                values = {measure: column[0] for measure, column in last.values.items()}
                self._before = last.times_ns[0], (*map(values.get, _MEASURES), None)
            with_before = ordered if self._before is None else [self._before, *ordered]
            points.append(from_series(*_as_series(with_before), start_ns=ordered[0][0]))
            self._note_before(ordered)
        return points, anew

    def _note_before(self, rows: Sequence[tuple[int, _Row]]) -> None:
        """Counters of what follows count from the last of these that has one."""
        counted = (row for row in reversed(rows) if any(row[1][at] is not None for at in _COUNTED))
        self._before = next(counted, self._before)

    def _seal_rolled(self, tier: Tier, spans: Spans, anew: Sequence[int]) -> None:
        """Joins spans with those that their periods have; where all points of a time are among them, they replace."""
        periods = spans.starts_ns // tier.period_ns
        for period in np.unique(periods).tolist():
            begin_ns = period * tier.period_ns
            if begin_ns < self._plan.begins_ns[tier.number]:
                continue
            parts = [_without(old, anew) for old in self._blocks(tier, begin_ns, decode_rolled)]
            rows = np.flatnonzero(periods == period)
            new = select(spans, rows, _clip(spans.runs, begin_ns, begin_ns + tier.period_ns))
            self._put(tier, begin_ns, encode_rolled(join([*parts, new])))

    def _blocks(self, tier: Tier, begin_ns: int, decode: Callable[[bytes], T]) -> Iterator[T]:
        return self._view.blocks(self._id, tier, begin_ns, begin_ns + 1, decode)

    def _put(self, tier: Tier, begin_ns: int, data: bytes) -> None:
        self._view.connection.execute(
            f"INSERT OR REPLACE INTO {tier.table} (series_id, start_ns, data) VALUES (?, ?, ?)",  # noqa: S608 - constants only
            (self._id, begin_ns, data),
        )


def _decode_rows(data: bytes) -> dict[int, _Row]:
    series = decode_points(data)
    columns = [series.values[measure] for measure in _MEASURES]
    return dict(zip(series.times_ns, zip(*columns, decode_places(data), strict=True), strict=True))


def _as_series(rows: Sequence[tuple[int, _Row]]) -> tuple[Series, Sequence[int | None]]:
    *columns, places = zip(*(row for _, row in rows), strict=True)
    return Series([time_ns for time_ns, _ in rows], dict(zip(_MEASURES, columns, strict=True))), places


def _without(spans: Spans, periods: Sequence[int]) -> Spans:
    """Those spans that are in none of these periods of points."""
    return select(
        spans, np.flatnonzero(~np.isin(spans.starts_ns // RAW.period_ns * RAW.period_ns, periods)), spans.runs
    )


def _clip(runs: Any, begin_ns: int, end_ns: int) -> Any:
    """What of runs is in [begin, end)."""
    inside = runs[:, (runs[0] < end_ns) & (runs[1] >= begin_ns)].copy()
    inside[0], inside[1] = np.maximum(inside[0], begin_ns), np.minimum(inside[1], end_ns - 1)
    return inside
