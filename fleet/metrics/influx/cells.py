"""Cells of InfluxDB's answers, which hold quantities as text, read as numbers a column at a time."""

import logging
import math
from collections.abc import Callable, Sequence
from typing import Any

import msgspec

from fleet.metrics.influx.layout import FIELDS
from fleet.model.quantities import parse_bytes, parse_cores
from fleet.model.unreadable import UNREADABLE
from fleet.model.usage import Measure

logger = logging.getLogger(__name__)

_MOST_BYTES = 2**63 - 1
_MOST_PLAIN = 10**15
"""What is larger is read by itself."""

_CHUNK = 512
"""Cells that are read at once: one that is odd has only these read one by one."""

_EXPONENTS = {b"n,": b"e-9,", b"u,": b"e-6,", b"m,": b"e-3,"}
_SHIFTS = {"K": 10, "M": 20, "G": 30}

_decode_floats = msgspec.json.Decoder(list[float]).decode
_decode_ints = msgspec.json.Decoder(list[int]).decode


class CellReader:
    """Reads cells as numbers. What can't be read is None, is counted in `unparsable`, and is logged the first time."""

    def __init__(self) -> None:
        self.unparsable = 0

    def read(self, measure: Measure, cells: Sequence[object]) -> list[float | None]:
        read_plain = _plain_cores if measure is Measure.CPU_CORES else _plain_bytes
        values: list[float | None] = []
        for begin in range(0, len(cells), _CHUNK):
            chunk = cells[begin : begin + _CHUNK]
            values += read_plain(chunk) or self._read_each(measure, chunk)
        return values

    def _read_each(self, measure: Measure, cells: Sequence[object]) -> list[float | None]:
        parse: Callable[[object], float | None] = _cores if measure is Measure.CPU_CORES else _bytes
        values: list[float | None] = []
        for cell in cells:
            try:
                values.append(parse(cell))
            except (ValueError, OverflowError):
                self._count_unparsable(measure, cell)
                values.append(None)
        return values

    def _count_unparsable(self, measure: Measure, cell: object) -> None:
        self.unparsable += 1
        if self.unparsable == 1:
            logger.warning("InfluxDB holds a value of %s that is no quantity: %.60r", FIELDS[measure], cell)


def _plain_cores(cells: Sequence[Any]) -> list[Any] | None:
    """All of them at once where each is digits and at most n, u or m behind them; else None.

    A suffix becomes an exponent, and a decoder written in C reads the list: its floats are the nearest ones, too.
    """
    text = _join(cells, b"0123456789num,")
    if text is None:
        return None
    for suffix, exponent in _EXPONENTS.items():
        text = text.replace(suffix, exponent)
    return _decoded(_decode_floats, text, len(cells))


def _plain_bytes(cells: Sequence[Any]) -> list[Any] | None:
    """All of them at once where each is digits and at most Ki, Mi or Gi behind them; else None."""
    text = _join(cells, b"0123456789KMGi,")
    if text is None:
        return None
    numbers = _decoded(_decode_ints, text.replace(b"Ki,", b",").replace(b"Mi,", b",").replace(b"Gi,", b","), len(cells))
    if numbers is None:
        return None
    shift_of = _SHIFTS.get
    values = [number << shift_of(cell[-2:-1], 0) for number, cell in zip(numbers, cells, strict=True)]
    return values if max(values) <= _MOST_BYTES else None


def _join(cells: Sequence[Any], allowed: bytes) -> bytes | None:
    """The cells with a comma behind each, where they are text of nothing but these characters."""
    try:
        text = (",".join(cells) + ",").encode()
    except (TypeError, UnicodeEncodeError):
        return None
    return None if text.translate(None, allowed) else text


def _decoded(decode: Callable[[bytes], list[Any]], text: bytes, count: int) -> list[Any] | None:
    """The numbers of a list with a comma behind each; None where they are others than there were cells."""
    try:
        numbers = decode(b"[" + text[:-1] + b"]")
    except UNREADABLE:
        return None  # an empty cell, a leading zero, or a suffix that is not at the end
    return numbers if len(numbers) == count and max(numbers) < _MOST_PLAIN else None


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
