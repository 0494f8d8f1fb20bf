"""Which headers pass between a caller and a member. What is hop-by-hop is dropped by the connection to the member."""

from collections.abc import Iterable

# Who the caller is, to a member, is what this server says: its own credential, and none of these.
_NEVER_SENT = frozenset({"authorization", "cookie", "expect", "forwarded", "host", "via", "x-real-ip"})
_NEVER_SENT_PREFIXES = ("impersonate-", "x-remote-", "x-forwarded-")
_OF_A_BODY = frozenset({"content-encoding", "content-length", "content-type"})

# This server says these itself, or they would speak for its address: cookies, transport security, sign-in.
_NEVER_RETURNED = frozenset({"alt-svc", "date", "server", "set-cookie", "strict-transport-security"})

RawHeaders = list[tuple[bytes, bytes]]

_NEVER_SENT_RAW = frozenset(name.encode() for name in _NEVER_SENT)
_NEVER_SENT_PREFIXES_RAW = tuple(prefix.encode() for prefix in _NEVER_SENT_PREFIXES)
_OF_A_BODY_RAW = frozenset(name.encode() for name in _OF_A_BODY)
_NEVER_RETURNED_RAW = frozenset(name.encode() for name in _NEVER_RETURNED)
_WITHOUT_LENGTH = _NEVER_RETURNED_RAW | {b"content-length"}


def find_header(raw: RawHeaders, name: bytes) -> str | None:
    """The first value of a header, whose name is in lower case."""
    for given, value in raw:
        if given == name:
            return value.decode("latin-1")
    return None


def select_member_headers(raw: RawHeaders, *, with_body: bool, with_agent: bool) -> RawHeaders:
    """As `build_member_headers`, in bytes; names must be in lower case, as ASGI has them."""
    dropped = _NEVER_SENT_RAW if with_body else _NEVER_SENT_RAW | _OF_A_BODY_RAW
    return [
        pair
        for pair in raw
        if pair[0] not in dropped
        and not pair[0].startswith(_NEVER_SENT_PREFIXES_RAW)
        and (with_agent or pair[0] != b"user-agent")
    ]


def select_caller_headers(raw: RawHeaders, status: int) -> RawHeaders:
    """As `build_caller_headers`, in bytes. A length is not said where there is no body to have it (204, 304)."""
    dropped = _WITHOUT_LENGTH if status in (204, 304) else _NEVER_RETURNED_RAW
    return [pair for pair in raw if pair[0] not in dropped]


def build_member_headers(
    raw: Iterable[tuple[bytes, bytes]], *, with_body: bool, with_agent: bool
) -> list[tuple[str, str]]:
    """The caller's headers for a member.

    `with_agent` passes the caller's User-Agent on. kube-apiserver names the managers of fields by it, but also indents
    its answers for curl and browsers, which doubles them.
    """
    headers = [(name.decode("latin-1").lower(), value.decode("latin-1")) for name, value in raw]
    return [
        (name, value)
        for name, value in headers
        if name not in _NEVER_SENT
        and not name.startswith(_NEVER_SENT_PREFIXES)
        and (with_body or name not in _OF_A_BODY)
        and (with_agent or name != "user-agent")
    ]


def build_caller_headers(headers: Iterable[tuple[str, str]]) -> RawHeaders:
    """A member's headers for the caller, when the member's body goes with them."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in headers if name not in _NEVER_RETURNED]


def build_reshaped_headers(headers: Iterable[tuple[str, str]], body: bytes) -> RawHeaders:
    """A member's headers for the caller, when another body in JSON goes with them."""
    kept = [(name, value) for name, value in build_caller_headers(headers) if name.decode() not in _OF_A_BODY]
    return [*kept, (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
