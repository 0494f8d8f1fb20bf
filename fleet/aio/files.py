"""Reading files that others write, whatever they are."""

import errno
import os
import stat
from pathlib import Path


def read_bytes(path: Path, limit: int = -1) -> bytes:
    """The first `limit` bytes, all where it is -1. Raises OSError, also for a named pipe, which might never end."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if stat.S_ISFIFO(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "a named pipe, must be a file", str(path))
        return file.read(limit)
