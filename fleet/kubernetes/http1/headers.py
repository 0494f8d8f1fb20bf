"""Which headers travel to a member and back, and what may stand in a request line.

Source: RFC 9110 section 7.6.1 (hop-by-hop fields), section 5.6.2 (tokens); RFC 3986 (what a URL may hold).
"""

import re

from fleet.model.errors import InvalidQuery
from fleet.ports import Headers

USER_AGENT = "openmcp-apiserver"

_HOP_BY_HOP = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    }
)
# The caller's own credential and address are not the member's business; Expect is answered by this server.
_NEVER_SENT = _HOP_BY_HOP | {b"authorization", b"cookie", b"host", b"expect", b"content-length"}
_USER_AGENT_LINE = f"User-Agent: {USER_AGENT}\r\n".encode()

_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_PATH = re.compile(r"/[!-\"$->@-~]*")
_QUERY = re.compile(r"[!-\"$-~]*")


def check_target(path: str, query: str) -> None:
    """Raises InvalidQuery for a path or query that would not arrive as it was given."""
    if not _PATH.fullmatch(path):
        raise InvalidQuery(f"the path {path[:200]!r} must begin with / and be percent-encoded")
    if not _QUERY.fullmatch(query):
        raise InvalidQuery(f"the query {query[:200]!r} must be percent-encoded")


def build_request_head(
    line: bytes, given: Headers, authorization: str | None, framing: bytes, replaced: frozenset[bytes] = frozenset()
) -> bytes:
    """A whole head in bytes, with this server's credential in the place of the caller's.

    `line` is the request line and what follows it always, `framing` says how the body ends, or that another protocol is
    to follow: the caller's own words on either, and on what is `replaced` there, are not kept. Without a wish of the
    caller's, answers come uncompressed: members are near, and gunzip costs as much as decoding. Raises InvalidQuery.
    """
    parts = [line, framing]
    dropped = _NEVER_SENT | replaced if replaced else _NEVER_SENT
    with_agent = with_encoding = False
    fields = [(name.lower(), name, value) for name, value in given]
    for name, written, value in fields:
        if not _NAME.fullmatch(written) or _CONTROL.search(value):
            raise InvalidQuery(f"the header {written[:100]!r} holds characters that no header may hold")
        if name == b"connection":
            dropped |= _split_nominated(value)
    for name, written, value in fields:
        if name in dropped:
            continue
        with_agent = with_agent or name == b"user-agent"
        with_encoding = with_encoding or name == b"accept-encoding"
        parts += (written, b": ", value, b"\r\n")
    if not with_agent:
        parts.append(_USER_AGENT_LINE)
    if not with_encoding:
        parts.append(b"Accept-Encoding: identity\r\n")
    if authorization is not None:
        parts += (b"Authorization: ", authorization.encode("latin-1"), b"\r\n")
    parts.append(b"\r\n")
    return b"".join(parts)


def select_response_headers(raw: Headers) -> Headers:
    """A member's headers without those that speak of its own connection; names are in lower case."""
    dropped = _HOP_BY_HOP
    for name, value in raw:
        if name == b"connection":
            dropped |= _split_nominated(value)
    return [pair for pair in raw if pair[0] not in dropped]


def _split_nominated(connection: bytes) -> frozenset[bytes]:
    """Fields that a Connection header names as hop-by-hop."""
    return frozenset(name.strip().lower() for name in connection.split(b","))
