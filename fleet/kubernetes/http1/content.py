"""Content codings of answers. Source: RFC 9110 section 8.4.1."""

import zlib
from collections.abc import Callable

from fleet.kubernetes.http1.framing import AnswerProblem

_GZIP_OR_ZLIB = 47  # zlib's wbits: 32 finds out which of the two it is, 15 is the largest window


_STEP = 1 << 20


def decompress(raw: bytes, encoding: str, limit: int, take: Callable[[int], None] = lambda count: None) -> bytes:
    """Undoes a content coding that was not asked for; more than `limit` bytes are refused. Raises AnswerProblem.

    `take` is told how many bytes are held, piece by piece, and raises where there are too many of all answers.
    """
    if encoding.lower() in {"", "identity"} or not raw:
        return raw
    if encoding.lower() not in {"gzip", "x-gzip", "deflate"}:
        raise AnswerProblem(f"content encoding {encoding[:50]!r}")
    decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
    pieces: list[bytes] = []
    size = 0
    try:
        while not decoder.eof and (piece := decoder.decompress(raw, min(_STEP, limit + 1))):
            size += len(piece)
            if size > limit:
                break
            take(len(piece))
            pieces.append(piece)
            raw = decoder.unconsumed_tail
    except zlib.error as error:
        raise AnswerProblem(f"a broken {encoding} body: {error}") from error
    else:
        if decoder.eof and size <= limit:
            return b"".join(pieces)
    finally:
        pieces.clear()  # whoever keeps an error keeps this frame
    raise AnswerProblem(f"a {encoding} body that is cut off or larger than {limit} bytes")
