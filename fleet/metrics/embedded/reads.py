"""Newest usage and stored points out of the metric file: rows first, and blocks where rows do not reach."""

import sqlite3
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
from msgspec.structs import replace

from fleet.aio.recorder import counted_rows
from fleet.metrics.aggregate import Series, build_usage
from fleet.metrics.embedded.blocks.history import as_points
from fleet.metrics.embedded.blocks.raw import decode_places, decode_points
from fleet.metrics.embedded.blocks.rolled import decode_rolled
from fleet.metrics.embedded.blocks.spans import Spans
from fleet.metrics.embedded.facts import SEALED_TO, build_reach, load_facts
from fleet.metrics.embedded.layout import MEASURE_COLUMNS
from fleet.metrics.embedded.newest import Newest
from fleet.metrics.embedded.tiers import EVER, NEVER, TIERS, Tier
from fleet.metrics.embedded.view import WANTED, View, asked, columns_of
from fleet.model.objects import K, NodeKey, PodKey
from fleet.model.usage import Kind, Measure, Point, Usage

_NEWEST = """
FROM wanted CROSS JOIN points WHERE points.series_id = wanted.series_id AND points.time_ns IN (
  SELECT time_ns FROM points AS recent
  WHERE recent.series_id = wanted.series_id AND recent.time_ns >= ? ORDER BY time_ns DESC LIMIT ?
)
"""
_MEASURES = tuple(Measure)
_MILLISECOND = 1_000_000
_Placed = tuple[Point, int | None]
"""A point without its node, and the id of its place."""


def load_latest(
    view: View, kind: Kind, keys: Sequence[K], measures: Collection[Measure], since_ns: int
) -> dict[K, Newest]:
    """The newest usage of each object that has a point since then. Raises sqlite3.Error."""
    wanted = 2 if any(measure.is_counter for measure in measures) else 1
    with view.snapshot():
        load = _load_newest_rows if wanted == 1 else _load_rates
        found = load(view.connection, kind, keys, measures, since_ns)
        sealed_to = load_facts(view.connection).get(SEALED_TO, EVER)
        if since_ns >= sealed_to:
            return found
        # Rows that came late, or too few, may not be the newest points that there are.
        doubtful = [
            key
            for key in keys
            if (newest := found.get(key)) is None or newest.points < wanted or newest.begin_ns < sealed_to
        ]
        for position, series_id in view.find_series(kind, doubtful):
            points = [point for point, _ in _load_placed(view, series_id, since_ns, NEVER, wanted, measures)]
            values = {measure: [getattr(point, measure.value) for point in points] for measure in measures}
            usage = build_usage(Series([point.time_ns for point in points], values))
            if usage is not None:
                found[doubtful[position]] = Newest(usage, points[-2].time_ns if len(points) > 1 else None)
    return found


def _load_newest_rows(
    connection: sqlite3.Connection, kind: Kind, keys: Sequence[K], measures: Collection[Measure], since_ns: int
) -> dict[K, Newest]:
    # As the fields of Usage stand: a row is one as it is.
    names = {measure.value for measure in measures}
    made = ", ".join(f"points.{name}" if name in names else "NULL" for name in MEASURE_COLUMNS)
    rows = connection.execute(
        f"{WANTED} SELECT position, points.time_ns, {made} {_NEWEST}",
        (asked(kind, keys), since_ns, 1),
    )
    return {keys[row[0]]: Newest(Usage(*row[1:])) for row in counted_rows(rows)}


def _load_rates(
    connection: sqlite3.Connection, kind: Kind, keys: Sequence[K], measures: Collection[Measure], since_ns: int
) -> dict[K, Newest]:
    chosen = sorted(measures, key=lambda measure: measure.value)
    rows = connection.execute(
        f"{WANTED} SELECT position, points.time_ns{columns_of(chosen)} {_NEWEST} ORDER BY position, points.time_ns",
        (asked(kind, keys), since_ns, 2),
    )
    found: dict[K, Newest] = {}
    for position, series in _series(rows, chosen):
        usage = build_usage(series)
        if usage is not None:
            found[keys[position]] = Newest(usage, series.times_ns[-2] if len(series.times_ns) > 1 else None)
    return found


