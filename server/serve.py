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
from typing import NamedTuple

import uvicorn
from msgspec import Struct
from starlette.types import ASGIApp

from fleet.aio.tasks import open_task
from server.app import create_app
from server.asgi.bounds import BoundedProtocol
from server.binding import bind
from server.free_memory import bound_free_memory
from server.gc_tuning import freeze_synced, gc_tuning
from server.lifespan import OpenState, State
from server.ops import build_own_exposition, create_ops_app
from server.settings.groups import HttpSettings, Settings
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
    sys.setswitchinterval(SWITCH_SECONDS)
    bound_free_memory()
    stop = _Stop()
    with contextlib.ExitStack() as stack:
        stack.enter_context(gc_tuning())
        stack.enter_context(_signals(stop))
        if worker is not None:
            stack.enter_context(_lifeline(worker.lifeline, stop))
        ports = _bind_ports(settings.http, stack, shared=worker is not None)
        certificate = open_certificate(settings.http)
        async with (
            open_state(settings) as state,
            open_task("set aside what is in memory", partial(freeze_synced, state["federation"])),
            _open_peers(worker, state) as peers,
            contextlib.AsyncExitStack() as tasks,
        ):
            servers = _build_servers(settings, state, peers, ports, certificate)
            stop.hooks.append(state["live"].shut_down)  # subscriptions never end by themselves
            stop.servers += [server for server, _ in servers]
            if certificate is not None:
                await tasks.enter_async_context(open_task("certificate", certificate.watch))
            listening = ports.listening("http" if certificate is None else "https")
            await _serve_all(servers, lambda: _announce(listening, on_listening))


class _Stop:
    """What a signal does: ends the servers, by a second one at once, or the opening while there are none."""

    def __init__(self) -> None:
        self.servers: list[_Server] = []
        self.hooks: list[Callable[[], None]] = []
        self._opening = asyncio.current_task()

    def __call__(self) -> None:
        if not self.servers and self._opening is not None:
            self._opening.cancel()
        for hook in self.hooks:
            hook()
        for server in self.servers:
            server.force_exit = server.should_exit
            server.should_exit = True


class _Ports(NamedTuple):
    """The sockets of the ports; `plain` is that of plain HTTP beside HTTPS."""

    main: socket.socket
    ops: socket.socket
    plain: socket.socket | None

    def listening(self, scheme: str) -> Listening:
        plain_url = None if self.plain is None else _url("http", self.plain)
        return Listening(_url(scheme, self.main), plain_url, _url("http", self.ops))


def _bind_ports(http: HttpSettings, stack: contextlib.ExitStack, *, shared: bool) -> _Ports:
    """Ports that are held until the stack is left. Raises SettingsInvalid."""

    def hold(port: int, name: str) -> socket.socket:
        return stack.enter_context(bind(http.host, port, name, shared=shared))

    main, ops = hold(http.port, "OPENMCP_PORT"), hold(http.ops_port, "OPENMCP_OPS_PORT")
    return _Ports(main, ops, None if http.plain_port is None else hold(http.plain_port, "OPENMCP_PLAIN_PORT"))


def _build_servers(
    settings: Settings, state: State, peers: Peers | None, ports: _Ports, certificate: ReloadingCertificate | None
) -> list[tuple[_Server, socket.socket]]:
    app, ops = create_app(settings, _given(state)), create_ops_app(settings, _given(state), peers)
    servers = [(_build_server(app, settings, certificate), ports.main), (_build_server(ops, settings), ports.ops)]
    if ports.plain is not None:
        servers.append((_build_server(app, settings), ports.plain))
    return servers


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


async def _serve_all(servers: list[tuple[_Server, socket.socket]], on_started: Callable[[], None]) -> None:
    async def announce_when_started() -> None:
        for server, _ in servers:
            await server.listens.wait()
        on_started()

    serving: list[Awaitable[None]] = [server.serve(sockets=[bound]) for server, bound in servers]
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
        proxy_headers=bool(http.trusted_proxies),
        forwarded_allow_ips=list(http.trusted_proxies),
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
