"""What InfluxDB 1.x answers to one SELECT, decoded: its silent failures found, its cells read as numbers.

Source: the HTTP API of InfluxDB 1.6, `/query`. Errors, missing databases, timeouts and limits arrive inside a 200.
"""

import logging
import math
import re
from collections.abc import Callable, Collection
from typing import Any

import msgspec
from msgspec import Struct

from fleet.errors import MetricsUnavailable
from fleet.metrics.aggregate import Series
from fleet.metrics.influx_text import FIELDS, SIGHTING_TAGS, Key, Layout
from fleet.models import PodKey
from fleet.quantities import NANO, parse_bytes, parse_cores
from fleet.recorder import note_rows
from fleet.usage import Measure, Point

logger = logging.getLogger(__name__)

_LIMIT = re.compile(r"max-[a-z-]+|query-timeout")
_MOST_BYTES = 2**63 - 1
_MOST_PLAIN = 17
"""Characters of a plain cell: 15 digits of kibibytes are less than the most bytes."""


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


class CellReader:
    """Reads cells as numbers. What can't be read is None, is counted in `unparsable`, and is logged the first time."""

    def __init__(self) -> None:
        self.unparsable = 0

    def read(self, measure: Measure, cells: Collection[object]) -> list[float | None]:
        """The values of one column of cells."""
        parse: Callable[[object], float | None] = _cores if measure is Measure.CPU_CORES else _bytes
        is_cores = measure is Measure.CPU_CORES
        suffix = "n" if is_cores else "Ki"
        width = len(suffix)
        values: list[float | None] = []
        for cell in cells:
            # The usual shape first, here and not in a function: a chart of many objects has a hundred thousand of them.
            if type(cell) is str and cell[-width:] == suffix and len(cell) <= _MOST_PLAIN:
                digits = cell[:-width]
                if digits.isdigit() and digits.isascii():
                    values.append(int(digits) / NANO if is_cores else int(digits) << 10)
                    continue
            try:
                values.append(parse(cell))
            except (ValueError, OverflowError):
                self._note(measure, cell)
                values.append(None)
        return values

    def _note(self, measure: Measure, cell: object) -> None:
        self.unparsable += 1
        if self.unparsable == 1:
            logger.warning("InfluxDB holds a value of %s that is no quantity: %.60r", FIELDS[measure], cell)


def _cores(cell: object) -> float | None:
    """`218250189n`, `2` or 0.25 as cores: a number means what the same text would."""
    if cell is None or cell == "":
        return None
    return _measurable(parse_cores(cell) if isinstance(cell, str) else cell)


def _bytes(cell: object) -> int | None:
    """`14692232Ki`, `1234567` or 1234567.0 as bytes, fractions rounded up."""
    if cell is None or cell == "":
        return None
    return min(math.ceil(_measurable(parse_bytes(cell) if isinstance(cell, str) else cell)), _MOST_BYTES)


def _measurable(cell: object) -> float:
    """The cell, where it is a number that a measure can have. Raises ValueError."""
    if isinstance(cell, bool) or not isinstance(cell, int | float) or not math.isfinite(cell) or cell < 0:
        raise ValueError("not a number that can be measured")
    return cell


def read_series(
    answer: list[InfluxSeries],
    layout: Layout,
    keys: Collection[Key],
    measures: Collection[Measure],
    cells: CellReader,
) -> dict[Key, Series]:
    """The asked objects' points as columns, oldest first; series of other objects are dropped."""
    shared: list[str] | None = None
    chosen: list[tuple[Key, int]] = []
    rows: list[list[Any]] = []
    try:
        for series in answer:
            key = layout.key_of(*[series.tags.get(tag, "") for tag in layout.tags])
            if key not in keys or not series.values:
                continue
            shared = shared or series.columns
            if series.columns != shared:
                raise _strange()
            rows += _ascending(series.values)
            chosen.append((key, len(rows)))
        # Cells are read a column at a time, over all objects: most have one row, and a call has its price.
        columns = list(zip(*rows, strict=True))
    except (ValueError, TypeError, IndexError) as error:
        raise _strange() from error
    if shared is None:
        return {}
    if len(columns) != len(shared) or set(map(type, columns[0])) != {int}:
        raise _strange()
    where = _places_of(shared, [FIELDS[measure] for measure in measures])
    values = {measure: cells.read(measure, columns[where[FIELDS[measure]]]) for measure in measures}
    found: dict[Key, Series] = {}
    begin = 0
    for key, end in chosen:
        of_key = {measure: column[begin:end] for measure, column in values.items()}
        found[key] = Series(columns[0][begin:end], of_key)
        begin = end
    return found


def _strange() -> MetricsUnavailable:
    return MetricsUnavailable("InfluxDB's answer has other columns than were asked for")


def _places_of(columns: list[str], wanted: list[str]) -> dict[str, int]:
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
    if len(rows) > 1 and rows[0][0] > rows[-1][0]:
        rows = rows[::-1]
    if len(rows) == 1:
        return rows
    by_time = {row[0]: row for row in rows}
    # An object that two nodes reported at one time has two rows there: one of them counts.
    return rows if len(by_time) == len(rows) else list(by_time.values())


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
