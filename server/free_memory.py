"""What the C library keeps of memory that was freed, where it is glibc's.

Its bounds grow by themselves, up to 64 MiB, with the largest block that was ever freed: a list of pods, a password's
19 MiB.
"""

import ctypes

KEPT_BYTES = 8 * 1024 * 1024
"""At the top of the heap, where answers are made again and again without asking the system."""

_OWN_MAPPING_BYTES = 4 * 1024 * 1024
"""Blocks from here on are the system's again as soon as they are freed; less than the heap keeps."""

_TRIM_THRESHOLD, _MMAP_THRESHOLD = -1, -3  # mallopt(3)


def bound_free_memory() -> None:
    """Of this process, for as long as it lives; nothing where the C library knows no bounds."""
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_TRIM_THRESHOLD, KEPT_BYTES)
        mallopt(_MMAP_THRESHOLD, _OWN_MAPPING_BYTES)
