"""What an answer takes of a server's processors, all its threads together."""

from pathlib import Path

from bench.load import Ask, time_answers


async def measure_cpu(pid: int, ask: Ask, answers: int) -> float:
    """Milliseconds of the process for an answer, over so many, one after the other."""
    before = read_cpu(pid)
    await time_answers([ask] * answers)
    return (read_cpu(pid) - before) / answers


def read_cpu(pid: int) -> float:
    """Milliseconds that the threads of a process have run. Source: Documentation/scheduler/sched-stats.rst."""
    each = (int(path.read_text().split()[0]) for path in Path(f"/proc/{pid}/task").glob("*/schedstat"))
    return sum(each) / 1_000_000
