"""Blocks of spans. Means, bounds and last values within `PRECISION`, or exact where all of a block are the same.

Counts are exact, times are to the millisecond. Of counters the bits are dropped that what they grew by does not show
within that precision, so that errors do not add up; the last of a block is exact, for what is counted from it. What
they grew by and took is what last values and times differ by, and kept only where that is not so: at a reset, a gap, or
the first span.
"""

import math
import struct
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from fleet.metrics.embedded.blocks.columns import (
    PRECISION,
    Floats,
    Ints,
    Packed,
    join_packed,
    pack,
    restore_floats,
    round_floats,
    unpack,
)
from fleet.metrics.embedded.blocks.frames import ROLLED, DamagedBlock, Frames, build_block
from fleet.metrics.embedded.blocks.present import Mask
from fleet.metrics.embedded.blocks.raw import flag, flagged, pack_mask, pack_runs, unpack_mask, unpack_runs
from fleet.metrics.embedded.blocks.spans import Spans, Stats
from fleet.model.usage import ALL_MEASURES, Measure

SHAPES = ("low", "high", "last")
"""Columns of `Stats` beside the mean."""

_MILLISECOND = 1_000_000
_SPAN = struct.Struct("<Q")
_BITS = -int(math.log2(PRECISION / 2))
_ENDS, _VALUE = struct.Struct("<qqq"), struct.Struct("<d")
_MOST = np.nextafter(2.0**63, 0)


