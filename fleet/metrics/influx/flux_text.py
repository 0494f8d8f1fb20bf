"""Flux queries for the platform's measurements. Pure: constant text; all that a caller or a setting named is bound.

`bucket` is bound where the query is sent. Names of many objects are one regular expression of quoted names: a chain of
`or` costs more than ten times as much at 500 names, and is refused as too deep beyond.

`last()` and the filters run inside the storage engine; `pivot` makes one row of the fields of a point, which is what
InfluxQL answers, and a third of the bytes.
"""

from collections.abc import Collection, Iterable

from fleet.metrics.influx.layout import ANCHORS, FIELDS, LAYOUTS, Key, Layout, Names, Query, Value
from fleet.model.usage import ALL_MEASURES, Kind, Measure

MOST_NAMED = 2_000
_MOST_COMPARED = 4

# Flux takes no time beyond these, in nanoseconds.
FIRST_NS = -(2**63) + 2
END_NS = 2**63 - 2

_POINT = '|> drop(columns: ["_start", "_stop", "_measurement"])'
_VALUES = f'|> group(columns: ["_field"]) {_POINT}'
_ROWS = '|> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")'


def build_latest(layout: Layout, keys: Collection[Key], measures: Collection[Measure], *, since_ns: int) -> Query:
    """The newest value of each field of each object since a time. The newest point is whole among them."""
    params, condition = _where(layout.measurement, layout, keys, set(measures) | ANCHORS)
    text = f"{_source('since', 'end', condition)} |> last() {_POINT} {_ROWS}"
    return Query(text, {"since": since_ns, "end": END_NS, **params})


def build_latest_pairs(
    layout: Layout,
    keys: Collection[Key],
    measures: Collection[Measure],
    *,
    since_ns: int,
    recent_ns: int,
) -> Query:
    """All values at or after `recent_ns`, and the newest of each field before it: a value a row, with its `_field`.

    The two newest points of each object with a recent one are whole among them: where only one is recent, the one
    before is the newest of the rest. There is a table for each field: one for each object costs seconds at 10,000.
    """
    params, condition = _where(layout.measurement, layout, keys, set(measures) | ANCHORS)
    recent = f"{_source('recent', 'end', condition)} {_VALUES}"
    rest = f"{_source('since', 'recent', condition)} |> last() {_VALUES}"
    text = f"union(tables: [{recent}, {rest}])"
    return Query(text, {"since": since_ns, "recent": recent_ns, "end": END_NS, **params})


def build_old_pairs(layout: Layout, keys: Collection[Key], measures: Collection[Measure], *, since_ns: int) -> Query:
    """The two newest values of each field since a time, as `build_latest_pairs`. Reads all of the span."""
    params, condition = _where(layout.measurement, layout, keys, set(measures) | ANCHORS)
    text = f"{_source('since', 'end', condition)} |> tail(n: 2) {_VALUES}"
    return Query(text, {"since": since_ns, "end": END_NS, **params})


def build_range(
    layout: Layout, keys: Collection[Key], measures: Collection[Measure], *, start_ns: int, end_ns: int
) -> Query:
    """All points of the objects in [start, end)."""
    params, condition = _where(layout.measurement, layout, keys, set(measures) | ANCHORS)
    text = f"{_source('start', 'end', condition)} {_POINT} {_ROWS}"
    return Query(text, {"start": start_ns, "end": end_ns, **params})


def build_points(layout: Layout, key: Key, *, start_ns: int | None, end_ns: int | None, limit: int) -> Query:
    """The newest `limit` points of one object with all measures and their node tag, and perhaps some more."""
    params, condition = _where(layout.measurement, layout, (key,), ALL_MEASURES)
    newest = "last()" if limit == 1 else "tail(n: limit)"
    text = f"{_source('start', 'end', condition)} |> {newest} {_POINT} {_ROWS}"
    start, end = FIRST_NS if start_ns is None else start_ns, END_NS if end_ns is None else end_ns
    return Query(text, {"start": start, "end": end, "limit": limit, **params})


def build_sightings(kind: Kind, keys: Collection[Key], *, start_ns: int, end_ns: int) -> Query:
    """All points of pods in [start, end) with their node: of these pods, or of all that ran on these nodes."""
    params, condition = _where(LAYOUTS[Kind.POD].measurement, LAYOUTS[kind], keys, ANCHORS)
    text = f"{_source('start', 'end', condition)} {_POINT} {_ROWS}"
    return Query(text, {"start": start_ns, "end": end_ns, **params})


def build_check() -> Query:
    """Asks for next to nothing; the bucket must be there and readable."""
    text = f"{_source('start', 'end', 'true')} |> limit(n: 1) {_POINT}"
    return Query(text, {"start": 0, "end": 1})


def _source(start: str, end: str, condition: str) -> str:
    span = f"range(start: time(v: {start}), stop: time(v: {end}))"
    return f"from(bucket: bucket) |> {span} |> filter(fn: (r) => {condition})"


def _where(
    measurement: str, layout: Layout, keys: Collection[Key], measures: Iterable[Measure]
) -> tuple[dict[str, Value], str]:
    """The condition that selects fields and objects, and its parameters.

    Each tag must have one of the values that the objects have there; one of more than `MOST_NAMED` values is left
    free. What else is answered then is for the reader to drop.
    """
    fields = " or ".join(f'r._field == "{field}"' for field in sorted(FIELDS[measure] for measure in measures))
    params: dict[str, Value] = {}
    parts = [f'r._measurement == "{measurement}" and ({fields})']
    for index, tag in enumerate(layout.tags):
        values = sorted({key[index] for key in keys})
        if len(values) > MOST_NAMED:
            continue
        if len(values) > _MOST_COMPARED:
            params[f"{tag}s"] = Names(tuple(values))
            parts.append(f"r.{tag} =~ {tag}s")
            continue
        names = {f"{tag}{place}": value for place, value in enumerate(values)}
        params |= names
        parts.append(f"({' or '.join(f'r.{tag} == {name}' for name in names)})")
    return params, " and ".join(parts)
