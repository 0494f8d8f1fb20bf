"""CPU of a server that traces to a collector, against one that does not, all or a tenth of its requests."""

import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from aiohttp import web

from bench.cpu import measure_cpu
from bench.interleave import run_interleaved
from bench.load import Ask
from bench.row import Row, build_row, within
from bench.rows.mixed import MEMBERS, PODS, build_asks
from bench.servers import LOOPBACK, Running, open_server, open_simulated
from bench.skipped import Skipped
from realfleet.ports import list_free_ports

ANSWERS = 400
PAGE = "query Page { pods(first: 100) { items { cluster { name } namespace name status restarts node { name } } } }"
TITLES = ("mixed queries", "a page of 100 pods", "a call that is passed on")
SAMPLED = {"all sampled": "1", "a tenth sampled": "0.1"}
GOAL = within(1.05, "untraced")


async def measure(rounds: int) -> list[Row]:
    """Raises Skipped where the CPU of threads can't be read."""
    if sys.platform != "linux":
        raise Skipped("needs Linux, which says in /proc how long threads ran")
    async with AsyncExitStack() as stack:
        fleet = await stack.enter_async_context(open_simulated(MEMBERS, PODS))
        endpoint = await stack.enter_async_context(_open_receiver())
        servers = {"off": await stack.enter_async_context(open_server(fleet.kubeconfig))}
        for name, part in SAMPLED.items():
            traced = {
                "OPENMCP_OTLP_ENDPOINT": endpoint,
                "OPENMCP_TRACE_SAMPLER": "parentbased_traceidratio",
                "OPENMCP_TRACE_SAMPLER_ARG": part,
            }
            servers[name] = await stack.enter_async_context(open_server(fleet.kubeconfig, traced))
        asks = {name: await _build_asks(server) for name, server in servers.items()}
        rows: list[Row] = []
        for title in TITLES:
            sides = {
                name: partial(measure_cpu, server.pid, asks[name][title], ANSWERS) for name, server in servers.items()
            }
            for warm_up in sides.values():
                await warm_up()
            samples = await run_interleaved(sides, rounds)
            rows += [
                build_row(
                    f"{title}, {name}: CPU",
                    "ms",
                    samples[name],
                    samples["off"],
                    against="the same, untraced",
                    goal=GOAL,
                )
                for name in SAMPLED
            ]
    return rows


async def _build_asks(server: Running) -> dict[str, list[Ask]]:
    passed_on = server.ask("/api/v1/namespaces/default?clustername=cluster1")
    return dict(zip(TITLES, (await build_asks(server), [server.ask_graph(PAGE)], [passed_on]), strict=True))


@asynccontextmanager
async def _open_receiver() -> AsyncIterator[str]:
    """Takes spans, and keeps none."""

    async def take(request: web.BaseRequest) -> web.StreamResponse:
        await request.read()
        return web.Response(content_type="application/x-protobuf")

    runner = web.ServerRunner(web.Server(take))
    await runner.setup()
    (port,) = list_free_ports(1)
    await web.TCPSite(runner, LOOPBACK, port).start()
    try:
        yield f"http://{LOOPBACK}:{port}"
    finally:
        await runner.cleanup()
