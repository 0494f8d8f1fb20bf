"""Runs the applications: the main port, the plain one beside HTTPS, the ops port; one process, one loop, one state."""

import asyncio
import contextlib
import logging
import math
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from functools import partial

import uvicorn
from msgspec import Struct
from starlette.types import ASGIApp

from fleet.aio.tasks import open_task
from server.app import create_app
from server.asgi.bounds import BoundedProtocol
from server.binding import bind
from server.gc_tuning import open_gc_tuning
from server.lifespan import OpenState, State
from server.ops import build_own_exposition, create_ops_app
from server.settings.groups import Settings
from server.tls import ReloadingCertificate, open_certificate
from server.workers.peers import Peers, Worker, open_peers

SWITCH_SECONDS = 0.0005
"""How long the event loop may keep a thread waiting for the interpreter. SQLite gives it away at each row: with
Python's own 5 ms an answer of 20 rows waited for 100 ms while the loop was busy."""

IDLE_CONNECTION_SECONDS = 15  # yesterday's portal opens a connection a call and never closes one

_log = logging.getLogger(__name__)


class Listening(Struct, frozen=True):
    """The ports the server got. `main_url` has no slash at its end."""

    main_url: str
    plain_url: str | None
    ops_url: str


class _Server(uvicorn.Server):
    """A server whose signals are `run_server`'s, since there are several of them."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()


async def run_server(
    settings: Settings,
    open_state: OpenState,
    *,
    on_listening: Callable[[Listening], None] | None = None,
    worker: Worker | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT, then ends requests within the grace time (a second signal ends them at once).

    Ports are taken before anything is opened, so that one in use is said first; a `worker` shares them with others, and
    also ends when who started it is gone. Raises SettingsInvalid for a port or a certificate that can't be used, and
    what `open_state` raises.
    """
    http, shared = settings.http, worker is not None
    sys.setswitchinterval(SWITCH_SECONDS)
    servers: list[_Server] = []
    on_stop: list[Callable[[], None]] = []
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine that runs has a task

    def stop() -> None:
        if not servers:
            task.cancel()  # still opening: leave by the way back
        for hook in on_stop:
            hook()
        for server in servers:
            server.force_exit = server.should_exit
            server.should_exit = True

    with contextlib.ExitStack() as stack:
        stack.enter_context(_signals(stop))
        if worker is not None:
            stack.enter_context(_lifeline(worker.lifeline, stop))
        main = stack.enter_context(bind(http.host, http.port, "OPENMCP_PORT", shared=shared))
        ops = stack.enter_context(bind(http.host, http.ops_port, "OPENMCP_OPS_PORT", shared=shared))
        plain = None
        if http.plain_port is not None:
            plain = stack.enter_context(bind(http.host, http.plain_port, "OPENMCP_PLAIN_PORT", shared=shared))
        certificate = open_certificate(http)
        async with (
            open_state(settings) as state,
            open_gc_tuning(state["federation"]),
            _open_peers(worker, state) as peers,
        ):
            on_stop.append(state["live"].shut_down)  # subscriptions never end by themselves
            app = create_app(settings, _given(state))
            started = [(_build_server(app, settings, certificate), main)]
            started.append((_build_server(create_ops_app(settings, _given(state), peers), settings), ops))
            if plain is not None:
                started.append((_build_server(app, settings), plain))
            servers += [server for server, _ in started]
            listening = Listening(
                main_url=_url("https" if certificate is not None else "http", main),
                plain_url=_url("http", plain) if plain is not None else None,
                ops_url=_url("http", ops),
            )
            async with contextlib.AsyncExitStack() as tasks:
                if certificate is not None:
                    await tasks.enter_async_context(open_task("certificate", certificate.watch))
                await _serve_all(started, lambda: _announce(listening, on_listening))


def _given(state: State) -> OpenState:
    """An `open_state` for a state that is open already: several applications share it."""

    @asynccontextmanager
    async def open_given(_settings: Settings) -> AsyncIterator[State]:
        yield state

    return open_given


@asynccontextmanager
async def _open_peers(worker: Worker | None, state: State) -> AsyncIterator[Peers | None]:
    if worker is None:
        yield None
        return
    async with open_peers(
        worker, partial(build_own_exposition, state["federation"], state["live"], time.time())
    ) as peers:
        yield peers


async def _serve_all(started: list[tuple[_Server, socket.socket]], on_started: Callable[[], None]) -> None:
    async def announce_when_started() -> None:
        for server, _ in started:
            await server.listens.wait()
        on_started()

    serving: list[Awaitable[None]] = [server.serve(sockets=[bound]) for server, bound in started]
    announcing = asyncio.create_task(announce_when_started())
    try:
        await asyncio.gather(*serving)
    finally:
        announcing.cancel()


def _announce(listening: Listening, on_listening: Callable[[Listening], None] | None) -> None:
    _log.info("listening on %s, for operators on %s", listening.main_url, listening.ops_url)
    if listening.plain_url is not None:
        _log.info("listening on %s in plain HTTP", listening.plain_url)
    if on_listening is not None:
        on_listening(listening)


def _build_server(app: ASGIApp, settings: Settings, certificate: ReloadingCertificate | None = None) -> _Server:
    http = settings.http
    config = uvicorn.Config(
        app,
        http=BoundedProtocol,
        ws="websockets-sansio",
        ws_max_size=settings.limits.max_body,
        ws_per_message_deflate=False,  # its window costs a connection more memory than all else of it
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=IDLE_CONNECTION_SECONDS,
        timeout_graceful_shutdown=math.ceil(http.shutdown_grace),
        ssl_context_factory=None if certificate is None else lambda *_: certificate.context,
    )
    return _Server(config)


def _url(scheme: str, bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


@contextlib.contextmanager
def _lifeline(pipe: int, stop: Callable[[], None]) -> Iterator[None]:
    """Stops at the end of a pipe whose other end the parent has, and never writes to."""
    loop = asyncio.get_running_loop()

    def end() -> None:
        loop.remove_reader(pipe)
        stop()

    loop.add_reader(pipe, end)
    try:
        yield
    finally:
        loop.remove_reader(pipe)


@contextlib.contextmanager
def _signals(stop: Callable[[], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, stop)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
