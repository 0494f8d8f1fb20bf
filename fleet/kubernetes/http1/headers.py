"""Which headers travel to a member and back, and what may stand in a request line.

Source: RFC 9110 section 7.6.1 (hop-by-hop fields), section 5.6.2 (tokens); RFC 3986 (what a URL may hold).
"""

import re
from collections.abc import Iterable

from multidict import CIMultiDict

from fleet.model.errors import InvalidQuery
from fleet.ports import Headers, RawHeaders

USER_AGENT = "openmcp-apiserver"

_HOP_BY_HOP = frozenset(
    {
        "connection",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    }
)
# The caller's own credential and address are not the member's business; Expect is answered by this server.
_NEVER_SENT = _HOP_BY_HOP | {"authorization", "cookie", "host", "expect"}

_HOP_BY_HOP_RAW = frozenset(name.encode() for name in _HOP_BY_HOP)
_NEVER_SENT_RAW = frozenset(name.encode() for name in _NEVER_SENT) | {b"content-length"}
_USER_AGENT_LINE = f"User-Agent: {USER_AGENT}\r\n".encode()

_RAW_NAME = re.compile(rb"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_RAW_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_PATH = re.compile(r"/[!-\"$->@-~]*")
_QUERY = re.compile(r"[!-\"$-~]*")


def check_target(path: str, query: str) -> None:
    """Raises InvalidQuery for a path or query that would not arrive as it was given."""
    if not _PATH.fullmatch(path):
        raise InvalidQuery(f"the path {path[:200]!r} must begin with / and be percent-encoded")
    if not _QUERY.fullmatch(query):
        raise InvalidQuery(f"the query {query[:200]!r} must be percent-encoded")


def build_request_headers(given: Headers, authorization: str | None, *, streamed: bool) -> CIMultiDict[str]:
    """The headers of a request to a member, with this server's credential in the place of the caller's.

    Without a wish of the caller's, answers come uncompressed: members are near, and gunzip costs as much as decoding. A
    Content-Length is kept for a body that is `streamed`, whose length is not known otherwise. Raises InvalidQuery.
    """
    pairs = list(given)
    dropped = _NEVER_SENT | _nominated(pairs) | (frozenset() if streamed else {"content-length"})
    headers: CIMultiDict[str] = CIMultiDict()
    for name, value in pairs:
        if not _NAME.fullmatch(name) or not _VALUE.fullmatch(value):
            raise InvalidQuery(f"the header {name[:100]!r} holds characters that no header may hold")
        if name.lower() not in dropped:
            headers.add(name, value)
    headers.setdefault("User-Agent", USER_AGENT)
    headers.setdefault("Accept-Encoding", "identity")
    if authorization is not None:
        headers["Authorization"] = authorization
    return headers


def build_request_head(
    line: bytes, given: Iterable[tuple[str, str] | tuple[bytes, bytes]], authorization: str | None, framing: bytes
) -> bytes:
    """A whole head in bytes: `line` is the request line and what follows it always, `framing` says how the body ends.

    As `build_request_headers` otherwise; a Content-Length of the caller's is not kept. Raises InvalidQuery.
    """
    parts = [line, framing]
    dropped = _NEVER_SENT_RAW
    with_agent = with_encoding = False
    fields = [_read_field(name, value) for name, value in given]
    for name, _, value in fields:
        if name == b"connection":
            dropped |= {nominated.strip().lower() for nominated in value.split(b",")}
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


def _read_field(name: str | bytes, value: str | bytes) -> tuple[bytes, bytes, bytes]:
    """The name in lower case, as it was given, and the value, all in bytes. Raises InvalidQuery."""
    try:
        written = name if isinstance(name, bytes) else name.encode("ascii")
        raw = value if isinstance(value, bytes) else value.encode("latin-1")
    except UnicodeEncodeError as error:
        raise InvalidQuery(f"the header {name[:100]!r} holds characters that no header may hold") from error
    if not _RAW_NAME.fullmatch(written) or _RAW_CONTROL.search(raw):
        raise InvalidQuery(f"the header {name[:100]!r} holds characters that no header may hold")
    return written.lower(), written, raw


def select_response_headers(raw: RawHeaders) -> RawHeaders:
    """As `read_response_headers`, for names in lower case, and in bytes."""
    dropped = _HOP_BY_HOP_RAW
    for name, value in raw:
        if name == b"connection":
            dropped |= {nominated.strip().lower() for nominated in value.split(b",")}
    return [pair for pair in raw if pair[0] not in dropped]


def read_response_headers(raw: Iterable[tuple[bytes, bytes]]) -> list[tuple[str, str]]:
    """A member's headers, names in lower case, without those that speak of its own connection."""
    pairs = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw]
    dropped = _HOP_BY_HOP | _nominated(pairs)
    return [(name, value) for name, value in pairs if name not in dropped]


def _nominated(pairs: list[tuple[str, str]]) -> frozenset[str]:
    """Fields that a Connection header names as hop-by-hop."""
    return frozenset(
        name.strip().lower() for key, value in pairs if key.lower() == "connection" for name in value.split(",")
    )
