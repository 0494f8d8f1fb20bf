"""Parsers of the blocks of the metric file: damaged bytes are known as such, never a value."""

from collections.abc import Callable

from fleet.metrics.aggregate import Series
from fleet.metrics.embedded.blocks import raw, rolled
from fleet.metrics.embedded.blocks.frames import DamagedBlock
from fleet.metrics.embedded.blocks.spans import from_series, roll_up
from fleet.model.usage import NANOSECONDS, Measure
from tests.fuzz.hostile import spoilt_bytes
from tests.fuzz.parsers import Parser

_TIMES = [1_700_000_000 * NANOSECONDS + second * 15 * NANOSECONDS for second in range(40)]
_SERIES = Series(
    _TIMES,
    {
        Measure.CPU_CORES: [0.25 if number % 7 else None for number in range(40)],
        Measure.NETWORK_RECEIVE_BYTES: [number * 4099 for number in range(40)],
    },
)
_PLACES = [1 if number < 20 else 2 for number in range(40)]
_RAW = raw.encode_points(_SERIES, _PLACES)
_ROLLED = rolled.encode_rolled(roll_up(from_series(_SERIES, _PLACES), 60 * NANOSECONDS))
_MODULE = "fleet.metrics.embedded.blocks"


def _of(block: bytes, name: str, decode: Callable[[bytes], object], *also: str) -> Parser:
    return Parser(decode, spoilt_bytes(block), (DamagedBlock,), (name, *(f"{_MODULE}.{each}" for each in also)))


BLOCKS = (
    *(_of(_RAW, f"{_MODULE}.raw.{decode.__name__}", decode) for decode in (raw.decode_points, raw.decode_spans)),
    _of(_RAW, f"{_MODULE}.raw.decode_places", raw.decode_places, "raw.unpack_mask", "raw.unpack_runs"),
    _of(_RAW, f"{_MODULE}.raw.decode_runs", raw.decode_runs),
    _of(_ROLLED, f"{_MODULE}.rolled.decode_rolled", rolled.decode_rolled),
)
