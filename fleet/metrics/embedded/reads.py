"""Reading the embedded store's file. Every function runs in a reader thread on a connection of its own.

Objects are bound as one JSON array whatever their number. Column names are constants; nothing else enters a text.
"""

import json
import sqlite3
from collections.abc import Collection, Iterable, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any

from fleet.aio.recorder import counted_rows
from fleet.metrics.aggregate import (
    Series,
    build_histories,
    build_history,
    build_usage,
    counter_lead_ns,
    find_resolution_ns,
)
from fleet.metrics.embedded.layout import KIND_NUMBERS, MEASURE_COLUMNS
from fleet.metrics.embedded.newest import Newest
from fleet.metrics.embedded.writes import series_name
from fleet.model.objects import K, NodeKey, PodKey
from fleet.model.usage import Aggregate, Column, History, Kind, Measure, Point, TimeRange, Usage

_WANTED = """
WITH wanted (position, series_id) AS MATERIALIZED (
  SELECT asked.key, series.id FROM json_each(?) AS asked CROSS JOIN series
  WHERE series.kind = asked.value ->> 0 AND series.cluster = asked.value ->> 1
    AND series.namespace = asked.value ->> 2 AND series.name = asked.value ->> 3
)
"""
_NEWEST = """
FROM wanted CROSS JOIN points WHERE points.series_id = wanted.series_id AND points.time_ns IN (
  SELECT time_ns FROM points AS recent
  WHERE recent.series_id = wanted.series_id AND recent.time_ns >= ? ORDER BY time_ns DESC LIMIT ?
)
"""
Sightings = dict[tuple[PodKey, str], list[int]]
"""The times of each pod's points on each node."""

_IN_SQL = {Aggregate.MEAN: "avg", Aggregate.MIN: "min", Aggregate.MAX: "max"}


def _asked(kind: Kind, keys: Iterable[PodKey | NodeKey]) -> str:
    return json.dumps([series_name(kind, key) for key in keys])


def load_latest(
    connection: sqlite3.Connection, kind: Kind, keys: Sequence[K], measures: Collection[Measure], since_ns: int
) -> dict[K, Newest]:
    """The newest usage of each object that has a point since then. Raises sqlite3.Error."""
    asked = _asked(kind, keys)
    if not any(measure.is_counter for measure in measures):
        # As the fields of Usage stand: a row is one as it is.
        names = {measure.value for measure in measures}
        made = ", ".join(f"points.{name}" if name in names else "NULL" for name in MEASURE_COLUMNS)
        rows = connection.execute(f"{_WANTED} SELECT position, points.time_ns, {made} {_NEWEST}", (asked, since_ns, 1))
        return {keys[row[0]]: Newest(Usage(*row[1:])) for row in counted_rows(rows)}
    chosen = sorted(measures, key=lambda measure: measure.value)
    rows = connection.execute(
        f"{_WANTED} SELECT position, points.time_ns{_columns(chosen)} {_NEWEST} ORDER BY position, points.time_ns",
        (asked, since_ns, 2),
    )
    found: dict[K, Newest] = {}
    for position, series in _series(rows, chosen):
        usage = build_usage(series)
        if usage is not None:
            found[keys[position]] = Newest(usage, series.times_ns[-2] if len(series.times_ns) > 1 else None)
    return found


def load_history(
    connection: sqlite3.Connection,
    kind: Kind,
    keys: Sequence[K],
    window: TimeRange,
    columns: Collection[Column],
    *,
    short_ns: int,
) -> dict[K, History]:
    """The columns of each object that has a point in the window, from one snapshot of the file. Raises sqlite3.Error.

    Windows of `short_ns` at most are read point by point, and aggregated here. Of others, means, bounds and last values
    of gauges are made by SQLite, which would be slower for short ones, since it sorts; percentiles and rates are made
    here.
    """
    asked = _asked(kind, keys)
    if window.end_ns - window.start_ns <= short_ns:
        connection.execute("BEGIN")
        try:
            points = _load_series(connection, asked, window, columns)
            return build_histories(((keys[position], series) for position, series in points), window, columns)
        finally:
            connection.execute("COMMIT")
    grouped = [column for column in columns if not column[0].is_counter and column[1] in _IN_SQL]
    lasts = [column for column in columns if not column[0].is_counter and column[1] is Aggregate.LAST]
    others = [column for column in columns if column not in grouped and column not in lasts]
    connection.execute("BEGIN")
    try:
        found, resolutions_ns = _load_grouped(connection, asked, window, grouped)
        for column in lasts:
            _load_last(connection, asked, window, column, found)
        if others:
            _load_others(connection, asked, window, others, found)
    finally:
        connection.execute("COMMIT")
    return {keys[position]: History(window, values, resolutions_ns[position]) for position, values in found.items()}


