"""CPU of a server that traces to a collector, against one that does not, all or a tenth of its requests."""

import sys
import timeit
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

from aiohttp import web

from bench.cpu import measure_cpu
from bench.interleave import run_interleaved
from bench.load import Ask
from bench.row import Row, amount, build_row, within
from bench.rows.mixed import MEMBERS, PODS, build_asks
from bench.servers import LOOPBACK, Running, open_server, open_simulated
from bench.skipped import Skipped
from fleet.aio import tracing
from fleet.aio.tracing import UNTRACED, Kind, Span, Value, child, spanning
from realfleet.ports import list_free_ports
from server.tracing.exporter import Exporter
from server.tracing.otlp import encode_span
from server.tracing.sampling import Sampler
from server.tracing.tracer import OtlpTracer

ANSWERS = 400
PAGE = "query Page { pods(first: 100) { items { cluster { name } namespace name status restarts node { name } } } }"
TITLES = ("mixed queries", "a page of 100 pods", "a call that is passed on")
SAMPLED = {"all sampled": "1", "a tenth sampled": "0.1"}
GOAL = within(1.05, "untraced")
OFF, ON = amount(1, "us"), amount(15, "us")
"""15 are 5 % of a call that is passed on."""

_TIMES = 1_000
_HEADERS = [(b"host", b"server"), (b"authorization", b"Bearer token"), (b"accept", b"application/json")]
_PATH = "/api/v1/namespaces/default"
_REQUEST: dict[str, Value] = {
    "http.request.method": "GET",
    "url.path": _PATH,
    "url.scheme": "http",
    "client.address": LOOPBACK,
    "openmcp.request.id": "5d0a5ab2-2f5e-4d3e-8a54-7d8dd5a9d1c5",
    "http.response.status_code": 200,
    "k8s.cluster.name": "cluster1",
    "http.route": "/api/v1/namespaces/{name}",
}
_CALL: dict[str, Value] = {
    "http.request.method": "GET",
    "k8s.cluster.name": "cluster1",
    "server.address": LOOPBACK,
    "server.port": 6443,
    "url.template": "/api/v1/namespaces/{name}",
    "url.full": f"https://{LOOPBACK}:6443{_PATH}",
    "http.response.status_code": 200,
}


class Unsent(Exporter):
    """Sends nothing."""

    def __init__(self) -> None:
        pass


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
        rows = _measure_seams(rounds)
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


def _measure_seams(rounds: int) -> list[Row]:
    """Microseconds in this process, of the fastest of each round: what load of the machine does not change."""
    sent: deque[bytes] = deque(maxlen=1)

    class Encoding(OtlpTracer):
        def take(self, span: Span) -> None:
            sent.append(encode_span(span))

    def fastest(work: Callable[[], None]) -> list[float]:
        return [min(timeit.repeat(work, number=_TIMES, repeat=5)) / _TIMES * 1e6 for _ in range(rounds)]

    def pass_seams() -> None:
        with UNTRACED if tracing.tracer is None else spanning("call"):
            pass
        with spanning("step"):
            pass

    def trace_request() -> None:
        with (
            tracer.begin("GET", Kind.SERVER, dict(_REQUEST), _HEADERS),
            child("GET", dict(_CALL), Kind.CLIENT) or UNTRACED,
        ):
            pass

    off = fastest(pass_seams)
    tracer = Encoding(Unsent(), Sampler())
    before, tracing.tracer = tracing.tracer, tracer
    try:
        on = fastest(trace_request)
    finally:
        tracing.tracer = before
    return [
        build_row("two seams, untraced", "us", off, goal=OFF),
        build_row("a request's span and its call's, made and encoded", "us", on, goal=ON),
    ]


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
