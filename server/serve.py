"""Runs the applications: the main port, the plain one beside HTTPS, the ops port; one process, one loop, one state."""

import asyncio
import contextlib
import logging
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager
from functools import partial
from typing import NamedTuple

import uvicorn
from msgspec import Struct
from starlette.types import ASGIApp

from fleet.aio.tasks import end_tasks, open_task
from server.app import create_app
from server.asgi.bounds import build_protocols
from server.asgi.connections import ConnectionOptions, Connections, count_most, raise_descriptor_limit
from server.binding import Port, bind, list_ports
from server.figures.exposition import build_exposition
from server.figures.process import Serving
from server.free_memory import bound_free_memory
from server.gc_tuning import freeze_synced, gc_tuning
from server.lifespan import OpenState, State
from server.log_handler import queued_logs
from server.ops import create_ops_app
from server.settings.groups import HttpSettings, Settings
from server.stopping import LAST_WORD_SECONDS, Stop
from server.tls import ReloadingCertificate, open_certificate
from server.workers.peers import Peers, Worker, open_peers

SWITCH_SECONDS = 0.0005
"""How long the event loop may keep a thread waiting for the interpreter. SQLite gives it away at each row: with
Python's own 5 ms an answer of 20 rows waited for 100 ms while the loop was busy."""

_TURN_SECONDS = 0.02

IDLE_CONNECTION_SECONDS = 15  # yesterday's portal opens a connection a call and never closes one

_log = logging.getLogger(__name__)


class Listening(Struct, frozen=True):
    """The ports the server got. `main_url` has no slash at its end."""

    main_url: str
    plain_url: str | None
    ops_url: str


class _Server(uvicorn.Server):
    """A server whose signals and end are `run_server`'s, since there are several of them."""

    def __init__(self, config: uvicorn.Config, at_once: asyncio.Event) -> None:
        super().__init__(config)
        self.listens = asyncio.Event()
        self._at_once = at_once
        self._ends_at = 0.0

    def end(self, ends_at: float) -> None:
        """Ends it, requests by `ends_at` in the loop's time."""
        self._ends_at = ends_at
        self.should_exit = True

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.listens.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Ends requests within their time; what then goes on is cut off, told so where it can be."""
        for server in self.servers:
            server.close()
        for bound in sockets or ():
            bound.close()
        state = self.server_state
        for connection in list(state.connections):
            connection.shutdown()
        while state.connections or state.tasks:
            if self._at_once.is_set() or asyncio.get_running_loop().time() > self._ends_at:
                break
            await asyncio.sleep(_TURN_SECONDS)
        if tasks := list(state.tasks):
            _log.warning("%d requests did not end in time: cut off", len(tasks))
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks, timeout=LAST_WORD_SECONDS)
        for connection in list(state.connections):
            connection.transport.abort()
        await self.lifespan.shutdown()


async def run_server(
    settings: Settings,
    open_state: OpenState,
    *,
    on_listening: Callable[[Listening], None] | None = None,
    worker: Worker | None = None,
) -> None:
    """Serves until SIGTERM or SIGINT, then ends as `server.stopping` has it (a second signal ends requests at once).

    Ports are taken before anything is opened, so that one in use is said first; a `worker` shares them with others, and
    also ends when who started it is gone. Raises SettingsInvalid for a port or a certificate that can't be used, and
    what `open_state` raises.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    bound_free_memory()
    stop = Stop(settings.http)
    with contextlib.ExitStack() as stack:
        stack.enter_context(queued_logs())
        stack.enter_context(gc_tuning())
        stack.enter_context(_signals(stop))
        if worker is not None:
            stack.enter_context(_lifeline(worker.lifeline, stop))
        ports = _bind_ports(settings.http, stack, shared=worker is not None)
        certificate = open_certificate(settings.http)
        serving = Serving(_build_connections(settings), certificate)
        async with (
            open_state(settings) as state,
            open_task("set aside what is in memory", partial(freeze_synced, state["federation"])),
            _open_peers(worker, state, serving) as peers,
            contextlib.AsyncExitStack() as tasks,
        ):
            servers = _build_servers(settings, state, peers, ports, serving, stop.at_once)
            stop.opened()
            await tasks.enter_async_context(open_task("callers that take nothing", serving.connections.watch))
            if certificate is not None:
                await tasks.enter_async_context(open_task("certificate", certificate.watch))
            listening = ports.listening("http" if certificate is None else "https")
            wait_stop = stop.wait(state["stopping"], state["live"], [bound for _, bound in servers[:-1]])
            await _serve_all(servers, wait_stop, lambda: _announce(listening, on_listening))


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

    def hold(port: Port) -> socket.socket:
        return stack.enter_context(bind(port, shared=shared))

    main, ops, plain = list_ports(http)
    return _Ports(hold(main), hold(ops), None if plain is None else hold(plain))


