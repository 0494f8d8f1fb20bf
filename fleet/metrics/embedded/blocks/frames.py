"""A block: a first byte that says its form, a table, and frames, each compressed and checksummed for itself."""

import struct
import threading
import zlib
from collections.abc import Sequence

import zstandard

RAW, ROLLED = 0x11, 0x21
"""First bytes: the upper half says what a block holds, the lower the version of its form."""

_TABLE = struct.Struct("<BBHI")  # form, number of frames, which measures, rows
_FRAME = struct.Struct("<II")  # length and checksum of each
_CHECKSUM = struct.Struct("<I")  # of all that
_HOW = zstandard.ZstdCompressionParameters.from_level(3, format=zstandard.FORMAT_ZSTD1_MAGICLESS, write_content_size=1)
_contexts = threading.local()


class DamagedBlock(Exception):
    """Bytes are not a whole block of a form that is known here."""


class Frames:
    """A block taken apart. Raises DamagedBlock, also later for a frame that is read."""

    def __init__(self, block: bytes) -> None:
        try:
            self.form, count, self.measures, self.rows = _TABLE.unpack_from(block)
            end = _TABLE.size + _FRAME.size * count
            (checksum,) = _CHECKSUM.unpack_from(block, end)
        except struct.error as error:
            raise DamagedBlock("a block of metrics ends before its table does") from error
        self._frames = tuple(_FRAME.iter_unpack(block[_TABLE.size : end]))
        self._block, self._begin = block, end + _CHECKSUM.size
        size = self._begin + sum(length for length, _ in self._frames)
        if zlib.crc32(block[:end]) != checksum or len(block) != size:
            raise DamagedBlock("a block of metrics has another checksum or length than its table says")
        if self.form not in (RAW, ROLLED):
            raise DamagedBlock(f"a block of metrics has form {self.form:#x}, which this server does not know")

    def read(self, number: int) -> bytes:
        begin = self._begin + sum(length for length, _ in self._frames[:number])
        length, checksum = self._frames[number]
        frame = self._block[begin : begin + length]
        if zlib.crc32(frame) != checksum:
            raise DamagedBlock("a part of a block of metrics has another checksum than its table says")
        return _decompressor().decompress(frame)


def build_block(form: int, measures: int, rows: int, frames: Sequence[bytes]) -> bytes:
    packed = [_compressor().compress(frame) for frame in frames]
    table = _TABLE.pack(form, len(packed), measures, rows)
    table += b"".join(_FRAME.pack(len(frame), zlib.crc32(frame)) for frame in packed)
    return table + _CHECKSUM.pack(zlib.crc32(table)) + b"".join(packed)


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
