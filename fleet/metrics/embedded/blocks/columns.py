"""Columns of whole numbers as bytes: differences, in the bytes that the largest needs, the low bytes of all first.

So laid out, what changes little is runs of zeros, which a compressor takes for next to nothing. All arithmetic is
modulo 2**64, so that every int64 comes back as it was.
"""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_KEPT_BITS = 9
_DROPPED = 52 - _KEPT_BITS
PRECISION = 2.0 ** -(_KEPT_BITS + 1)
"""How far from itself, as a share, `restore_floats(round_floats(value))` may be: 0.098 %."""

_HEAD = 10  # the first value, whether it is differences, and the width of a column


def pack(columns: Ints) -> bytes:
    """A matrix of a column a row, each as its own neighbours' differences, or those from its first: the smaller."""
    count, rows = columns.shape
    if not rows:
        return b""
    from_first = columns - columns[:, :1]
    from_before = np.diff(columns, axis=1, prepend=columns[:, :1])
    near = np.abs(from_before).sum(axis=1, dtype=np.float64) < np.abs(from_first).sum(axis=1, dtype=np.float64)
    chosen = np.where(near[:, None], from_before, from_first)
    folded = ((chosen << 1) ^ (chosen >> 63)).view(np.uint64)
    widths = [(int(most).bit_length() + 7) // 8 for most in folded.max(axis=1)]
    planes = folded.astype("<u8", order="C").view(np.uint8).reshape(count, rows, 8)
    head = bytearray(columns[:, 0].astype("<i8").tobytes())
    head += near.astype(np.uint8).tobytes() + bytes(widths)
    return bytes(head) + b"".join(planes[at, :, :width].T.tobytes() for at, width in enumerate(widths))


def unpack(data: bytes, count: int, rows: int, wanted: slice = slice(None)) -> tuple[Ints, int]:
    """Those of `count` columns of so many rows that are wanted, and how many bytes all of them take."""
    if not rows:
        return np.empty((len(range(*wanted.indices(count))), 0), np.int64), 0
    widths = data[9 * count : _HEAD * count]
    firsts = np.frombuffer(data, "<i8", count)
    near = data[8 * count : 9 * count]
    chosen = range(*wanted.indices(count))
    planes = np.zeros((len(chosen), rows, 8), np.uint8)
    begin = _HEAD * count
    for at, width in enumerate(widths):
        if width and at in chosen:
            plane = np.frombuffer(data, np.uint8, width * rows, begin).reshape(width, rows)
            planes[at - chosen.start, :, :width] = plane.T
        begin += width * rows
    folded = planes.view("<u8")[:, :, 0]
    columns = (folded >> np.uint64(1)).view(np.int64) ^ -(folded & np.uint64(1)).view(np.int64)
    for row, at in enumerate(chosen):
        if near[at] and widths[at]:
            np.cumsum(columns[row], out=columns[row])
    columns += firsts[chosen.start : chosen.stop, None]
    return columns, begin


def round_floats(values: Floats) -> Ints:
    """Numbers that stand in the order of the values: a float's bits, of its fraction the first nine, rounded."""
    bits = (np.abs(values).view(np.int64) + (1 << (_DROPPED - 1))) >> _DROPPED
    return np.where(values < 0, -bits, bits)


def restore_floats(rounded: Ints) -> Floats:
    floats = (np.abs(rounded) << _DROPPED).view(np.float64)
    return np.where(rounded < 0, -floats, floats)
