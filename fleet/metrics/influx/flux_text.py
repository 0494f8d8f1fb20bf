"""Flux queries for the platform's measurements. Pure: constant text; all that a caller or a setting named is bound.

Values are bound as the client library binds its `params`: literals of a syntax tree beside the text, so that no value
can become a part of it. Names of many objects are one regular expression of quoted names: a chain of `or` costs more
than ten times as much at 500 names, and is refused as too deep beyond.

`last()` and the filters run inside the storage engine; `pivot` makes one row of the fields of a point, which is what
InfluxQL answers, and a third of the bytes.
"""

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from msgspec import Struct

from fleet.metrics.influx.influxql_text import ANCHORS, FIELDS, LAYOUTS, Key, Layout
from fleet.model.usage import ALL_MEASURES, Kind, Measure

MOST_NAMED = 2_000
_MOST_COMPARED = 4
_META = re.compile(r"[\\.+*?()|\[\]{}^$]")

# Flux takes no time beyond these, in nanoseconds.
FIRST_NS = -(2**63) + 2
END_NS = 2**63 - 2

_POINT = '|> drop(columns: ["_start", "_stop", "_measurement"])'
_VALUES = f'|> group(columns: ["_field"]) {_POINT}'
_ROWS = '|> pivot(rowKey: ["_time"], columnKey: ["_field"], valueColumn: "_value")'


class Names(Struct, frozen=True):
    """Some names of which a tag must have one; bound as a regular expression."""

    values: tuple[str, ...]


Value = str | int | Names


class FluxQuery(Struct, frozen=True):
    """A text, and what its free identifiers stand for."""

    text: str
    params: Mapping[str, Value]

    def as_extern(self) -> dict[str, Any]:
        """The parameters as a file of options: the syntax tree that the HTTP API takes."""
        return {"imports": [], "body": [_option(name, value) for name, value in self.params.items()], "type": "File"}


def _option(name: str, value: Value) -> dict[str, Any]:
    identifier = {"type": "Identifier", "name": name}
    assignment = {"type": "VariableAssignment", "id": identifier, "init": _literal(value)}
    return {"type": "OptionStatement", "assignment": assignment}


def _literal(value: Value) -> dict[str, str]:
    if isinstance(value, Names):
        quoted = "|".join(_META.sub(r"\\\g<0>", _sound(name)) for name in value.values)
        return {"type": "RegexpLiteral", "value": f"^(?:{quoted})$"}
    if isinstance(value, int):
        return {"type": "IntegerLiteral", "value": str(value)}
    return {"type": "StringLiteral", "value": _sound(value)}


def _sound(text: str) -> str:
    # A half of a surrogate pair is no text to the parser there; no stored name has what it becomes.
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def build_latest(
    bucket: str, layout: Layout, keys: Collection[Key], measures: Collection[Measure], *, since_ns: int
) -> FluxQuery:
    """The newest value of each field of each object since a time. The newest point is whole among them."""
    params, named = _named(layout, keys)
    chosen = _chosen(layout.measurement, set(measures) | ANCHORS)
    text = f"{_source('since', 'end', chosen, named)} |> last() {_POINT} {_ROWS}"
    return FluxQuery(text, _bound(bucket, params, since=since_ns, end=END_NS))


def build_latest_pairs(
    bucket: str,
    layout: Layout,
    keys: Collection[Key],
    measures: Collection[Measure],
    *,
    since_ns: int,
    recent_ns: int,
) -> FluxQuery:
    """All values at or after `recent_ns`, and the newest of each field before it: a value a row, with its `_field`.

    The two newest points of each object with a recent one are whole among them: where only one is recent, the one
    before is the newest of the rest. There is a table for each field: one for each object costs seconds at 10,000.
    """
    params, named = _named(layout, keys)
    chosen = _chosen(layout.measurement, set(measures) | ANCHORS)
    recent = f"{_source('recent', 'end', chosen, named)} {_VALUES}"
    rest = f"{_source('since', 'recent', chosen, named)} |> last() {_VALUES}"
    text = f"union(tables: [{recent}, {rest}])"
    return FluxQuery(text, _bound(bucket, params, since=since_ns, recent=recent_ns, end=END_NS))


