"""A body that arrives in chunks, read whole within a limit."""

from collections.abc import AsyncIterable, Callable


async def read_bounded(
    chunks: AsyncIterable[bytes],
    limit: int,
    too_large: Callable[[], Exception],
    take: Callable[[int], None] = lambda count: None,
) -> bytes:
    """All chunks joined; a body of one chunk is not copied. Raises what `too_large` builds beyond `limit` bytes.

    `take` is told how many bytes of each chunk are held, and raises where there are too many of all bodies.
    """
    pieces: list[bytes] = []
    size = 0
    try:
        async for chunk in chunks:
            pieces.append(chunk)
            size += len(chunk)
            if size > limit:
                raise too_large()
            take(len(chunk))
        return b"".join(pieces)
    finally:
        pieces.clear()  # whoever keeps an error keeps this frame
