"""The rows of an answer, taken apart: columns of points, stored points, and where pods were seen."""

from collections.abc import Collection, Iterable
from operator import itemgetter
from typing import Any

from msgspec import Struct

from fleet.metrics.aggregate import Columns
from fleet.metrics.influx.cells import CellReader
from fleet.metrics.influx.layout import FIELDS, SIGHTING_TAGS, Key, Layout
from fleet.model.errors import MetricsUnavailable
from fleet.model.objects import PodKey
from fleet.model.usage import Measure, Point


class InfluxSeries(Struct, gc=False):
    """One series of an answer: its tags, and rows whose first column is the time in nanoseconds."""

    columns: list[str]
    values: list[list[Any]] = []
    tags: dict[str, str] = {}
    partial: bool = False
    name: str = ""


def read_columns(
    answer: Iterable[InfluxSeries],
    layout: Layout,
    keys: Collection[Key],
    measures: Collection[Measure],
    cells: CellReader,
) -> Columns[Key]:
    """The points of those objects that were asked for, of an answer that has a series for each object."""
    names: list[str] | None = None
    chosen: list[Key] = []
    ends: list[int] = []
    rows: list[list[Any]] = []
    try:
        for series in answer:
            key = layout.key_of(*[series.tags.get(tag, "") for tag in layout.tags])
            if key not in keys or not series.values:
                continue
            names = names or series.columns
            if series.columns != names:
                raise _unexpected_columns()
            rows += _ascending(series.values)
            chosen.append(key)
            ends.append(len(rows))
    except (TypeError, IndexError) as error:
        raise _unexpected_columns() from error
    return Columns() if names is None else _build_columns(chosen, ends, names, rows, measures, cells)


def read_newest(
    answer: Iterable[InfluxSeries],
    layout: Layout,
    keys: Collection[Key],
    measures: Collection[Measure],
    cells: CellReader,
) -> Columns[Key]:
    """The newest point of each object, of an answer whose rows have the tags beside the fields, oldest first."""
    newest: dict[tuple[str, ...], list[Any]] = {}
    names: list[str] = []
    for series in answer:
        names = series.columns
        where = _places_of(names, layout.tags)
        check_rows(series)
        tags = [map(itemgetter(where[tag]), series.values) for tag in layout.tags]
        newest.update(zip(zip(*tags, strict=True), series.values, strict=True))
    # A key is equal to the plain tuple of its parts.
    found = [(key, row) for key in keys if (row := newest.get(key)) is not None]
    if not found:
        return Columns()
    chosen, rows = map(list, zip(*found, strict=True))
    return _build_columns(chosen, list(range(1, len(rows) + 1)), names, rows, measures, cells)


def _build_columns(
    keys: list[Key],
    ends: list[int],
    names: list[str],
    rows: list[list[Any]],
    measures: Collection[Measure],
    cells: CellReader,
) -> Columns[Key]:
    """Cells are read a column at a time, over all objects: most have one row, and a call has its price."""
    where = _places_of(names, [FIELDS[measure] for measure in measures])
    if set(map(len, rows)) != {len(names)}:
        raise _unexpected_columns()
    times = list(map(itemgetter(0), rows))
    if set(map(type, times)) != {int}:
        raise _unexpected_columns()
    values = {measure: cells.read(measure, list(map(itemgetter(where[FIELDS[measure]]), rows))) for measure in measures}
    return Columns(keys, ends, times, values)


def _unexpected_columns() -> MetricsUnavailable:
    return MetricsUnavailable("InfluxDB's answer has other columns than were asked for")


def _places_of(columns: list[str], wanted: Iterable[str]) -> dict[str, int]:
    """Where each column stands in a row. Raises MetricsUnavailable where they are not what was asked for."""
    where = {name: index for index, name in enumerate(columns)}
    if columns[:1] != ["time"] or not all(name in where for name in wanted):
        raise _unexpected_columns()
    return where


def check_rows(series: InfluxSeries) -> None:
    """Raises MetricsUnavailable where a row is not a time and a cell for each other column."""
    width = len(series.columns)
    if not all(len(row) == width and type(row[0]) is int for row in series.values):
        raise _unexpected_columns()


def _ascending(rows: list[list[Any]]) -> list[list[Any]]:
    if len(rows) == 1:
        return rows
    if rows[0][0] > rows[-1][0]:
        rows = rows[::-1]
    # An object that two nodes reported at one time has two rows there: one of them counts.
    return rows if len({row[0] for row in rows}) == len(rows) else list({row[0]: row for row in rows}.values())


def read_points(answer: list[InfluxSeries], cells: CellReader) -> list[Point]:
    """All rows as points, oldest first."""
    points: list[Point] = []
    for series in answer:
        where = _places_of(series.columns, [*FIELDS.values(), "node"])
        check_rows(series)
        columns: dict[str, list[Any]] = {
            measure.value: cells.read(measure, [row[where[field]] for row in series.values])
            for measure, field in FIELDS.items()
        }
        for index, row in enumerate(series.values):
            measured = {name: values[index] for name, values in columns.items()}
            node = row[where["node"]]
            points.append(Point(time_ns=row[0], node=node if isinstance(node, str) and node else None, **measured))
    points.sort(key=lambda point: point.time_ns)
    return points


def read_sightings(answer: list[InfluxSeries]) -> dict[tuple[PodKey, str], list[int]]:
    """The times of each pod's points on each node that has a name."""
    found: dict[tuple[PodKey, str], list[int]] = {}
    for series in answer:
        cluster, namespace, pod, node = (series.tags.get(tag, "") for tag in SIGHTING_TAGS)
        if node:
            found[PodKey(cluster, namespace, pod), node] = [row[0] for row in series.values]
    return found
