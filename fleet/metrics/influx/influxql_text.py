"""InfluxQL statements for the platform's measurements. Pure: constant text, all that a caller named as parameters.

Values of tags are bound as JSON strings, times and limits as integers: a parameter that is a
JSON object would be taken for a regular expression or an identifier.
"""

from collections.abc import Collection, Iterable

from fleet.metrics.influx.layout import ANCHORS, FIELDS, LAYOUTS, SIGHTING_TAGS, Key, Layout, Query, Value
from fleet.model.usage import ALL_MEASURES, Kind, Measure

MOST_NAMED_LATEST = 500
MOST_NAMED_RANGE = 2_000
_MOST_NAMESPACES = 30


class _Bound:
    """Parameters as they are collected; each value gets its own name."""

    def __init__(self) -> None:
        self.params: dict[str, Value] = {}

    def name(self, value: str | int) -> str:
        name = f"v{len(self.params)}"
        self.params[name] = value if isinstance(value, int) else str(value)
        return f"${name}"


def build_latest(
    layout: Layout, keys: Collection[Key], measures: Collection[Measure], *, since_ns: int, newest: int
) -> Query:
    """The `newest` points of each object since a time, newest first, in one statement."""
    bound = _Bound()
    chosen = _fields(set(measures) | ANCHORS)
    text = (
        f"SELECT {chosen} FROM {layout.measurement} WHERE {_named(layout, keys, bound, MOST_NAMED_LATEST)} "  # noqa: S608 - constants and bound names only
        f"AND time >= {bound.name(since_ns)} GROUP BY {','.join(layout.tags)} "
        f"ORDER BY time DESC LIMIT {bound.name(newest)}"
    )
    return Query(text, bound.params)


def build_recent(layout: Layout, keys: Collection[Key], measures: Collection[Measure], *, since_ns: int) -> Query:
    """All points since a time, oldest first, in rows that have the tags beside the fields: cheaper than grouping."""
    bound = _Bound()
    chosen = _fields(set(measures) | ANCHORS)
    text = (
        f"SELECT {chosen},{','.join(layout.tags)} FROM {layout.measurement} "  # noqa: S608 - constants and bound names only
        f"WHERE {_named(layout, keys, bound, MOST_NAMED_LATEST)} AND time >= {bound.name(since_ns)}"
    )
    return Query(text, bound.params)


def build_range(
    layout: Layout, keys: Collection[Key], measures: Collection[Measure], *, start_ns: int, end_ns: int
) -> Query:
    """All points of the objects in [start, end), oldest first, in one statement."""
    bound = _Bound()
    chosen = _fields(set(measures) | ANCHORS)
    text = (
        f"SELECT {chosen} FROM {layout.measurement} WHERE {_named(layout, keys, bound, MOST_NAMED_RANGE)} "  # noqa: S608 - constants and bound names only
        f"AND time >= {bound.name(start_ns)} AND time < {bound.name(end_ns)} GROUP BY {','.join(layout.tags)}"
    )
    return Query(text, bound.params)


def build_points(layout: Layout, key: Key, *, start_ns: int | None, end_ns: int | None, limit: int) -> Query:
    """The newest `limit` points of one object with all measures and its node tag, newest first."""
    bound = _Bound()
    conditions = [_named(layout, (key,), bound, 1)]
    if start_ns is not None:
        conditions.append(f"time >= {bound.name(start_ns)}")
    if end_ns is not None:
        conditions.append(f"time < {bound.name(end_ns)}")
    text = (
        f"SELECT {_fields(ALL_MEASURES)},node FROM {layout.measurement} WHERE {' AND '.join(conditions)} "  # noqa: S608 - constants and bound names only
        f"ORDER BY time DESC LIMIT {bound.name(limit)}"
    )
    return Query(text, bound.params)


def build_sightings(kind: Kind, keys: Collection[Key], *, start_ns: int, end_ns: int) -> Query:
    """All points of pods in [start, end) with their node: of these pods, or of all that ran on these nodes."""
    bound = _Bound()
    text = (
        f"SELECT {_fields(ANCHORS)} FROM {LAYOUTS[Kind.POD].measurement} "  # noqa: S608 - constants and bound names only
        f"WHERE {_named(LAYOUTS[kind], keys, bound, MOST_NAMED_RANGE)} "
        f"AND time >= {bound.name(start_ns)} AND time < {bound.name(end_ns)} GROUP BY {','.join(SIGHTING_TAGS)}"
    )
    return Query(text, bound.params)


def _fields(measures: Iterable[Measure]) -> str:
    # A row is answered where any chosen field has a value.
    return ",".join(sorted(FIELDS[measure] for measure in measures))


def _named(layout: Layout, keys: Collection[Key], bound: _Bound, most: int) -> str:
    """The condition that selects the objects, in brackets.

    Objects are named one by one, grouped by what they share (a flat list of triples costs ten times as much at 1,000);
    more than `most` are narrowed to their clusters and, where these are few, namespaces, since the server's time for
    names grows faster than their number. What else is answered then is for the reader to drop.
    """
    groups: dict[tuple[str, ...], list[str]] = {}
    for key in sorted(keys):
        groups.setdefault(key[:-1], []).append(key[-1])
    if len(keys) > most:
        return _narrowed(layout, sorted(groups), bound)
    parts = []
    for shared, names in groups.items():
        equal = [f"{tag} = {bound.name(value)}" for tag, value in zip(layout.tags, shared, strict=False)]
        parts.append(f"({' AND '.join(equal)} AND {_any_of(layout.tags[-1], names, bound)})")
    return f"({' OR '.join(parts)})"


def _narrowed(layout: Layout, shared: list[tuple[str, ...]], bound: _Bound) -> str:
    clusters = sorted({values[0] for values in shared})
    parts = []
    for cluster in clusters:
        condition = f"cluster = {bound.name(cluster)}"
        namespaces = [values[1] for values in shared if values[0] == cluster and len(values) > 1]
        if 0 < len(namespaces) <= _MOST_NAMESPACES:
            condition = f"({condition} AND {_any_of(layout.tags[1], namespaces, bound)})"
        parts.append(condition)
    return f"({' OR '.join(parts)})"


def _any_of(tag: str, values: Iterable[str], bound: _Bound) -> str:
    return f"({' OR '.join(f'{tag} = {bound.name(value)}' for value in values)})"
