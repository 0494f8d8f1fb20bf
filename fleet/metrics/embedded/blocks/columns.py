"""Columns of whole numbers as bytes: differences, in as few bytes as the largest needs, the low bytes of all first.

So laid out, what changes little is runs of zeros, which a compressor takes for next to nothing. The low bits of what is
noise are kept apart from it, as they are. All arithmetic is modulo 2**64, so that every int64 comes back as it was.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_KEPT_BITS = 8  # of a float's fraction
_DROPPED = 52 - _KEPT_BITS
PRECISION = 2.0 ** -(_KEPT_BITS + 1)
"""How far from itself, as a share, `restore_floats(round_floats(value))` may be: 0.195 %."""

_AS_IS, _FROM_FIRST, _DIFFERENCES = range(3)
_ZEROS = 0, 0, (b"", b"")
_HEAD = 3  # of a column: how it is laid out, before its first value

Packed = tuple[bytes, bytes]
"""What a compressor finds something in, and noise, in which it does not."""


def pack(columns: Ints) -> Packed:
    """A matrix of a column a row, each as it is, less its first, or as differences, whichever is smallest."""
    count, rows = columns.shape
    if not rows:
        return b"", b""
    laid_out = np.empty((3, count, rows), np.int64)
    laid_out[_AS_IS], laid_out[_FROM_FIRST], laid_out[_DIFFERENCES, :, 0] = columns, columns - columns[:, :1], 0
    np.subtract(columns[:, 1:], columns[:, :-1], out=laid_out[_DIFFERENCES, :, 1:])
    sizes = np.abs(laid_out).sum(axis=2, dtype=np.float64)
    sizes[_AS_IS][columns.min(axis=1) < 0] = np.inf
    sizes[_AS_IS] /= 2  # they need no bit for a sign
    ways = sizes.argmin(axis=0)
    heads, parts = [], []
    for at, way in enumerate(ways.tolist()):
        first = b"" if way == _AS_IS else _fewest_bytes(int(columns[at, 0]))
        form, sizes_of, part = (
            _pack_column(laid_out[way, at], signed=way != _AS_IS) if laid_out[way, at].any() else _ZEROS
        )
        heads.append(bytes([way << 6 | form, sizes_of, len(first)]) + first)
        parts.append(part)
    return join_packed((b"".join(heads), b""), *parts)


def _pack_column(values: Ints, *, signed: bool) -> tuple[int, int, Packed]:
    """How many zeros all end with, how many half bytes are noise and how many bytes are not, and both."""
    shift = _count_zeros(int(np.bitwise_or.reduce(values)))
    values = values >> shift
    folded = ((values << 1) ^ (values >> 63) if signed else values).view(np.uint64)
    quarters = len(folded) // 4, len(folded) * 3 // 4, len(folded) - 1
    low, high, most = np.partition(folded, quarters)[list(quarters)].tolist()
    # Noise is what differs from row to row in most of them, but for the two upper bits of it.
    halves: int = max(0, min(low.bit_length(), (high - low).bit_length()) - 2) // 4
    width = ((most >> 4 * halves).bit_length() + 7) // 8
    planes = (folded >> np.uint64(4 * halves)).astype("<u8").view(np.uint8).reshape(-1, 8)[:, :width].T
    return shift, halves << 4 | width, (planes.tobytes(), _pack_halves(folded, halves))


def join_packed(*parts: Packed) -> Packed:
    data, noise = zip(*parts, strict=True)
    return b"".join(data), b"".join(noise)


def unpack(packed: Packed, count: int, rows: int, wanted: Sequence[int] | None = None) -> tuple[Ints, Packed]:
    """Those of `count` columns of so many rows that are wanted, and what follows them all."""
    data, noise = packed
    places = {at: place for place, at in enumerate(range(count) if wanted is None else wanted)}
    columns = np.empty((len(places), rows), np.int64)
    if not rows:
        return columns, packed
    heads, begin = [], 0
    for _ in range(count):
        form, sizes, length = data[begin : begin + _HEAD]
        end = begin + _HEAD + length
        heads.append((form, sizes, int.from_bytes(data[begin + _HEAD : end], "little", signed=True)))
        begin = end
    noise_begin = 0
    for at, (form, sizes, first) in enumerate(heads):
        if at in places and not sizes:
            columns[places[at]] = first
        elif at in places:
            halves, width = sizes >> 4, sizes & 15
            folded = np.zeros((rows, 8), np.uint8)
            folded[:, :width] = np.frombuffer(data, np.uint8, width * rows, begin).reshape(width, rows).T
            rest = folded.view("<u8")[:, 0]
            if halves:
                rest = (rest << np.uint64(4 * halves)) | _unpack_halves(noise, noise_begin, halves, rows)
            values = rest.view(np.int64)
            if form >> 6 != _AS_IS:
                values = (rest >> np.uint64(1)).view(np.int64) ^ -(rest & np.uint64(1)).view(np.int64)
            values <<= form & 63
            if form >> 6 == _DIFFERENCES:
                np.cumsum(values, out=values)
            np.add(values, first, out=columns[places[at]])
        begin += (sizes & 15) * rows
        noise_begin += (sizes >> 4) * ((rows + 1) // 2)
    return columns, (data[begin:], noise[noise_begin:])


def _count_zeros(bits: int) -> int:
    return min(63, (bits & -bits).bit_length() - 1) if bits else 0


def _fewest_bytes(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 8) // 8 if value else 0, "little", signed=True)


def _pack_halves(folded: NDArray[np.uint64], halves: int) -> bytes:
    """The lowest so many halves of a byte, two rows in one."""
    packed = bytearray()
    for half in range(halves):
        nibbles = (folded >> np.uint64(4 * half)).astype(np.uint8) & 15
        if len(nibbles) % 2:
            nibbles = np.append(nibbles, np.uint8(0))
        packed += (nibbles[::2] | nibbles[1::2] << 4).tobytes()
    return bytes(packed)


def _unpack_halves(noise: bytes, begin: int, halves: int, rows: int) -> NDArray[np.uint64]:
    size = (rows + 1) // 2
    packed = np.frombuffer(noise, np.uint8, halves * size, begin).reshape(halves, size)
    nibbles = np.empty((halves, 2 * size), np.uint64)
    nibbles[:, ::2], nibbles[:, 1::2] = packed & 15, packed >> 4
    shifted = nibbles << (np.arange(halves, dtype=np.uint64) * np.uint64(4))[:, None]
    values: NDArray[np.uint64] = np.bitwise_or.reduce(shifted, axis=0)[:rows]
    return values


def round_floats(values: Floats) -> Ints:
    """Numbers that stand in the order of the values: a float's bits, of its fraction the first eight, rounded."""
    bits = (np.abs(values).view(np.int64) + (1 << (_DROPPED - 1))) >> _DROPPED
    return np.where(values < 0, -bits, bits)


def restore_floats(rounded: Ints) -> Floats:
    floats = (np.abs(rounded) << _DROPPED).view(np.float64)
    return np.where(rounded < 0, -floats, floats)
