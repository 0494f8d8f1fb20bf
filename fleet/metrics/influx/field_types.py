"""Fields that shards hold in several types: InfluxQL answers one type of them, unless each is asked for by a cast.

A shard has one type for a field of a measurement, and the next may have another. `SHOW FIELD KEYS` names a field once
for each type.
"""

from collections.abc import Mapping

import msgspec

from fleet.metrics.influx.cluster_status import SCORES, WARNINGS
from fleet.metrics.influx.layout import FIELDS, LAYOUTS, Query
from fleet.metrics.influx.rows import InfluxSeries, check_rows
from fleet.model.errors import MetricsUnavailable

Mixed = Mapping[str, Mapping[str, list[str]]]
"""By measurement and field the types, sorted, of those that have several."""

_READ = frozenset({*FIELDS.values(), *SCORES, *WARNINGS})
_CAST = "::"


def build_field_types() -> Query:
    measurements = ",".join(layout.measurement for layout in LAYOUTS.values())
    # nosemgrep: query-text-is-constant - both names are constants
    return Query(f"SHOW FIELD KEYS FROM {measurements},ClusterStatus", {})


def read_mixed_fields(answer: list[InfluxSeries]) -> Mixed:
    """Raises MetricsUnavailable where the rows are not the names of fields and of types."""
    found: dict[str, dict[str, list[str]]] = {}
    for series in answer:
        types: dict[str, list[str]] = {}
        try:
            rows = msgspec.convert(series.values, list[tuple[str, str]])
        except msgspec.ValidationError as error:
            raise MetricsUnavailable("InfluxDB's answer names no fields with their types") from error
        for name, kind in rows:
            types.setdefault(name, []).append(kind)
        mixed = {name: sorted(kinds) for name, kinds in types.items() if len(kinds) > 1 and name in _READ}
        if mixed:
            found[series.name] = mixed
    return found


def describe(mixed: Mixed) -> list[str]:
    return [
        f"{measurement}.{name} is stored as {' and as '.join(kinds)}: each point is read as what it is"
        for measurement, fields in sorted(mixed.items())
        for name, kinds in sorted(fields.items())
    ]


def cast_fields(query: Query, mixed: Mixed) -> Query:
    """The same SELECT, which chooses each mixed field once for each of its types."""
    chosen, _, rest = query.text.removeprefix("SELECT ").partition(" FROM ")
    types = mixed.get(rest.partition(" ")[0])
    if types is None:
        return query
    columns = [
        f'{name}{_CAST}{kind} AS "{name}{_CAST}{kind}"' if kind else name
        for name in chosen.split(",")
        for kind in types.get(name, [""])
    ]
    # nosemgrep: query-text-is-constant - parts of such a text, and names of types
    return Query(f"SELECT {','.join(columns)} FROM {rest}", query.params)  # noqa: S608 - constants, as in the query


def merge_casts(answer: list[InfluxSeries]) -> list[InfluxSeries]:
    """The series of a SELECT, with one column in the place of those of a field's types."""
    columns = answer[0].columns if answer else []
    places: dict[str, list[int]] = {}
    for place, name in enumerate(columns):
        places.setdefault(name.partition(_CAST)[0], []).append(place)
    if len(places) == len(columns):
        return answer
    for series in answer:
        check_rows(series)
        series.columns = list(places)
        series.values = [
            [_cell([row[place] for place in of_one]) for of_one in places.values()] for row in series.values
        ]
    return answer


def _cell(cells: list[object]) -> object:
    """A number can be read as a float and as an integer: as the latter where that loses nothing."""
    present = [cell for cell in cells if cell is not None]
    if len(present) < 2:
        return present[0] if present else None
    number, *whole = present
    return next(
        (cell for cell in whole if isinstance(cell, int) and abs(cell) < 2**64 and float(cell) == number), number
    )
