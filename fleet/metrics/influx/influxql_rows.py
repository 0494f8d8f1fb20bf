"""What InfluxDB 1.x answers to one SELECT, decoded: its silent failures found, its rows taken apart.

Source: the HTTP API of InfluxDB 1.6, `/query`. Errors, missing databases, timeouts and limits arrive inside a 200.
"""

import logging
import re
from collections.abc import Collection, Iterable
from operator import itemgetter
from typing import Any

import msgspec
from msgspec import Struct

from fleet.aio.recorder import note_rows
from fleet.metrics.aggregate import Columns
from fleet.metrics.influx.cells import CellReader
from fleet.metrics.influx.influxql_text import FIELDS, SIGHTING_TAGS, Key, Layout
from fleet.model.errors import MetricsUnavailable
from fleet.model.objects import PodKey
from fleet.model.usage import Measure, Point

logger = logging.getLogger(__name__)

_LIMIT = re.compile(r"max-[a-z-]+|query-timeout")


class InfluxSeries(Struct, gc=False):
    """One series of an answer: its tags, and rows whose first column is the time in nanoseconds."""

    columns: list[str]
    values: list[list[Any]] = []
    tags: dict[str, str] = {}
    partial: bool = False


class _Message(Struct):
    level: str = ""
    text: str = ""


class _Result(Struct):
    series: list[InfluxSeries] = []
    messages: list[_Message] = []
    error: str | None = None
    partial: bool = False


class _Answer(Struct):
    results: list[_Result] = []
    error: str | None = None


_DECODE = {True: msgspec.msgpack.Decoder(_Answer).decode, False: msgspec.json.Decoder(_Answer).decode}


def decode_answer(body: bytes, database: str, *, packed: bool = False) -> list[InfluxSeries]:
    """The series of the one statement asked, in MessagePack where it is `packed`, else in JSON.

    Raises MetricsUnavailable for whatever is not a whole answer.
    """
    try:
        answer = _DECODE[packed](body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise MetricsUnavailable("InfluxDB's answer is cut short or is not the answer of an InfluxDB") from error
    error_text = answer.error or next((result.error for result in answer.results if result.error), None)
    if error_text is not None:
        raise MetricsUnavailable(_explained(error_text, database))
    if len(answer.results) != 1:
        raise MetricsUnavailable("InfluxDB's answer holds no result: it is not the answer of an InfluxDB")
    result = answer.results[0]
    if result.partial or any(series.partial for series in result.series):
        raise MetricsUnavailable("InfluxDB cut its answer short (max-row-limit): ask for less, or raise its limit")
    if result.messages:
        logger.warning("InfluxDB sent a message with its answer: %.200r", result.messages[0].text)
        raise MetricsUnavailable("InfluxDB answered with a warning, so its answer is not relied on; the log has it")
    note_rows(lambda: sum(len(series.values) for series in result.series))
    return result.series


def _explained(text: str, database: str) -> str:
    """A message for an error of InfluxDB. Its own words may hold the statement, so only the log gets them."""
    limit = _LIMIT.search(text)
    if "database not found" in text:
        return f"InfluxDB has no database {database!r}"
    if "query-timeout" in text or "timeout" in text:
        return "the query took longer than InfluxDB allows (query-timeout): ask for less, or raise its limit"
    if limit:
        return f"the query reached a limit of InfluxDB ({limit[0]}): ask for less, or raise its limit"
    logger.warning("InfluxDB reports an error: %.200r", text)
    if "authoriz" in text:
        return f"InfluxDB does not allow this server's user to read database {database!r}"
    return "InfluxDB reports an error for the query; the log has its words"


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
                raise _strange()
            rows += _ascending(series.values)
            chosen.append(key)
            ends.append(len(rows))
    except (TypeError, IndexError) as error:
        raise _strange() from error
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
        _check_rows(series)
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
        raise _strange()
    times = list(map(itemgetter(0), rows))
    if set(map(type, times)) != {int}:
        raise _strange()
    values = {measure: cells.read(measure, list(map(itemgetter(where[FIELDS[measure]]), rows))) for measure in measures}
    return Columns(keys, ends, times, values)


def _strange() -> MetricsUnavailable:
    return MetricsUnavailable("InfluxDB's answer has other columns than were asked for")


def _places_of(columns: list[str], wanted: Iterable[str]) -> dict[str, int]:
    """Where each column stands in a row. Raises MetricsUnavailable where they are not what was asked for."""
    where = {name: index for index, name in enumerate(columns)}
    if columns[:1] != ["time"] or not all(name in where for name in wanted):
        raise _strange()
    return where


def _check_rows(series: InfluxSeries) -> None:
    width = len(series.columns)
    if not all(len(row) == width and type(row[0]) is int for row in series.values):
        raise _strange()


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
        _check_rows(series)
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
