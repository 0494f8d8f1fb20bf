"""Reads a watch's body: lines of JSON that arrive in chunks of any size."""

from collections.abc import AsyncIterator
from urllib.parse import urlencode

from fleet.kubernetes.codec.wire import DecodeError

MAX_LINE_BYTES = 16 * 1024 * 1024


def build_watch_query(version: str, seconds: float, **more: str) -> str:
    """The query of a watch from a version on, with bookmarks, which the server ends after about `seconds`."""
    return urlencode(
        {
            **more,
            "watch": "true",
            "allowWatchBookmarks": "true",
            "resourceVersion": version,
            "timeoutSeconds": str(max(1, int(seconds))),
        }
    )


async def iter_lines(chunks: AsyncIterator[bytes], *, max_line_bytes: int = MAX_LINE_BYTES) -> AsyncIterator[bytes]:
    """Whole lines without their line ends; empty ones are left out, and so is what follows the last line end.

    A body that is cut off in the middle of a line holds no event there. Raises DecodeError for a longer line.
    """
    async for lines in iter_arrived(chunks, max_line_bytes=max_line_bytes):
        for line in lines:
            yield line


async def iter_arrived(
    chunks: AsyncIterator[bytes], *, max_line_bytes: int = MAX_LINE_BYTES
) -> AsyncIterator[list[bytes]]:
    """The same, all lines that a chunk ended at once, one at least. Those before one that is too long come first."""
    pending: list[bytes] = []
    size = 0
    async for chunk in chunks:
        *ended, rest = chunk.split(b"\n")
        if ended:
            if pending:
                ended[0] = b"".join((*pending, ended[0]))
                pending.clear()
                size = 0
            lines = [line.rstrip(b"\r") for line in ended]
            longest = max(map(len, lines))
            if longest > max_line_bytes:
                lines = lines[: next(place for place, line in enumerate(lines) if len(line) > max_line_bytes)]
            if found := [line for line in lines if line]:
                yield found
            if longest > max_line_bytes:
                raise _too_long(max_line_bytes)
        if rest:
            pending.append(rest)
            size += len(rest)
            if size > max_line_bytes:
                raise _too_long(max_line_bytes)


def _too_long(max_line_bytes: int) -> DecodeError:
    return DecodeError(f"a line of a watch is longer than {max_line_bytes} bytes")
