"""Free ports on loopback for servers that are started, stopped and started again on the same one."""

import contextlib
import fcntl
import os
import random
import socket
import tempfile
from functools import cache
from pathlib import Path

_RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 15000


def _highest() -> int:
    """Below the ephemeral range: a stopped server's port must not become someone's outgoing connection."""
    try:
        return int(_RANGE_FILE.read_text().split()[0])
    except (OSError, ValueError):
        return 32768


@cache
def _open_claims() -> int:
    """A file whose byte N is locked by the process that was given port N; the locks end with the process."""
    path = Path(tempfile.gettempdir()) / f"realfleet-ports-{os.getuid()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)


_claimed: set[int] = set()


def _claim(port: int) -> bool:
    """Whether nobody was given it: between a choice and its server's start another process could make the same."""
    if port in _claimed:
        return False
    with contextlib.suppress(OSError):
        fcntl.lockf(_open_claims(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        _claimed.add(port)
        return True
    return False


def list_free_ports(count: int) -> list[int]:
    """`count` different ports nobody listens on now, nor was given before. Raises OSError when there are not enough."""
    held: list[socket.socket] = []
    candidates = list(range(_LOWEST, _highest()))
    random.SystemRandom().shuffle(candidates)
    try:
        for port in candidates:
            if len(held) == count:
                break
            if not _claim(port):
                continue
            candidate = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
            try:
                candidate.bind(("127.0.0.1", port))
            except OSError:
                candidate.close()
            else:
                held.append(candidate)
        if len(held) < count:
            raise OSError(f"{count} free ports wanted on loopback, {len(held)} found")
        return [candidate.getsockname()[1] for candidate in held]
    finally:
        for candidate in held:
            candidate.close()