def _series(rows: Iterable[tuple[Any, ...]], measures: Sequence[Measure]) -> Iterable[tuple[int, Series]]:
    """Rows of position, time and measures, ordered by the first two, as one series for each position."""
    collected: dict[int, list[tuple[Any, ...]]] = {}
    for position, *row in counted_rows(rows):
        collected.setdefault(position, []).append(tuple(row))
    for position, entries in collected.items():
        times, *values = zip(*entries, strict=True)
        yield position, Series(times, dict(zip(measures, values, strict=True)))


def load_points(
    view: View, kind: Kind, key: PodKey | NodeKey, *, start_ns: int | None, end_ns: int | None, limit: int
) -> list[Point]:
    """The newest `limit` points of one object in [start, end), oldest first; of a span its last one."""
    begin, end = EVER if start_ns is None else start_ns, NEVER if end_ns is None else end_ns
    with view.snapshot():
        for _, series_id in view.find_series(kind, [key]):
            placed = _load_placed(view, series_id, begin, end, limit, _MEASURES)
            places = load_places(view.connection, {place for _, place in placed if place is not None})
            return [_name_node(point, key.name if kind is Kind.NODE else places.get(place)) for point, place in placed]
    return []


def load_places(connection: sqlite3.Connection, ids: Iterable[int]) -> Mapping[int | None, str]:
    """The names of places."""
    text = "SELECT name FROM places WHERE id = ?"
    return {place: row[0] for place in ids for row in connection.execute(text, (place,))}


def _name_node(point: Point, node: str | None) -> Point:
    return replace(point, node=node)


def _load_placed(
    view: View, series_id: int, start_ns: int, end_ns: int, limit: int, measures: Collection[Measure]
) -> list[_Placed]:
    names = [measure.value for measure in measures]
    rows = view.connection.execute(
        f"SELECT time_ns, place_id, {', '.join(names)} FROM points WHERE series_id = ? "  # noqa: S608 - constants only
        "AND time_ns >= ? AND time_ns < ? ORDER BY time_ns DESC LIMIT ?",
        (series_id, start_ns, end_ns, limit),
    ).fetchall()
    facts = load_facts(view.connection)
    placed = {row[0]: (Point(row[0], **dict(zip(names, row[2:], strict=True))), row[1]) for row in counted_rows(rows)}
    oldest = rows[-1][0] if rows else EVER
    if len(rows) < limit or oldest < facts.get(SEALED_TO, EVER):
        for point, place in _load_sealed(view, series_id, start_ns, end_ns, limit, measures, build_reach(facts)):
            placed.setdefault(point.time_ns, (point, place))
    return [placed[time_ns] for time_ns in sorted(placed)[-limit:]]


def _load_sealed(
    view: View,
    series_id: int,
    start_ns: int,
    end_ns: int,
    limit: int,
    measures: Collection[Measure],
    reach: Mapping[int, int],
) -> list[_Placed]:
    """The newest of what blocks have, each time from the finest tier that has it."""
    found: list[_Placed] = []
    for tier in TIERS:
        for placed in view.blocks(series_id, tier, start_ns, end_ns, partial(_decode, tier, measures)):
            found[:0] = [each for each in placed if start_ns <= each[0].time_ns < end_ns]
            if len(found) >= limit:
                return found[-limit:]
        end_ns = min(end_ns, reach[tier.number])
        if end_ns <= start_ns:
            break
    return found


def _decode(tier: Tier, measures: Collection[Measure], data: bytes) -> list[_Placed]:
    if tier.number:
        spans = decode_rolled(data, measures)
        return list(zip(as_points(spans), _places_of(spans), strict=True))
    series = decode_points(data, measures)
    names = [measure.value for measure in series.values]
    columns = zip(*series.values.values(), strict=True)
    points = (
        Point(time_ns, **dict(zip(names, values, strict=True)))
        for time_ns, values in zip(series.times_ns, columns, strict=True)
    )
    return list(zip(points, decode_places(data), strict=True))


def _places_of(spans: Spans) -> list[int | None]:
    """Where a pod was at the newest point of each span, whose time is to the millisecond."""
    firsts, lasts, places = spans.runs
    runs = np.searchsorted(firsts, spans.last_ns + _MILLISECOND, side="right") - 1
    return [
        int(places[run]) if run >= 0 and time_ns <= lasts[run] else None
        for run, time_ns in zip(runs.tolist(), spans.last_ns.tolist(), strict=True)
    ]
