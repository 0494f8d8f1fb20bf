"""Content codings of answers. Source: RFC 9110 section 8.4.1."""

import zlib

from fleet.kubernetes.http1.framing import AnswerProblem

_GZIP_OR_ZLIB = 47  # zlib's wbits: 32 finds out which of the two it is, 15 is the largest window


def decompress(raw: bytes, encoding: str, limit: int) -> bytes:
    """Undoes a content coding that was not asked for; more than `limit` bytes are refused. Raises AnswerProblem."""
    if encoding.lower() in {"", "identity"} or not raw:
        return raw
    if encoding.lower() not in {"gzip", "x-gzip", "deflate"}:
        raise AnswerProblem(f"content encoding {encoding[:50]!r}")
    decoder = zlib.decompressobj(_GZIP_OR_ZLIB)
    try:
        content = decoder.decompress(raw, limit)
    except zlib.error as error:
        raise AnswerProblem(f"a broken {encoding} body: {error}") from error
    if not decoder.eof:
        raise AnswerProblem(f"a {encoding} body that is cut off or larger than {limit} bytes")
    return content
