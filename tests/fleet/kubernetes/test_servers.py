"""The servers that tests ask leave no task behind, which a later test would be told of when it is collected."""

import asyncio
from urllib.parse import urlsplit

from aiohttp import web

from tests.fleet.kubernetes.servers import open_http_server


async def test_a_handler_ends_when_its_caller_leaves() -> None:
    begun, ended = asyncio.Event(), asyncio.Event()

    async def hang(_: web.BaseRequest) -> web.StreamResponse:
        begun.set()
        try:
            await asyncio.Event().wait()
            raise AssertionError
        finally:
            ended.set()

    async with open_http_server(hang) as url, asyncio.timeout(5):
        _, writer = await asyncio.open_connection("127.0.0.1", urlsplit(url).port)
        writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
        await begun.wait()
        writer.close()
        await ended.wait()
