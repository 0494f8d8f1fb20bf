"""Ends a fleet's servers when the process that started them is gone, however it went.

Run as a script of its own, with the fleet's folder as its argument. It reads `+PID` and `-PID` lines from its standard
input, whose other end only the fleet's process holds. At the end of input it kills each process group that is left and
removes the folder. The kernel closes that pipe even for a process killed outright, which no exit hook survives.
"""

import os
import shutil
import signal
import sys
import time

_GONE_WITHIN = 5.0  # seconds for the kernel to take away what was killed
_POLL = 0.02


def main() -> None:
    """Reads until the fleet's process is gone, then clears up after it."""
    groups: set[int] = set()
    for line in sys.stdin:
        sign, number = line[0], int(line[1:])
        (groups.add if sign == "+" else groups.discard)(number)
    for group in groups:
        _signal_group(group, signal.SIGKILL)
    deadline = time.monotonic() + _GONE_WITHIN
    while any(_signal_group(group, 0) for group in groups) and time.monotonic() < deadline:
        time.sleep(_POLL)
    shutil.rmtree(sys.argv[1], ignore_errors=True)


def _signal_group(group: int, number: int) -> bool:
    try:
        os.killpg(group, number)
    except (ProcessLookupError, PermissionError):
        return False
    return True


if __name__ == "__main__":
    main()
