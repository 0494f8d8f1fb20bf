"""What InfluxDB 2.x answers to a Flux query, decoded: annotated CSV, cut answers found, cells left as they are stored.

Source: "Annotated CSV" of InfluxDB 2.7. The client library's own reader is not used: it cuts times to microseconds,
takes half an answer for a whole one, and takes twice as long.
"""

import csv
import io
from collections.abc import Callable, Iterator, Sequence
from datetime import datetime
from typing import Any

from msgspec import Struct

from fleet.aio.recorder import note_rows
from fleet.metrics.influx.flux_http import explain_error
from fleet.metrics.influx.rows import InfluxSeries
from fleet.model.errors import MetricsUnavailable
from fleet.model.usage import NANOSECONDS

_TYPED: dict[str, Callable[[str], object]] = {
    "double": float,
    "long": int,
    "unsignedLong": int,
    "boolean": lambda text: text == "true",
}
_EMPTY = b"\r\n"
_END = b"\r\n\r\n"
_FIRST_COLUMN = 3  # after the annotation's, the result's and the table's


class _Header(Struct):
    """Where the columns of the rows that follow are; `typed` names those that are not text."""

    places: dict[str, int]
    typed: list[tuple[int, Callable[[str], object]]]
    width: int


def decode_rows(body: bytes, tags: Sequence[str], columns: Sequence[str]) -> list[InfluxSeries]:
    """The rows of an answer by the values of `tags`, each the time in nanoseconds and `columns`, oldest first.

    A column that a table lacks is empty. Raises MetricsUnavailable for whatever is not a whole answer.
    """
    if body == _EMPTY:
        return []
    # Each result ends with an empty line: an answer that was cut between two rows has none.
    if not body.endswith(_END):
        raise MetricsUnavailable("InfluxDB's answer is cut short or is not the answer of an InfluxDB 2.x")
    found: dict[tuple[str, ...], list[list[Any]]] = {}
    read_time = _TimeReader()
    try:
        for header, rows in _read_tables(body.decode()):
            times = header.places["_time"]
            named = [header.places.get(tag, 0) for tag in tags]
            chosen = [header.places.get(column, 0) for column in columns]
            for row in rows:
                for place, convert in header.typed:
                    row[place] = convert(row[place]) if row[place] else None
                # The first column is the annotation's and empty: so is what a table lacks.
                values = found.setdefault(tuple([row[place] for place in named]), [])
                values.append([read_time(row[times]), *[row[place] for place in chosen]])
    except (csv.Error, UnicodeDecodeError, ValueError, KeyError, IndexError) as error:
        raise MetricsUnavailable("InfluxDB's answer is cut short or is not the answer of an InfluxDB 2.x") from error
    note_rows(sum(map(len, found.values())))
    for values in found.values():
        values.sort(key=_time_of)
    return [
        InfluxSeries(["time", *columns], values, tags=dict(zip(tags, key, strict=True)))
        for key, values in found.items()
    ]


def decode_values(body: bytes, tags: Sequence[str], columns: Sequence[str]) -> list[InfluxSeries]:
    """As `decode_rows`, of an answer that has a value a row, with the name of its column in `_field`."""
    places = {column: place for place, column in enumerate(columns, start=1)}
    answer = []
    for series in decode_rows(body, tags, ["_field", "_value"]):
        points: dict[int, list[Any]] = {}
        for time_ns, name, value in series.values:
            point = points.get(time_ns)
            if point is None:
                point = points[time_ns] = [time_ns, *[None] * len(columns)]
            if name in places:
                point[places[name]] = value
        answer.append(InfluxSeries(["time", *columns], list(points.values()), tags=series.tags))
    return answer


def _time_of(row: list[Any]) -> int:
    time_ns: int = row[0]
    return time_ns


def _read_tables(text: str) -> Iterator[tuple[_Header, list[list[Any]]]]:
    """The rows under each header. Raises MetricsUnavailable for an error that InfluxDB put into its answer."""
    types: list[str] | None = None
    header: _Header | None = None
    rows: list[list[Any]] = []
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    for row in reader:
        if not row or row[0] == "#datatype":
            if header is not None:
                yield header, rows
            header, rows = None, []
            types = row or None
        elif header is not None:
            if len(row) != header.width:
                raise ValueError("a row of another width than its header")
            rows.append(row)
        elif row[-2:] == ["error", "reference"]:
            raise MetricsUnavailable(explain_error(_next_line(reader)))
        elif types is None:
            raise ValueError("a header without the types of its columns")
        else:
            header = _build_header(types, row)


def _next_line(reader: Iterator[list[str]]) -> str:
    return ",".join(next(reader, []))


def _build_header(types: list[str], names: list[str]) -> _Header:
    if len(types) != len(names) or "_time" not in names[_FIRST_COLUMN:]:
        raise ValueError("a header that does not fit its types")
    return _Header(
        {name: place for place, name in enumerate(names) if place >= _FIRST_COLUMN},
        [(place, _TYPED[kind]) for place, kind in enumerate(types) if kind in _TYPED and place >= _FIRST_COLUMN],
        len(names),
    )


class _TimeReader:
    """Times as nanoseconds. A delivery has one time for all its points, so each is worked out once."""

    def __init__(self) -> None:
        self._known: dict[str, int] = {}

    def __call__(self, text: str) -> int:
        known = self._known.get(text)
        if known is None:
            known = self._known[text] = _parse_time(text)
        return known


def _parse_time(text: str) -> int:
    seconds, _, fraction = text.removesuffix("Z").partition(".")
    moment = int(datetime.fromisoformat(f"{seconds}+00:00").timestamp())
    return moment * NANOSECONDS + (int(fraction.ljust(9, "0")[:9]) if fraction else 0)
