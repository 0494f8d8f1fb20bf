"""A body in chunks is read whole, or refused as soon as it is too large."""

from collections.abc import AsyncIterator

import pytest

from fleet.aio.bounded import read_bounded


class TooLargeError(Exception):
    pass


async def arrive(*chunks: bytes) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


@pytest.mark.parametrize("chunks", [(), (b"whole",), (b"a", b"", b"bc", b"de")])
async def test_chunks_within_the_limit_are_joined(chunks: tuple[bytes, ...]) -> None:
    assert await read_bounded(arrive(*chunks), 5, TooLargeError) == b"".join(chunks)


async def test_nothing_is_read_behind_the_limit() -> None:
    body = arrive(b"abc", b"def", b"never read")
    with pytest.raises(TooLargeError):
        await read_bounded(body, 5, TooLargeError)
    assert await anext(body) == b"never read"


async def test_one_chunk_is_not_copied() -> None:
    chunk = b"x" * 1000
    assert await read_bounded(arrive(chunk), 1000, TooLargeError) is chunk
