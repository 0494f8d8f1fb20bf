"""The retry of a member call: when a call may be sent a second time, on a new connection.

Source: RFC 9110 section 9.2.2 (idempotent methods), RFC 9112 section 9.3.1 (retrying).
"""

from collections.abc import AsyncIterator

from fleet.kubernetes.http1.protocol import HttpProtocol

_SAFE = frozenset({"GET", "HEAD", "OPTIONS"})


def may_retry(method: str, body: bytes | AsyncIterator[bytes] | None, connection: HttpProtocol) -> bool:
    """Once, where an idle connection turned out to be closed: the method changes nothing, no byte of an answer came."""
    return method in _SAFE and body is None and connection.response.no_bytes_received
