"""A page of pods as clients take it, compressed or not: bytes of its body, and the server's CPU for it."""

import os
from dataclasses import replace
from functools import partial
from pathlib import Path

from bench.interleave import run_interleaved
from bench.load import Ask, fetch, time_answers
from bench.row import Row, build_row, within
from bench.servers import open_server, open_simulated, wait_pods

PODS = (100, 1_000)
CODINGS = ("zstd", "gzip")
ANSWERS = 200
"""In a sample: the system counts CPU in hundredths of a second."""

QUERY = "{ pods(first: %d) { items { cluster { name } namespace name status restarts createdAt node { name } } } }"
SMALLER = within(0.25, "plain")


async def measure(rounds: int) -> list[Row]:
    """Bytes and CPU of each page in each coding, against the page as it is."""
    rows = []
    async with open_simulated(1, max(PODS)) as fleet, open_server(fleet.kubeconfig) as server:
        await wait_pods(server, max(PODS))
        for pods in PODS:
            plain = server.ask_graph(QUERY % pods)
            coded = {name: replace(plain, headers={**plain.headers, "Accept-Encoding": name}) for name in CODINGS}
            size = len(await fetch(plain)) / 1000
            sides = {name: partial(_measure_cpu, server.pid, ask) for name, ask in {"plain": plain, **coded}.items()}
            samples = await run_interleaved(sides, rounds)
            for name, ask in coded.items():
                title, against = f"{pods:,} pods, {name}", "the same answer, plain"
                small = len(await fetch(ask)) / 1000
                rows.append(build_row(f"{title}: bytes", "KB", [small], [size], against=against, goal=SMALLER))
                rows.append(build_row(f"{title}: CPU", "ms", samples[name], samples["plain"], against=against))
    return rows


async def _measure_cpu(pid: int, ask: Ask) -> float:
    """Milliseconds of the process for an answer."""
    before = _read_ticks(pid)
    await time_answers([ask] * ANSWERS)
    return (_read_ticks(pid) - before) * 1000 / os.sysconf("SC_CLK_TCK") / ANSWERS


def _read_ticks(pid: int) -> int:
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return int(fields[11]) + int(fields[12])  # proc(5): utime and stime
