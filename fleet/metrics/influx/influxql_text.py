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


class Bound:
    """Parameters of a statement as they are collected; each value gets its own name."""

    def __init__(self) -> None:
        self.params: dict[str, Value] = {}

    def name(self, value: str | int) -> str:
        name = f"v{len(self.params)}"
        self.params[name] = value if isinstance(value, int) else str(value)
        return f"${name}"

    def span(self, start_ns: int | None, end_ns: int | None) -> list[str]:
        """The conditions of [start, end), where it has bounds."""
        bounds = (("time >= ", start_ns), ("time < ", end_ns))
        return [f"{sign}{self.name(bound)}" for sign, bound in bounds if bound is not None]

    def select(self, chosen: Iterable[str], source: str, conditions: Iterable[str], rest: str = "") -> Query:
        """The statement. All but the parameters are constants."""
        text = f"SELECT {','.join(chosen)} FROM {source} WHERE {' AND '.join(conditions)}{rest}"  # noqa: S608 - see above
        return Query(text, self.params)


def build_latest(
    layout: Layout, keys: Collection[Key], measures: Collection[Measure], *, since_ns: int, newest: int
) -> Query:
    """The `newest` points of each object since a time, newest first, in one statement."""
    bound = Bound()
    conditions = [_named(layout, keys, bound, MOST_NAMED_LATEST), *bound.span(since_ns, None)]
    rest = f"{_grouped(layout.tags)} ORDER BY time DESC LIMIT {bound.name(newest)}"
    return bound.select(_fields(measures), layout.measurement, conditions, rest)


def build_recent(layout: Layout, keys: Collection[Key], measures: Collection[Measure], *, since_ns: int) -> Query:
    """All points since a time, oldest first, in rows that have the tags beside the fields: cheaper than grouping."""
    bound = Bound()
    conditions = [_named(layout, keys, bound, MOST_NAMED_LATEST), *bound.span(since_ns, None)]
    return bound.select([*_fields(measures), *layout.tags], layout.measurement, conditions)


def build_range(
    layout: Layout, keys: Collection[Key], measures: Collection[Measure], *, start_ns: int, end_ns: int
) -> Query:
    """All points of the objects in [start, end), oldest first, in one statement."""
    bound = Bound()
    conditions = [_named(layout, keys, bound, MOST_NAMED_RANGE), *bound.span(start_ns, end_ns)]
    return bound.select(_fields(measures), layout.measurement, conditions, _grouped(layout.tags))


def build_points(layout: Layout, key: Key, *, start_ns: int | None, end_ns: int | None, limit: int) -> Query:
    """The newest `limit` points of one object with all measures and its node tag, newest first."""
    bound = Bound()
    conditions = [_named(layout, (key,), bound, 1), *bound.span(start_ns, end_ns)]
    rest = f" ORDER BY time DESC LIMIT {bound.name(limit)}"
    return bound.select([*_fields(ALL_MEASURES), "node"], layout.measurement, conditions, rest)


def build_sightings(kind: Kind, keys: Collection[Key], *, start_ns: int, end_ns: int) -> Query:
    bound = Bound()
    most = MOST_NAMED_RANGE if kind is Kind.POD else 0  # of nodes their clusters: a pod may have been on any node there
    conditions = [_named(LAYOUTS[kind], keys, bound, most), *bound.span(start_ns, end_ns)]
    return bound.select(_fields(()), LAYOUTS[Kind.POD].measurement, conditions, _grouped(SIGHTING_TAGS))


def _grouped(tags: Iterable[str]) -> str:
    return f" GROUP BY {','.join(tags)}"


def _fields(measures: Iterable[Measure]) -> list[str]:
    # A row is answered where any chosen field has a value.
    return sorted(FIELDS[measure] for measure in {*measures, *ANCHORS})


def _named(layout: Layout, keys: Collection[Key], bound: Bound, most: int) -> str:
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


def _narrowed(layout: Layout, shared: list[tuple[str, ...]], bound: Bound) -> str:
    clusters = sorted({values[0] for values in shared})
    parts = []
    for cluster in clusters:
        condition = f"cluster = {bound.name(cluster)}"
        namespaces = [values[1] for values in shared if values[0] == cluster and len(values) > 1]
        if 0 < len(namespaces) <= _MOST_NAMESPACES:
            condition = f"({condition} AND {_any_of(layout.tags[1], namespaces, bound)})"
        parts.append(condition)
    return f"({' OR '.join(parts)})"


def _any_of(tag: str, values: Iterable[str], bound: Bound) -> str:
    return f"({' OR '.join(f'{tag} = {bound.name(value)}' for value in values)})"
