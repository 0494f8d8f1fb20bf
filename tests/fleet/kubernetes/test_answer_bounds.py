"""What a member or a metric store may cost before it is read: answers without an end, and those that unfold to much."""

import asyncio
import sys
import zlib
from asyncio.subprocess import PIPE
from functools import cache

import pytest
from aiohttp import web

from fleet.aio.budget import BudgetSpent, ByteBudget
from fleet.kubernetes.connection import HttpConnection, Target
from fleet.model.errors import ClusterAnswerTooLarge
from fleet.ports import PROBE_BYTES, Call
from tests.fakes.waiting import PATIENCE
from tests.fleet.kubernetes.servers import open_http_server

MIB = 1 << 20


async def pour(request: web.BaseRequest) -> web.StreamResponse:
    """A body that never ends."""
    response = web.StreamResponse(headers={"Content-Type": "application/json"})
    await response.prepare(request)
    await response.write(b'{"items":[')
    while True:
        await response.write(b'{"metadata":{"name":"p"}},' * 10_000)


@cache
def build_bomb() -> bytes:
    """A GiB of zeros by gzip, a thousand times smaller."""
    coder = zlib.compressobj(1, wbits=31)
    return b"".join(coder.compress(bytes(MIB)) for _ in range(1024)) + coder.flush()


async def explode(request: web.BaseRequest) -> web.Response:
    return web.Response(body=build_bomb(), headers={"Content-Encoding": "gzip", "Content-Type": "application/json"})


@pytest.mark.parametrize(
    ("what", "answer", "most", "error"),
    [
        ("member", pour, 160, "ClusterAnswerTooLarge"),
        ("member", explode, 160, "ClusterAnswer"),
        ("metrics", pour, 190, "Metrics"),
        ("metrics", explode, 190, "Metrics"),
    ],
)
async def test_eight_at_once_take_no_more_than_one_source_may(what: str, answer: object, most: int, error: str) -> None:
    async with open_http_server(answer) as url:  # type: ignore[arg-type]  # one of the two above
        command = (sys.executable, "-m", "tests.fleet.kubernetes.ask_endlessly", what, url)
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
        try:
            out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
    assert process.returncode == 0, err.decode()
    grown, *errors = out.decode().split()
    assert all(name.startswith(error) for name in errors), errors
    assert int(grown) < most


async def test_what_is_said_of_health_is_short() -> None:
    async def answer(request: web.BaseRequest) -> web.Response:
        return web.Response(body=b"x" * (PROBE_BYTES + 1))

    async with open_http_server(answer) as url:
        connection = HttpConnection("c1", Target(url))
        with pytest.raises(ClusterAnswerTooLarge, match=f"larger than {PROBE_BYTES} bytes"):
            await connection.request(Call("GET", "/readyz", 5, most_bytes=PROBE_BYTES))
        await connection.close()


def test_one_source_leaves_the_others_what_they_need() -> None:
    whole = ByteBudget(100)
    greedy, small = ByteBudget(90, whole, free=20), ByteBudget(90, whole, free=20)
    with greedy.share() as share:
        share.take(90)
        with pytest.raises(BudgetSpent):
            share.take(1)
        with small.share() as other:
            other.take(20)  # more than the whole has, but it is little
            with pytest.raises(BudgetSpent):
                other.take(1)
        assert (whole.held, small.held) == (90, 0)
    assert (whole.held, greedy.held) == (0, 0)
