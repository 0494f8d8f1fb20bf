"""Blocks of points as they were measured, whole numbers and cores alike: what is decoded is what was encoded."""

import struct
from collections.abc import Collection, Sequence
from itertools import starmap
from typing import Any

import numpy as np
from numpy.typing import NDArray

from fleet.metrics.aggregate import Series
from fleet.metrics.embedded.blocks.columns import Ints, Packed, join_packed, pack, unpack
from fleet.metrics.embedded.blocks.frames import RAW, DamagedBlock, Frames, build_block
from fleet.metrics.embedded.blocks.present import Mask, Present, Run, find_present, find_runs
from fleet.metrics.embedded.blocks.spans import Spans, from_points
from fleet.model.usage import ALL_MEASURES, NANOSECONDS, Measure

MEASURES = tuple(Measure)
"""In the order of the bits that say in a block which of them it has."""

_UNITS = NANOSECONDS, 1_000_000, 1_000, 1
_CLOCK = struct.Struct("<qI")  # the first time, and what all are multiples of
_MASKED, _NANO, _BITS = 1, 2, 4
_MOST_CORES = 2.0**53 / NANOSECONDS


def encode_points(series: Series, places: Sequence[int | None] = ()) -> bytes:
    """A block of one point at least, times ascending strictly, and for each the id of its place, above 0, or None.

    Raises OverflowError for whole numbers beyond an int64.
    """
    times_ns = np.array(series.times_ns, np.int64)
    columns = find_present(series.values)
    runs = find_runs(times_ns, places) if any(places) else np.empty((3, 0), np.int64)
    unit = next(unit for unit in _UNITS if not (times_ns % unit).any())
    steps = np.diff(times_ns // unit, prepend=times_ns[:1] // unit)
    frames = [join_packed(pack_runs(runs), (_CLOCK.pack(times_ns[0], unit), b""), pack(steps[None, :]))]
    frames += [_pack_values(columns[measure]) for measure in MEASURES if measure in columns]
    return build_block(RAW, flag(columns), len(times_ns), frames)


def decode_points(block: bytes, measures: Collection[Measure] = ALL_MEASURES) -> Series:
    """Raises DamagedBlock."""
    _, times_ns, frames = _open(block)
    columns = _read_columns(frames, measures)
    none = [None] * len(times_ns)
    return Series(
        times_ns.tolist(),
        {measure: columns[measure].as_list() if measure in columns else none for measure in measures},
    )


def decode_spans(block: bytes, measures: Collection[Measure] = ALL_MEASURES) -> Spans:
    """The points as spans of their own. Raises DamagedBlock."""
    runs, times_ns, frames = _open(block)
    return from_points(times_ns, _read_columns(frames, measures), runs)


def decode_runs(block: bytes) -> list[Run]:
    """Where a pod was, of a block of points or of spans. Raises DamagedBlock."""
    runs, _ = unpack_runs(Frames(block).read(0))
    return list(starmap(Run, runs.T.tolist()))


def decode_places(block: bytes) -> list[int | None]:
    """The place of each point. Raises DamagedBlock."""
    runs, times_ns, _ = _open(block)
    places = np.full(len(times_ns), None, np.object_)
    for first_ns, last_ns, place in runs.T.tolist():
        places[np.searchsorted(times_ns, first_ns) : np.searchsorted(times_ns, last_ns, "right")] = place
    return list(places.tolist())


def _open(block: bytes) -> tuple[Ints, Ints, Frames]:
    """Runs, times, and the frames that hold the values."""
    frames = Frames(block)
    if frames.form != RAW:
        raise DamagedBlock("a block of points was looked for where another is")
    runs, (clock, noise) = unpack_runs(frames.read(0))
    first_ns, unit = _CLOCK.unpack_from(clock)
    steps, _ = unpack((clock[_CLOCK.size :], noise), 1, frames.rows)
    return runs, np.cumsum(steps[0]) * unit + first_ns, frames


def _read_columns(frames: Frames, measures: Collection[Measure]) -> dict[Measure, Present]:
    return {
        measure: _unpack_values(frames.read(number), frames.rows)
        for number, measure in enumerate(flagged(frames.measures), 1)
        if measure in measures
    }


def _pack_values(column: Present) -> Packed:
    values, form = column.values, 0
    if values.dtype == np.float64:
        nano = np.rint(np.clip(values, -_MOST_CORES, _MOST_CORES) * NANOSECONDS)
        same = (nano / NANOSECONDS).view(np.int64) == values.view(np.int64)
        form = _NANO if same.all() else _BITS
        values = nano.astype(np.int64) if form == _NANO else values.view(np.int64)
    head = bytes([form]) if column.mask is None else bytes([form | _MASKED]) + pack_mask(column.mask)
    return join_packed((head, b""), pack(values[None, :]))


def _unpack_values(frame: Packed, rows: int) -> Present:
    data, noise = frame
    form, begin, mask = data[0], 1, None
    if form & _MASKED:
        mask, begin = unpack_mask(data, 1, rows)
        rows = int(mask.sum())
    columns, _ = unpack((data[begin:], noise), 1, rows)
    values: NDArray[Any] = columns[0]
    if form & _NANO:
        values = values / NANOSECONDS
    elif form & _BITS:
        values = values.view(np.float64)
    return Present(values, mask)


def flag(measures: Collection[Measure]) -> int:
    return sum(1 << bit for bit, measure in enumerate(MEASURES) if measure in measures)


def flagged(bits: int) -> list[Measure]:
    return [measure for bit, measure in enumerate(MEASURES) if bits >> bit & 1]


def pack_mask(mask: Mask) -> bytes:
    packed: bytes = np.packbits(mask).tobytes()
    return packed


def unpack_mask(frame: bytes, begin: int, rows: int) -> tuple[Mask, int]:
    """The mask, and where what follows it begins."""
    end = begin + (rows + 7) // 8
    return np.unpackbits(np.frombuffer(frame, np.uint8, end - begin, begin), count=rows).view(np.bool_), end


def pack_runs(runs: Ints) -> Packed:
    return join_packed((int(runs.shape[1]).to_bytes(4, "little"), b""), pack(runs))


def unpack_runs(frame: Packed) -> tuple[Ints, Packed]:
    """The runs, and what follows them."""
    data, noise = frame
    return unpack((data[4:], noise), 3, int.from_bytes(data[:4], "little"))
