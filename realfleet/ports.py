"""Free ports on loopback for servers that are started, stopped and started again on the same one."""

import random
import socket
from pathlib import Path

_RANGE_FILE = Path("/proc/sys/net/ipv4/ip_local_port_range")
_LOWEST = 15000


def _highest() -> int:
    """Below the ephemeral range: a stopped server's port must not become someone's outgoing connection."""
    try:
        return int(_RANGE_FILE.read_text().split()[0])
    except (OSError, ValueError):
        return 32768


def list_free_ports(count: int) -> list[int]:
    """`count` different ports nobody listens on now. Raises OSError when there are not enough."""
    held: list[socket.socket] = []
    candidates = list(range(_LOWEST, _highest()))
    random.SystemRandom().shuffle(candidates)
    try:
        for port in candidates:
            if len(held) == count:
                break
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