def _load_series(
    connection: sqlite3.Connection, asked: str, window: TimeRange, columns: Collection[Column]
) -> Iterable[tuple[int, Series]]:
    """The points of each object, one object at a time; those before the window that counters count from, too."""
    chosen = sorted({measure for measure, _ in columns}, key=lambda measure: measure.value)
    span = (window.start_ns - counter_lead_ns(window, chosen), window.end_ns)
    text = (
        f"SELECT points.time_ns{_columns(chosen)} FROM points "  # noqa: S608 - constants only
        "WHERE series_id = ? AND time_ns >= ? AND time_ns < ? ORDER BY time_ns"
    )
    wanted = f"{_WANTED} SELECT position, series_id FROM wanted"  # noqa: S608 - constants only
    for position, series_id in connection.execute(wanted, (asked,)):
        rows = list(counted_rows(connection.execute(text, (series_id, *span)).fetchall()))
        if rows:
            times, *values = zip(*rows, strict=True)
            yield position, Series(times, dict(zip(chosen, values, strict=True)))


_Found = dict[int, dict[Column, list[float | None]]]


def _load_grouped(
    connection: sqlite3.Connection, asked: str, window: TimeRange, columns: list[Column]
) -> tuple[_Found, dict[int, int]]:
    """The columns of each object, and the usual distance of its points."""
    made = "".join(f", {_IN_SQL[aggregate]}(points.{measure.value})" for measure, aggregate in columns)
    rows = connection.execute(
        f"{_WANTED} SELECT position, (points.time_ns - ?) / ? AS step, count(*){made} FROM wanted CROSS JOIN points "  # noqa: S608 - constants only
        "WHERE points.series_id = wanted.series_id AND points.time_ns >= ? AND points.time_ns < ? "
        "GROUP BY position, step",
        (asked, window.start_ns, window.step_ns, window.start_ns, window.end_ns),
    )
    found: _Found = {}
    resolutions_ns: dict[int, int] = {}
    for position, of_object in groupby(counted_rows(rows), itemgetter(0)):
        _, steps, counts, *made_columns = zip(*of_object, strict=True)
        times_ns = [step * window.step_ns for step in sorted(steps)]
        resolutions_ns[position] = find_resolution_ns(times_ns, window.step_ns) // sorted(counts)[len(counts) // 2]
        found[position] = {
            column: _spread(steps, values, window) for column, values in zip(columns, made_columns, strict=True)
        }
    return found, resolutions_ns


def _spread(steps: Sequence[int], values: Sequence[float | None], window: TimeRange) -> list[float | None]:
    """The values at their steps, and nothing at the others."""
    spread: list[float | None] = [None] * window.steps
    for step, value in zip(steps, values, strict=True):
        if value is not None:
            spread[step] = float(value)
    return spread


def _load_last(connection: sqlite3.Connection, asked: str, window: TimeRange, column: Column, found: _Found) -> None:
    name = f"points.{column[0].value}"
    # SQLite takes a bare column from the row that has the maximum.
    rows = connection.execute(
        f"{_WANTED} SELECT position, (points.time_ns - ?) / ? AS step, {name}, max(points.time_ns) "  # noqa: S608 - constants only
        "FROM wanted CROSS JOIN points WHERE points.series_id = wanted.series_id AND points.time_ns >= ? "
        f"AND points.time_ns < ? AND {name} IS NOT NULL GROUP BY position, step",
        (asked, window.start_ns, window.step_ns, window.start_ns, window.end_ns),
    )
    for values in found.values():
        values[column] = [None] * window.steps
    for position, step, value, _ in counted_rows(rows):
        found[position][column][step] = float(value)


def _load_others(
    connection: sqlite3.Connection, asked: str, window: TimeRange, columns: list[Column], found: _Found
) -> None:
    chosen = sorted({measure for measure, _ in columns}, key=lambda measure: measure.value)
    rows = connection.execute(
        f"{_WANTED} SELECT position, points.time_ns{_columns(chosen)} FROM wanted CROSS JOIN points "  # noqa: S608 - constants only
        "WHERE points.series_id = wanted.series_id AND points.time_ns >= ? AND points.time_ns < ? "
        "ORDER BY position, points.time_ns",
        (asked, window.start_ns - counter_lead_ns(window, chosen), window.end_ns),
    )
    for position, series in _series(rows, chosen):
        history = build_history(series, window, columns)
        if history is not None:
            found[position].update(history.columns)


