"""Reads a watch's body: lines of JSON that arrive in chunks of any size."""

from collections.abc import AsyncIterator

from fleet.kubernetes.wire import DecodeError

MAX_LINE_BYTES = 16 * 1024 * 1024


async def iter_lines(chunks: AsyncIterator[bytes], *, max_line_bytes: int = MAX_LINE_BYTES) -> AsyncIterator[bytes]:
    """Whole lines without their line ends; empty ones are left out, and so is what follows the last line end.

    A body that is cut off in the middle of a line holds no event there. Raises DecodeError for a longer line.
    """
    pending: list[bytes] = []
    size = 0
    async for chunk in chunks:
        *ended, rest = chunk.split(b"\n")
        for piece in ended:
            pending.append(piece)
            line = b"".join(pending).rstrip(b"\r")
            pending.clear()
            size = 0
            if len(line) > max_line_bytes:
                raise _too_long(max_line_bytes)
            if line:
                yield line
        if rest:
            pending.append(rest)
            size += len(rest)
            if size > max_line_bytes:
                raise _too_long(max_line_bytes)


def _too_long(max_line_bytes: int) -> DecodeError:
    return DecodeError(f"a line of a watch is longer than {max_line_bytes} bytes")
