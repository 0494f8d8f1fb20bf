"""Events of a watch a second of CPU, by one process that does nothing else: ours against `kubernetes_asyncio.Watch`."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from functools import partial

import msgspec
from aiohttp import web

from bench.children.watch_events import Followed
from bench.interleave import run_interleaved
from bench.memory_fleet import build_pod
from bench.row import Row, build_row, times_better
from bench.servers import LOOPBACK, run_to_end

EVENTS = {"ours": 20_000, "anchor": 1_000}
"""Each side takes about a second."""

_BLOCK = 500
_LIST = b'{"kind":"PodList","apiVersion":"v1","metadata":{"resourceVersion":"1"},"items":[]}'


async def measure(rounds: int) -> list[Row]:
    """The same pods of 5 KB, over plain HTTP on loopback."""
    blocks = list(_build_blocks())
    async with _open_member(blocks) as url:
        sides = {side: partial(_follow, side, url, events) for side, events in EVENTS.items()}
        found = await run_interleaved(sides, rounds)
    rates = {side: [each.rate for each in samples] for side, samples in found.items()}
    title = "watch events of 5 KB pods a second of CPU"
    against = "kubernetes_asyncio.Watch"
    goal = times_better(30, "Watch")
    return [build_row(title, "/s", rates["ours"], rates["anchor"], against=against, higher_is_better=True, goal=goal)]


def _build_blocks() -> Iterator[bytes]:
    most = max(EVENTS.values())
    for start in range(0, most, _BLOCK):
        pods = (build_pod(0, number, most, 0) for number in range(start, start + _BLOCK))
        kind = b'{"kind":"Pod","apiVersion":"v1",'
        yield b"".join(b'{"type":"ADDED","object":%s%s}\n' % (kind, pod[1:]) for pod in pods)


@asynccontextmanager
async def _open_member(blocks: list[bytes]) -> AsyncIterator[str]:
    """An API server that has no pods, until it is watched."""

    async def answer(request: web.Request) -> web.StreamResponse:
        if "watch" not in request.query:
            return web.Response(body=_LIST, content_type="application/json")
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        try:
            for block in blocks:
                await response.write(block)
        except ConnectionError:  # who has seen enough leaves
            pass
        return response

    app = web.Application()
    app.router.add_get("/api/v1/pods", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, LOOPBACK, 0)
    await site.start()
    try:
        host, port = runner.addresses[0][:2]
        yield f"http://{host}:{port}"
    finally:
        await runner.cleanup()


async def _follow(side: str, url: str, events: int) -> Followed:
    written = await run_to_end("-m", "bench.children.watch_events", side, url, str(events))
    return msgspec.json.decode(written, type=Followed)