def load_points(
    connection: sqlite3.Connection,
    kind: Kind,
    key: PodKey | NodeKey,
    *,
    start_ns: int | None,
    end_ns: int | None,
    limit: int,
) -> list[Point]:
    """The newest `limit` points of one object in [start, end), oldest first. Raises sqlite3.Error."""
    rows = connection.execute(
        f"{_WANTED} SELECT points.time_ns, places.name, {', '.join(MEASURE_COLUMNS)} FROM wanted CROSS JOIN points "  # noqa: S608 - constants only
        "LEFT JOIN places ON places.id = points.place_id WHERE points.series_id = wanted.series_id "
        "AND points.time_ns >= ? AND points.time_ns < ? ORDER BY points.time_ns DESC LIMIT ?",
        (
            _asked(kind, [key]),
            _MIN_TIME if start_ns is None else start_ns,
            _MAX_TIME if end_ns is None else end_ns,
            limit,
        ),
    ).fetchall()
    return [
        Point(
            time_ns=time_ns,
            node=key.name if kind is Kind.NODE else place,
            **dict(zip(MEASURE_COLUMNS, values, strict=True)),
        )
        for time_ns, place, *values in counted_rows(reversed(rows))
    ]


def load_sightings_on(connection: sqlite3.Connection, keys: Iterable[NodeKey], start_ns: int, end_ns: int) -> Sightings:
    """The times in [start, end) of the points, on whatever node, of pods with one on these. Raises sqlite3.Error."""
    rows = connection.execute(
        "WITH asked AS (SELECT value ->> 0 AS cluster, value ->> 1 AS node FROM json_each(?)) "
        "SELECT series.cluster, series.namespace, series.name, places.name, points.time_ns "
        "FROM (SELECT DISTINCT cluster FROM asked) AS within CROSS JOIN series CROSS JOIN points "
        "CROSS JOIN places ON places.id = points.place_id "
        "WHERE series.kind = ? AND series.cluster = within.cluster AND points.series_id = series.id "
        "AND points.time_ns >= ? AND points.time_ns < ? AND EXISTS (SELECT 1 FROM points AS there "
        "WHERE there.series_id = series.id AND there.time_ns >= ? AND there.time_ns < ? "
        "AND there.place_id IN (SELECT places.id FROM asked JOIN places ON places.name = asked.node))",
        (json.dumps(list(keys)), KIND_NUMBERS[Kind.POD], start_ns, end_ns, start_ns, end_ns),
    )
    return _sightings(rows)


def load_sightings_of(connection: sqlite3.Connection, keys: Iterable[PodKey], start_ns: int, end_ns: int) -> Sightings:
    """The times of these pods' points in [start, end), by node. Raises sqlite3.Error."""
    rows = connection.execute(
        f"{_WANTED} SELECT series.cluster, series.namespace, series.name, places.name, points.time_ns "  # noqa: S608 - constants only
        "FROM wanted CROSS JOIN series ON series.id = wanted.series_id CROSS JOIN points "
        "CROSS JOIN places ON places.id = points.place_id "
        "WHERE points.series_id = wanted.series_id AND points.time_ns >= ? AND points.time_ns < ?",
        (_asked(Kind.POD, keys), start_ns, end_ns),
    )
    return _sightings(rows)


def _sightings(rows: Iterable[tuple[str, str, str, str, int]]) -> Sightings:
    found: Sightings = {}
    for cluster, namespace, name, node, time_ns in counted_rows(rows):
        found.setdefault((PodKey(cluster, namespace, name), node), []).append(time_ns)
    return found


_MIN_TIME = -(2**63)
_MAX_TIME = 2**63 - 1


def _columns(measures: Iterable[Measure]) -> str:
    return "".join(f", points.{measure.value}" for measure in measures)


def _series(rows: Iterable[tuple[Any, ...]], measures: Sequence[Measure]) -> Iterable[tuple[int, Series]]:
    """Rows of position, time and measures, ordered by the first two, as one series for each position."""
    collected: dict[int, list[tuple[Any, ...]]] = {}
    for position, *row in counted_rows(rows):
        collected.setdefault(position, []).append(tuple(row))
    for position, entries in collected.items():
        times, *values = zip(*entries, strict=True)
        yield position, Series(times, dict(zip(measures, values, strict=True)))
