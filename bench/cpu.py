"""What an answer takes of a server's processors, all its threads together."""

import time
from collections.abc import Sequence
from itertools import cycle, islice

from bench.load import Ask, time_answers


async def measure_cpu(pid: int, asks: Sequence[Ask], answers: int) -> float:
    """Milliseconds of the process for an answer, over so many of all in turn, one after the other."""
    before = read_cpu(pid)
    await time_answers(list(islice(cycle(asks), answers)))
    return (read_cpu(pid) - before) / answers


def read_cpu(pid: int) -> float:
    """Milliseconds that a process has run. Source: clock_getcpuclockid(3), as Linux makes a clock of an id."""
    return time.clock_gettime(~pid << 3 | 2) * 1000
