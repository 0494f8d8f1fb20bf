"""Lines of a watch, whatever the chunks."""

from collections.abc import AsyncIterator

import pytest

from fleet.kubernetes.codec.watch import iter_arrived, iter_lines
from fleet.kubernetes.codec.wire import DecodeError


async def in_chunks(data: bytes, size: int) -> AsyncIterator[bytes]:
    for start in range(0, len(data), size):
        yield data[start : start + size]


@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
async def test_lines_are_whole_whatever_the_chunks(size: int) -> None:
    data = b'{"a":1}\n\n{"b":2}\r\n{"c":3}\n{"cut'
    assert [line async for line in iter_lines(in_chunks(data, size))] == [b'{"a":1}', b'{"b":2}', b'{"c":3}']


@pytest.mark.parametrize("data", [b"0" * 200, b"0" * 200 + b"\n", b"ok\n" + b"0" * 200 + b"\n"])
async def test_a_line_too_long_is_an_error(data: bytes) -> None:
    with pytest.raises(DecodeError, match="longer than 100 bytes"):
        assert [line async for line in iter_lines(in_chunks(data, 30), max_line_bytes=100)] == [b"ok"]


async def test_lines_that_arrive_together_are_read_together() -> None:
    data = b'{"a":1}\n{"b":2}\r\n\n{"c":3}\n'
    assert [lines async for lines in iter_arrived(in_chunks(data, 18))] == [[b'{"a":1}', b'{"b":2}'], [b'{"c":3}']]
