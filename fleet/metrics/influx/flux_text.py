"""Flux queries for the platform's measurements. Pure: constant text; all that a caller or a setting named is bound.

`bucket` is bound where the query is sent. Names of many objects are one regular expression of quoted names: a chain of
`or` costs more than ten times as much at 500 names, and is refused as too deep beyond.

`last()` and the filters run inside the storage engine; `pivot` makes one row of the fields of a point, which is what
InfluxQL answers, and a third of the bytes.
"""

import re
from collections.abc import Collection, Iterable
from itertools import pairwise

from msgspec.structs import replace

from fleet.metrics.influx.layout import ANCHORS, FIELDS, LAYOUTS, Key, Layout, Names, Query, Value
from fleet.model.usage import ALL_MEASURES, Kind, Measure

MOST_NAMED = 2_000
_MOST_COMPARED = 4

# Flux takes no time beyond these, in nanoseconds.
FIRST_NS = -(2**63) + 2
END_NS = 2**63 - 2

_SPAN = re.compile(r"start: time\(v: (\w+)\), stop: time\(v: (\w+)\)")
_POINT = '|> drop(columns: ["_start", "_stop", "_measurement"])'
_VALUES = f'|> group(columns: ["_field"]) {_POINT}'
_ROWS = '|> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")'


def build_latest(layout: Layout, keys: Collection[Key], measures: Collection[Measure], *, since_ns: int) -> Query:
    """The newest value of each field of each object since a time. The newest point is whole among them."""
    params, source = _select(layout.measurement, layout, keys, measures)
    return Query(f"{source} |> last() {_POINT} {_ROWS}", {"start": since_ns, "end": END_NS, **params})


def build_latest_pairs(
    layout: Layout, keys: Collection[Key], measures: Collection[Measure], *, since_ns: int, recent_ns: int
) -> Query:
    """All values at or after `recent_ns`, and the newest of each field before it: a value a row, with its `_field`.

    The two newest points of each object with a recent one are whole among them: where only one is recent, the one
    before is the newest of the rest. There is a table for each field: one for each object costs seconds at 10,000.
    """
    params, recent = _select(layout.measurement, layout, keys, measures, start="recent")
    _, rest = _select(layout.measurement, layout, keys, measures, end="recent")
    text = f"{recent} {_VALUES}\n{rest} |> last() {_VALUES}"
    return Query(text, {"start": since_ns, "recent": recent_ns, "end": END_NS, **params})


def build_old_pairs(layout: Layout, keys: Collection[Key], measures: Collection[Measure], *, since_ns: int) -> Query:
    """The two newest values of each field since a time, as `build_latest_pairs`. Reads all of the span."""
    params, source = _select(layout.measurement, layout, keys, measures)
    return Query(f"{source} |> tail(n: 2) {_VALUES}", {"start": since_ns, "end": END_NS, **params})


def build_range(
    layout: Layout, keys: Collection[Key], measures: Collection[Measure], *, start_ns: int, end_ns: int
) -> Query:
    params, source = _select(layout.measurement, layout, keys, measures)
    return Query(f"{source} {_POINT} {_ROWS}", {"start": start_ns, "end": end_ns, **params})


def build_points(layout: Layout, key: Key, *, start_ns: int | None, end_ns: int | None, limit: int) -> Query:
    """The newest `limit` points of one object with all measures and their node tag, and perhaps some more."""
    params, source = _select(layout.measurement, layout, (key,), ALL_MEASURES)
    newest = "last()" if limit == 1 else "tail(n: limit)"
    start, end = FIRST_NS if start_ns is None else start_ns, END_NS if end_ns is None else end_ns
    return Query(f"{source} |> {newest} {_POINT} {_ROWS}", {"start": start, "end": end, "limit": limit, **params})


def build_sightings(kind: Kind, keys: Collection[Key], *, start_ns: int, end_ns: int) -> Query:
    layout = LAYOUTS[kind]
    if kind is Kind.NODE:  # of nodes their clusters: a pod may have been on any node there
        layout = replace(layout, tags=layout.tags[:1])
    params, source = _select(LAYOUTS[Kind.POD].measurement, layout, keys, ())
    return Query(f"{source} {_POINT} {_ROWS}", {"start": start_ns, "end": end_ns, **params})


def build_first(layout: Layout, key: Key) -> Query:
    """The oldest value of each field of one object."""
    params, source = _select(layout.measurement, layout, (key,), ALL_MEASURES)
    return Query(f"{source} |> first() {_POINT}", {"start": FIRST_NS, "end": END_NS, **params})


def build_check() -> Query:
    """Asks for next to nothing; the bucket must be there and readable."""
    return Query(f"{_source('start', 'end', 'true')} |> limit(n: 1) {_POINT}", {"start": 0, "end": 1})


def cut_at(query: Query, edges_ns: Collection[int]) -> Query:
    """The same question with each of its lines put to each part of its span: every part is a result of its own.

    Of a series InfluxDB reads one type, that of its first shard, and drops the points of shards that hold another.
    """
    lines = []
    for line in query.text.split("\n"):
        first, last = _SPAN.findall(line)[0]
        inner = [str(edge) for edge in edges_ns if query.params[first] < edge < query.params[last]]  # type: ignore[operator]  # both are times
        lines += [_SPAN.sub(_span(*part), line) for part in pairwise([first, *inner, last])]
    if len(lines) > 1:
        lines = [f'{line} |> yield(name: "{number}")' for number, line in enumerate(lines)]
    return Query("\n".join(lines), query.params)


def _span(start: str, end: str) -> str:
    return f"start: time(v: {start}), stop: time(v: {end})"


def _source(start: str, end: str, condition: str) -> str:
    return f"from(bucket: bucket) |> range({_span(start, end)}) |> filter(fn: (r) => {condition})"


def _select(
    measurement: str,
    layout: Layout,
    keys: Collection[Key],
    measures: Iterable[Measure],
    *,
    start: str = "start",
    end: str = "end",
) -> tuple[dict[str, Value], str]:
    """The source of the fields of the objects, and the parameters that name these.

    Each tag must have one of the values that the objects have there; one of more than `MOST_NAMED` values is left
    free. What else is answered then is for the reader to drop.
    """
    fields = " or ".join(
        f'r._field == "{field}"' for field in sorted(FIELDS[measure] for measure in {*measures, *ANCHORS})
    )
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
    return params, _source(start, end, " and ".join(parts))
