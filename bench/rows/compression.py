"""A page of pods as clients take it, compressed or not: bytes of its body, and the server's CPU for it."""

from dataclasses import replace
from functools import partial

from bench.cpu import measure_cpu
from bench.interleave import run_interleaved
from bench.load import fetch
from bench.row import Row, build_row, within
from bench.servers import open_server, open_simulated, wait_pods

PODS = (100, 1_000)
CODINGS = ("zstd", "gzip")
ANSWERS = 200
"""In a sample."""

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
            sides = {
                name: partial(measure_cpu, server.pid, [ask], ANSWERS)
                for name, ask in {"plain": plain, **coded}.items()
            }
            samples = await run_interleaved(sides, rounds)
            for name, ask in coded.items():
                title, against = f"{pods:,} pods, {name}", "the same answer, plain"
                small = len(await fetch(ask)) / 1000
                rows.append(build_row(f"{title}: bytes", "KB", [small], [size], against=against, goal=SMALLER))
                rows.append(build_row(f"{title}: CPU", "ms", samples[name], samples["plain"], against=against))
    return rows