def encode_rolled(spans: Spans) -> bytes:
    """A block of one span at least, none there twice."""
    rows = len(spans.starts_ns)
    last_ms = (spans.last_ns - spans.starts_ns) // _MILLISECOND
    clock = np.array([spans.starts_ns // spans.span_ns - np.arange(rows), last_ms, spans.count])
    frames = [join_packed(pack_runs(spans.runs), (_SPAN.pack(spans.span_ns), b""), pack(clock))]
    kept = {measure: stats for measure, stats in spans.stats.items() if stats.count.any()}
    times_ms = spans.starts_ns // _MILLISECOND + last_ms
    stored = flagged(flag(kept))
    frames += [_pack_stats(kept[measure], spans.count, times_ms) for measure in stored]
    return build_block(ROLLED, flag(kept), rows, frames)


def decode_rolled(
    block: bytes, measures: Collection[Measure] = ALL_MEASURES, shapes: Collection[str] = SHAPES
) -> Spans:
    """What is not asked for of `shapes` is NaN. Raises DamagedBlock."""
    frames = Frames(block)
    if frames.form != ROLLED:
        raise DamagedBlock("a block of spans was looked for where another is")
    runs, (data, noise) = unpack_runs(frames.read(0))
    (span_ns,) = _SPAN.unpack_from(data)
    clock, _ = unpack((data[_SPAN.size :], noise), 3, frames.rows)
    starts_ns, last_ms, count = (clock[0] + np.arange(frames.rows)) * span_ns, clock[1], clock[2]
    times_ms = starts_ns // _MILLISECOND + last_ms
    stats = {
        measure: _unpack_stats(frames.read(number), count, times_ms, shapes, is_counter=measure.is_counter)
        for number, measure in enumerate(flagged(frames.measures), 1)
        if measure in measures
    }
    return Spans(span_ns, starts_ns, starts_ns + last_ms * _MILLISECOND, count, stats, runs)


def _pack_stats(stats: Stats, points: Ints, times_ms: Ints) -> Packed:
    known, mask = stats.count > 0, b""
    if not known.all():
        mask = pack_mask(known)
        stats = stats.each(lambda column: column[known])
        points, times_ms = points[known], times_ms[known]
    head, columns = bytes([bool(mask)]) + mask, [points - stats.count]
    shapes = [stats.low, stats.high, stats.last]
    if stats.value is None:
        mean, rated = stats.total / stats.count, known[known]
        shapes = [mean, *shapes]
    else:
        grown = np.rint(np.minimum(stats.total, _MOST)).astype(np.int64)
        took_ms = np.where(stats.weight > 0, np.maximum(np.rint(stats.weight * 1000), 1), 0).astype(np.int64)
        dropped = _find_dropped(grown)
        value = stats.value >> dropped << dropped
        more, longer = _beside(grown, value), _beside(took_ms, times_ms)
        more = np.where(np.abs(more) >> dropped <= 1, 0, more) if dropped else more
        longer = np.where(np.abs(longer) * 2000 <= took_ms, 0, longer)
        head += _ENDS.pack(grown[0], took_ms[0], stats.value[-1] - value[-1])
        columns += [value, more, longer]
        mean, rated = _mean(_restore(more, value, grown[0]), _restore(longer, times_ms, took_ms[0]))
    same = [bool((shape == shape[0]).all()) for shape in shapes]
    head += bytes(same) + b"".join(
        _VALUE.pack(shape[0]) for shape, is_same in zip(shapes, same, strict=True) if is_same
    )
    if stats.value is None:
        columns.append(np.zeros_like(points) if same[0] else round_floats(mean))
        mean, same, shapes = mean if same[0] else restore_floats(columns[-1]), same[1:], shapes[1:]
    around, low, high, last = np.where(rated, round_floats(np.array([mean, *shapes])), 0)
    columns += [
        np.zeros_like(points) if is_same else column
        for column, is_same in zip((around - low, high - around, last - around), same, strict=True)
    ]
    return join_packed((head, b""), pack(np.array(columns)))


def _unpack_stats(packed: Packed, points: Ints, times_ms: Ints, wanted: Collection[str], *, is_counter: bool) -> Stats:
    (frame, noise), begin, known = packed, 1, None
    if frame[0]:
        known, begin = unpack_mask(frame, begin, len(points))
        points, times_ms = points[known], times_ms[known]
    if is_counter:
        grown_first, took_first, dropped_last = _ENDS.unpack_from(frame, begin)
        begin += _ENDS.size
    own = 4 if is_counter else 2  # columns before those of the shapes
    constants, begin = _unpack_constants(frame, begin, ("", *SHAPES)[is_counter:])
    shapes = [at for at, name in enumerate(SHAPES) if name in wanted and name not in constants]
    columns, _ = unpack(
        (frame[begin:], noise), own + len(SHAPES), len(points), [*range(own), *(own + at for at in shapes)]
    )
    count = points - columns[0]
    value: Ints | None = None
    if is_counter:
        value = columns[1]
        grown = _restore(columns[2], value, grown_first)
        took_ms = _restore(columns[3], times_ms, took_first)
        value[-1] += dropped_last
        mean, rated = _mean(grown, took_ms)
        total, weight = grown.astype(np.float64), took_ms / 1000
    else:
        mean = np.full(len(points), constants[""]) if "" in constants else restore_floats(columns[1])
        weight = count.astype(np.float64)
        total, rated = mean * weight, weight > 0
    found = dict.fromkeys(SHAPES, np.full(len(points), np.nan))
    if shapes:
        around = np.where(rated, round_floats(mean), 0)
        for at, column in zip(shapes, columns[own:], strict=True):
            restored = restore_floats(around + (-column if SHAPES[at] == "low" else column))
            found[SHAPES[at]] = np.where(rated, restored, np.nan)
    for name in SHAPES:
        if name in constants and name in wanted:
            found[name] = np.where(rated, constants[name], np.nan)
    stats = Stats(count, total, weight, **found, value=value)
    return stats if known is None else _place(stats, known)


def _unpack_constants(frame: bytes, begin: int, names: Sequence[str]) -> tuple[dict[str, float], int]:
    """What is the same of all, and where what follows it begins."""
    same = [name for name, is_same in zip(names, frame[begin:], strict=False) if is_same]
    end = begin + len(names)
    constants = {name: _VALUE.unpack_from(frame, end + at * _VALUE.size)[0] for at, name in enumerate(same)}
    return constants, end + len(same) * _VALUE.size


def _find_dropped(grown: Ints) -> int:
    """How many of the lowest bits of a counter are less than half the precision of the least that it grew by."""
    some = grown[grown > 0]
    return max(0, int(some.min()).bit_length() - 1 - _BITS) if len(some) else 0


def _beside(values: Ints, of: Ints) -> Ints:
    """What values are beside the differences of others; the first is kept elsewhere."""
    beside = values - np.diff(of, prepend=of[:1])
    beside[0] = 0
    return beside


def _restore(beside: Ints, of: Ints, first: int) -> Ints:
    values = beside + np.diff(of, prepend=of[:1])
    values[0] = first
    return values


def _mean(grown: Ints, took_ms: Ints) -> tuple[Floats, Mask]:
    rated = took_ms > 0
    return grown / (np.maximum(took_ms, 1) / 1000), rated


def _place(stats: Stats, known: Mask) -> Stats:
    """Each column at those spans that have a value."""

    def spread(column: NDArray[Any]) -> NDArray[Any]:
        placed = np.zeros(len(known), column.dtype)
        placed[known] = column
        return placed

    placed = stats.each(spread)
    unknown = {name: np.where(known, getattr(placed, name), np.nan) for name in SHAPES}
    return replace(placed, **unknown)