def _build_servers(
    settings: Settings,
    state: State,
    peers: Peers | None,
    ports: _Ports,
    serving: Serving,
    at_once: asyncio.Event,
) -> list[tuple[_Server, socket.socket]]:
    """The servers and their ports, that of operators last."""
    app, ops = create_app(settings, _given(state)), create_ops_app(settings, _given(state), peers, serving)
    main = _configure(app, settings, serving.connections, serving.certificate)
    servers = [(_Server(main, at_once), ports.main)]
    if ports.plain is not None:
        servers.append((_Server(_configure(app, settings, serving.connections), at_once), ports.plain))
    return [*servers, (_Server(_configure(ops, settings, Connections()), at_once), ports.ops)]


def _build_connections(settings: Settings) -> Connections:
    """What users' ports may hold, after the process has got as many descriptors as it may."""
    traffic = settings.traffic
    most = count_most(raise_descriptor_limit(), traffic.max_connections)
    options = ConnectionOptions(
        most=most,
        most_of_an_address=min(traffic.address_connections, most * 3 // 4),
        stall_seconds=traffic.stall_timeout,
        proxies=settings.http.trusted_proxies,
    )
    return Connections(options)


def _given(state: State) -> OpenState:
    """An `open_state` for a state that is open already: several applications share it."""

    @asynccontextmanager
    async def open_given(_settings: Settings) -> AsyncIterator[State]:
        yield state

    return open_given


@asynccontextmanager
async def _open_peers(worker: Worker | None, state: State, serving: Serving) -> AsyncIterator[Peers | None]:
    if worker is None:
        yield None
        return
    async with open_peers(worker, partial(build_exposition, state, serving=serving)) as peers:
        yield peers


async def _serve_all(
    servers: list[tuple[_Server, socket.socket]],
    wait_stop: Coroutine[None, None, float],
    on_started: Callable[[], None],
) -> None:
    """Until `wait_stop` says by when requests end; the last server ends when the others have."""

    async def announce_when_started() -> None:
        for server, _ in servers:
            await server.listens.wait()
        on_started()

    async def end_when_asked() -> None:
        ends_at = await wait_stop
        for server, _ in servers[:-1]:
            server.end(ends_at)
        await asyncio.wait(serving[:-1])
        servers[-1][0].end(ends_at)

    serving = [asyncio.create_task(server.serve(sockets=[bound])) for server, bound in servers]
    beside = [asyncio.create_task(announce_when_started()), asyncio.create_task(end_when_asked())]
    try:
        await asyncio.gather(*serving)
    finally:
        await end_tasks(*beside)


def _announce(listening: Listening, on_listening: Callable[[Listening], None] | None) -> None:
    _log.info("listening on %s, for operators on %s", listening.main_url, listening.ops_url)
    if listening.plain_url is not None:
        _log.info("listening on %s in plain HTTP", listening.plain_url)
    if on_listening is not None:
        on_listening(listening)


def _configure(
    app: ASGIApp, settings: Settings, connections: Connections, certificate: ReloadingCertificate | None = None
) -> uvicorn.Config:
    http, clients = settings.http, None if certificate is None else certificate.clients
    protocol, socket_protocol = build_protocols(connections, clients)
    return uvicorn.Config(
        app,
        http=protocol,
        ws=socket_protocol,
        ws_max_size=settings.limits.max_body,
        ws_per_message_deflate=False,  # its window costs a connection more memory than all else of it
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=bool(http.trusted_proxies),
        forwarded_allow_ips=list(http.trusted_proxies),
        timeout_keep_alive=IDLE_CONNECTION_SECONDS,
        ssl_context_factory=None if certificate is None else lambda *_: certificate.context,
    )


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
def _signals(stop: Callable[[int], None]) -> Iterator[None]:
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGTERM, signal.SIGINT)
    for number in numbers:
        loop.add_signal_handler(number, stop, number)
    try:
        yield
    finally:
        for number in numbers:
            loop.remove_signal_handler(number)
