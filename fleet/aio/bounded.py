"""A body that arrives in chunks, read whole within a limit."""

from collections.abc import AsyncIterable, Callable


async def read_bounded(chunks: AsyncIterable[bytes], limit: int, too_large: Callable[[], Exception]) -> bytes:
    """All chunks joined; a body of one chunk is not copied. Raises what `too_large` builds beyond `limit` bytes."""
    pieces: list[bytes] = []
    size = 0
    async for chunk in chunks:
        pieces.append(chunk)
        size += len(chunk)
        if size > limit:
            raise too_large()
    return b"".join(pieces)