def build_old_pairs(
    bucket: str, layout: Layout, keys: Collection[Key], measures: Collection[Measure], *, since_ns: int
) -> FluxQuery:
    """The two newest values of each field since a time, as `build_latest_pairs`. Reads all of the span."""
    params, named = _named(layout, keys)
    chosen = _chosen(layout.measurement, set(measures) | ANCHORS)
    text = f"{_source('since', 'end', chosen, named)} |> tail(n: 2) {_VALUES}"
    return FluxQuery(text, _bound(bucket, params, since=since_ns, end=END_NS))


def build_range(
    bucket: str, layout: Layout, keys: Collection[Key], measures: Collection[Measure], *, start_ns: int, end_ns: int
) -> FluxQuery:
    """All points of the objects in [start, end)."""
    params, named = _named(layout, keys)
    chosen = _chosen(layout.measurement, set(measures) | ANCHORS)
    text = f"{_source('start', 'end', chosen, named)} {_POINT} {_ROWS}"
    return FluxQuery(text, _bound(bucket, params, start=start_ns, end=end_ns))


def build_points(
    bucket: str, layout: Layout, key: Key, *, start_ns: int | None, end_ns: int | None, limit: int
) -> FluxQuery:
    """The newest `limit` points of one object with all measures and their node tag, and perhaps some more."""
    params, named = _named(layout, (key,))
    chosen = _chosen(layout.measurement, ALL_MEASURES)
    newest = "last()" if limit == 1 else "tail(n: limit)"
    text = f"{_source('start', 'end', chosen, named)} |> {newest} {_POINT} {_ROWS}"
    start, end = FIRST_NS if start_ns is None else start_ns, END_NS if end_ns is None else end_ns
    return FluxQuery(text, _bound(bucket, params, start=start, end=end, limit=limit))


def build_sightings(bucket: str, kind: Kind, keys: Collection[Key], *, start_ns: int, end_ns: int) -> FluxQuery:
    """All points of pods in [start, end) with their node: of these pods, or of all that ran on these nodes."""
    params, named = _named(LAYOUTS[kind], keys)
    chosen = _chosen(LAYOUTS[Kind.POD].measurement, ANCHORS)
    text = f"{_source('start', 'end', chosen, named)} {_POINT} {_ROWS}"
    return FluxQuery(text, _bound(bucket, params, start=start_ns, end=end_ns))


def build_check(bucket: str) -> FluxQuery:
    """Asks for next to nothing; the bucket must be there and readable."""
    chosen = _chosen(LAYOUTS[Kind.NODE].measurement, ANCHORS)
    text = f"{_source('start', 'end', chosen, 'true')} |> limit(n: 1) {_POINT}"
    return FluxQuery(text, _bound(bucket, {}, start=0, end=1))


def _bound(bucket: str, names: Mapping[str, Value], **numbers: int) -> dict[str, Value]:
    return {"bucket": bucket, **numbers, **names}


def _source(start: str, end: str, chosen: str, named: str) -> str:
    span = f"range(start: time(v: {start}), stop: time(v: {end}))"
    return f"from(bucket: bucket) |> {span} |> filter(fn: (r) => {chosen} and {named})"


def _chosen(measurement: str, measures: Iterable[Measure]) -> str:
    fields = " or ".join(f'r._field == "{field}"' for field in sorted(FIELDS[measure] for measure in measures))
    return f'r._measurement == "{measurement}" and ({fields})'


def _named(layout: Layout, keys: Collection[Key]) -> tuple[dict[str, Value], str]:
    """The condition that selects the objects, and its parameters.

    Each tag must have one of the values that the objects have there; one of more than `MOST_NAMED` values is left
    free. What else is answered then is for the reader to drop.
    """
    params: dict[str, Value] = {}
    parts: list[str] = []
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
