"""Which headers pass between a caller and a member. What is hop-by-hop is dropped by the connection to the member."""

from fleet.ports import Headers

# Who the caller is, to a member, is what this server says: its own credential, and none of these.
_NEVER_SENT = frozenset(b"audit-id authorization baggage cookie expect forwarded host via x-real-ip x_real_ip".split())
# `_` is taken for `-` by some servers.
_NEVER_SENT_PREFIXES = (b"impersonate", b"x-remote", b"x_remote", b"x-forwarded", b"x_forwarded")
_OF_A_BODY = frozenset({b"content-encoding", b"content-length", b"content-type"})

# This server says these itself, or they would speak for its address: cookies, transport security, who may read it.
_OF_ORIGINS = frozenset(
    b"access-control-" + name
    for name in (
        b"allow-credentials",
        b"allow-headers",
        b"allow-methods",
        b"allow-origin",
        b"allow-private-network",
        b"expose-headers",
        b"max-age",
    )
)
_NEVER_RETURNED = _OF_ORIGINS | {b"alt-svc", b"date", b"server", b"set-cookie", b"strict-transport-security"}
_WITHOUT_LENGTH = _NEVER_RETURNED | {b"content-length"}


def find_header(raw: Headers, name: bytes) -> str | None:
    """The first value of a header, whose name is in lower case."""
    for given, value in raw:
        if given == name:
            return value.decode("latin-1")
    return None


def has_body(raw: Headers) -> bool:
    return any(name == b"transfer-encoding" or (name == b"content-length" and value != b"0") for name, value in raw)


def select_member_headers(raw: Headers, *, with_body: bool, with_agent: bool) -> Headers:
    """The caller's headers for a member; names must be in lower case, as ASGI has them.

    `with_agent` passes the caller's User-Agent on. kube-apiserver names the managers of fields by it, but also indents
    its answers for curl and browsers, which doubles them.
    """
    dropped = _NEVER_SENT if with_body else _NEVER_SENT | _OF_A_BODY
    return [
        pair
        for pair in raw
        if pair[0] not in dropped
        and not pair[0].startswith(_NEVER_SENT_PREFIXES)
        and (with_agent or pair[0] != b"user-agent")
    ]


def select_caller_headers(raw: Headers, status: int) -> Headers:
    """A member's headers for the caller, when the member's body goes with them.

    A length is not said where there is no body to have it (204, 304).
    """
    dropped = _WITHOUT_LENGTH if status in (204, 304) else _NEVER_RETURNED
    return [pair for pair in raw if pair[0] not in dropped]


def build_reshaped_headers(raw: Headers, body: bytes) -> Headers:
    """A member's headers for the caller, when another body in JSON goes with them."""
    kept = [pair for pair in raw if pair[0] not in _NEVER_RETURNED and pair[0] not in _OF_A_BODY]
    return [*kept, (b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
