"""Reads JSON as deep as API servers keep it, in managed fields for one: else one object makes a list unreadable."""

import sys
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

# API servers refuse what is nested 10,000 deep. A level that is skipped takes some 50 bytes of the stack, one that is
# built 300.
_DEEPEST = 10_500


def read_deep(read: Callable[[bytes], T], content: bytes) -> T:
    """What `read`, a decoder, makes of it. Raises as it does, RecursionError where no API server wrote it."""
    try:
        return read(content)
    except RecursionError:
        limit = sys.getrecursionlimit()
        sys.setrecursionlimit(_DEEPEST)
        try:
            return read(content)
        finally:
            sys.setrecursionlimit(limit)
