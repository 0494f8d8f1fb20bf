"""Names, ids and times as the real controllers make them, and the same for the same input."""

import hashlib
import time
from datetime import UTC, datetime

SUFFIX_LETTERS = "bcdfghjklmnpqrstvwxz2456789"
"""What generated names end with. Source: apimachinery `pkg/util/rand`: no vowels, no digits that look like letters."""


def build_digest(*parts: object, size: int = 16) -> bytes:
    """Bytes that depend on the parts only."""
    return hashlib.blake2b("\0".join(map(str, parts)).encode(), digest_size=size).digest()


def build_uid(*parts: object) -> str:
    """A UUID that depends on the parts only."""
    text = build_digest(*parts).hex()
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"


def build_suffix(*parts: object, length: int = 5) -> str:
    """A generated name's end, for example `h7d8t`."""
    return "".join(SUFFIX_LETTERS[byte % len(SUFFIX_LETTERS)] for byte in build_digest(*parts, size=length))


def build_number(*parts: object, below: int) -> int:
    """A number in [0, below) that depends on the parts only."""
    return int.from_bytes(build_digest(*parts, size=4)) % below


def format_time(at: float | None = None) -> str:
    """Unix seconds (now if left out) as `2026-01-31T12:00:00Z`."""
    return datetime.fromtimestamp(time.time() if at is None else at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
