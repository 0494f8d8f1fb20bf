"""The message is what the protocol says, byte for byte."""

import struct

import cramjam

from fleet.metrics.remote_write.encode import encode_write


def test_a_message_is_fields_with_their_lengths() -> None:
    name, pod = (b"\x0a\x08__name__\x12\x02up", b"\x0a\x03pod\x12\x06w\xc3\xa9b-1")
    labels = b"".join(b"\x0a" + bytes((len(pair),)) + pair for pair in (name, pod))
    # 300 ms is two groups of seven bits; a time before 1970 is ten, as signed numbers are written in 64 bits.
    first = b"\x09" + struct.pack("<d", 0.25) + b"\x10\xac\x02"
    second = b"\x09" + struct.pack("<d", -1.0) + b"\x10" + b"\xff" * 9 + b"\x01"
    samples = b"".join(b"\x12" + bytes((len(sample),)) + sample for sample in (second, first))
    series = labels + samples
    body = encode_write([((("__name__", "up"), ("pod", "wéb-1")), [(-1.0, -1), (0.25, 300)])])
    assert bytes(cramjam.snappy.decompress_raw(body)) == b"\x0a" + bytes((len(series),)) + series


def test_a_series_longer_than_127_bytes_has_a_longer_length() -> None:
    body = encode_write([((("__name__", "x" * 200),), [])] * 2)
    label = b"\x0a\x08__name__\x12\xc8\x01" + b"x" * 200
    series = b"\x0a\xd5\x01" + label
    assert bytes(cramjam.snappy.decompress_raw(body)) == (b"\x0a\xd8\x01" + series) * 2
