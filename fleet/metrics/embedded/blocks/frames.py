"""A block: a checksum, a byte that says its form, a table, and frames, each compressed for itself."""

import struct
import threading
import zlib
from collections.abc import Sequence

import zstandard

from fleet.metrics.embedded.blocks.columns import Packed

RAW, ROLLED = 0x11, 0x21
"""Forms: the upper half says what a block holds, the lower the version of its form."""

_TABLE = struct.Struct("<BBHI")  # form, number of frames, which measures, rows
_FRAME = struct.Struct("<II")  # lengths of each: what is compressed, and noise
_CHECKSUM = struct.Struct("<I")  # of all that follows it
_HOW = zstandard.ZstdCompressionParameters.from_level(3, format=zstandard.FORMAT_ZSTD1_MAGICLESS, write_content_size=1)
_BEGIN = _CHECKSUM.size + _TABLE.size
_contexts = threading.local()


class DamagedBlock(Exception):
    """Bytes are not a whole block of a form that is known here."""


class Frames:
    """A block taken apart. Raises DamagedBlock."""

    def __init__(self, block: bytes) -> None:
        if len(block) < _BEGIN or zlib.crc32(block[_CHECKSUM.size :]) != _CHECKSUM.unpack_from(block)[0]:
            raise DamagedBlock("a block of metrics has another checksum than it says")
        self.form, count, self.measures, self.rows = _TABLE.unpack_from(block, _CHECKSUM.size)
        if self.form not in (RAW, ROLLED):
            raise DamagedBlock(f"a block of metrics has form {self.form:#x}, which this server does not know")
        end = _BEGIN + _FRAME.size * count
        self._lengths = tuple(_FRAME.iter_unpack(block[_BEGIN:end]))
        self._block, self._begin = block, end

    def read(self, number: int) -> Packed:
        begin = self._begin + sum(map(sum, self._lengths[:number]))
        length, noise = self._lengths[number]
        between = begin + length
        return _decompressor().decompress(self._block[begin:between]), self._block[between : between + noise]


def build_block(form: int, measures: int, rows: int, frames: Sequence[Packed]) -> bytes:
    packed = [(_compressor().compress(data), noise) for data, noise in frames]
    table = _TABLE.pack(form, len(packed), measures, rows)
    table += b"".join(_FRAME.pack(len(data), len(noise)) for data, noise in packed)
    block = table + b"".join(map(b"".join, packed))
    return _CHECKSUM.pack(zlib.crc32(block)) + block


def _compressor() -> zstandard.ZstdCompressor:
    made: zstandard.ZstdCompressor | None = getattr(_contexts, "compressor", None)
    if made is None:
        made = _contexts.compressor = zstandard.ZstdCompressor(compression_params=_HOW)
    return made


def _decompressor() -> zstandard.ZstdDecompressor:
    made: zstandard.ZstdDecompressor | None = getattr(_contexts, "decompressor", None)
    if made is None:
        made = _contexts.decompressor = zstandard.ZstdDecompressor(format=zstandard.FORMAT_ZSTD1_MAGICLESS)
    return made
