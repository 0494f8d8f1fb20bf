"""Calls to a member are counted where they are sent, whichever way they were asked for."""

from collections import Counter

import pytest
from aiohttp import web

from fleet.kubernetes.connection import HttpConnection, Target
from fleet.model.errors import ClusterError
from fleet.ports import Call
from tests.fleet.kubernetes.servers import open_http_server


async def answer(request: web.BaseRequest) -> web.Response:
    if request.path == "/gone" and request.transport is not None:
        request.transport.abort()
        raise ConnectionResetError
    return web.Response(status=int(request.path[1:]))


async def test_calls_are_told_by_what_came_of_them() -> None:
    async with open_http_server(answer) as url:
        connection = HttpConnection("c1", Target(url))
        for path in ("/200", "/200", "/404", "/503"):
            await connection.request(Call("GET", path, 30.0))
        async with connection.open_stream(Call("GET", "/200", 30.0, idle_timeout=30.0)) as stream:
            used = connection.count_connections()
            assert await stream.read() == b""
        with pytest.raises(ClusterError):
            await connection.request(Call("GET", "/gone", 30.0))
        idle = connection.count_connections()
        await connection.close()

    assert connection.calls.outcomes == Counter(ok=3, refused=1, error=1, failed=1)
    assert connection.calls.durations.cumulated()[-1] == 5
    assert (used[0], idle[0]) == (1, 0)
