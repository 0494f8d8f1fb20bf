"""What a caller says of the trace that its request is of.

Source: W3C Trace Context (https://www.w3.org/TR/trace-context/), sections 3.2, 3.3 and 4.
"""

import re
from collections.abc import Iterable

from msgspec import Struct

_PARENT = re.compile(rb"(?!ff)([0-9a-f]{2})-([0-9a-f]{32})-([0-9a-f]{16})-([0-9a-f]{2})(-.*)?")
_MEMBER = re.compile(
    rb"(?:[a-z][a-z0-9_*/-]{0,255}|[a-z0-9][a-z0-9_*/-]{0,240}@[a-z][a-z0-9_*/-]{0,13})"
    rb"=[ -+\--<>-~]{0,255}[!-+\--<>-~]"
)
_MOST_MEMBERS = 32
_MOST_STATE = 2_048
"""Bytes of a `tracestate`: the longest that has to be passed on has 512."""


class Remote(Struct, frozen=True):
    """The caller's span. `state` is its `tracestate`, empty where that is none."""

    trace_id: int
    span_id: int
    sampled: bool
    state: bytes = b""


def read_remote(headers: Iterable[tuple[bytes, bytes]]) -> Remote | None:
    """Of headers with names in lower case; None where they name no trace, or wrongly: then a new one begins."""
    parents = [value for name, value in headers if name == b"traceparent"]
    found = _PARENT.fullmatch(parents[0].strip()) if len(parents) == 1 else None
    if found is None or (found[1] == b"00" and found[5] is not None):
        return None
    trace_id, span_id = int(found[2], 16), int(found[3], 16)
    if not trace_id or not span_id:
        return None
    state = b",".join(value for name, value in headers if name == b"tracestate")
    return Remote(trace_id, span_id, bool(int(found[4], 16) & 1), _check_state(state))


def _check_state(state: bytes) -> bytes:
    members = [member.strip() for member in state.split(b",") if member.strip()]
    right = len(state) <= _MOST_STATE and len(members) <= _MOST_MEMBERS and all(map(_MEMBER.fullmatch, members))
    return b",".join(members) if right else b""
