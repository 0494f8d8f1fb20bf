"""An application on a real server on loopback."""

import asyncio
import contextlib
import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import uvicorn
from starlette.types import ASGIApp

from tests.fakes.waiting import until


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


@asynccontextmanager
async def open_serving(
    app: ASGIApp, *, http: Any = "auto", ws: Any = "auto", tls: ssl.SSLContext | None = None
) -> AsyncIterator[str]:
    """Serves the application by these protocols; yields its URL, that of plain HTTP."""
    config = uvicorn.Config(
        app, host="127.0.0.1", port=0, log_config=None, http=http, ws=ws, timeout_graceful_shutdown=1
    )
    if tls is not None:
        config.ssl_context_factory = lambda *_: tls
    server = _Server(config)
    task = asyncio.create_task(server.serve())
    try:
        await until(lambda: server.started or task.done(), what="the server's start")
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
