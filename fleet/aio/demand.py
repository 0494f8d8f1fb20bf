"""How much of a processor this process would use, if it had one to itself."""

import os
import time

_THREADS = "/proc/self/task"


def read_demand() -> float:
    """Seconds that the threads of now ran, or could have run but waited for a processor.

    Where the system does not tell what waits (it is not Linux), seconds that they ran. Source: the kernel's
    Documentation/scheduler/sched-stats.rst.
    """
    nanoseconds = 0
    try:
        for thread in os.listdir(_THREADS):  # noqa: PTH208 - pathlib takes twice as long
            try:
                file = os.open(f"{_THREADS}/{thread}/schedstat", os.O_RDONLY)
            except FileNotFoundError:  # it ended just now
                continue
            try:
                ran, waited, _ = os.read(file, 100).split()
            finally:
                os.close(file)
            nanoseconds += int(ran) + int(waited)
    except (OSError, ValueError):
        return time.process_time()
    return nanoseconds / 1e9
