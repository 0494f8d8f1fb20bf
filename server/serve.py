"""Runs the applications: the main port, the plain one beside HTTPS, the ops port; one process, one loop, one state."""

import asyncio
import contextlib
import logging
import math
import signal
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import uvicorn
from msgspec import Struct
from starlette.types import ASGIApp

from server.app import create_app
from server.collector import open_quiet_collector
from server.environment import SettingsInvalid
from server.lifespan import OpenState, State
from server.ops import create_ops_app
from server.settings import HttpSettings, Settings

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
    settings: Settings, open_state: OpenState, *, on_listening: Callable[[Listening], None] | None = None
) -> None:
    """Serves until SIGTERM or SIGINT, then ends requests within the grace time (a second signal ends them at once).

    Ports are taken before anything is opened, so that one in use is said first. Raises SettingsInvalid for a port or
    a certificate that can't be used, and what `open_state` raises.
    """
    http = settings.http
    servers: list[_Server] = []
    task = asyncio.current_task()
    assert task is not None  # noqa: S101 - a coroutine that runs has a task

    def stop() -> None:
        if not servers:
            task.cancel()  # still opening: leave by the way back
        for server in servers:
            server.force_exit = server.should_exit
            server.should_exit = True

    with contextlib.ExitStack() as stack:
        stack.enter_context(_signals(stop))
        main = stack.enter_context(_bind(http.host, http.port, "OPENMCP_PORT"))
        ops = stack.enter_context(_bind(http.host, http.ops_port, "OPENMCP_OPS_PORT"))
        plain = None
        if http.plain_port is not None:
            plain = stack.enter_context(_bind(http.host, http.plain_port, "OPENMCP_PLAIN_PORT"))
        main_tls = _check_tls(http)
        async with open_state(settings) as state, open_quiet_collector(state["federation"]):
            app = create_app(settings, _given(state))
            started = [(_build_server(app, http, tls=main_tls), main)]
            started.append((_build_server(create_ops_app(settings, _given(state)), http, tls=False), ops))
            if plain is not None:
                started.append((_build_server(app, http, tls=False), plain))
            servers += [server for server, _ in started]
            listening = Listening(
                main_url=_url("https" if main_tls else "http", main),
                plain_url=_url("http", plain) if plain is not None else None,
                ops_url=_url("http", ops),
            )
            await _serve_all(started, lambda: _announce(listening, on_listening))


def _given(state: State) -> OpenState:
    """An `open_state` for a state that is open already: several applications share it."""

    @asynccontextmanager
    async def open_given(_settings: Settings) -> AsyncIterator[State]:
        yield state

    return open_given


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


def _build_server(app: ASGIApp, http: HttpSettings, *, tls: bool) -> _Server:
    config = uvicorn.Config(
        app,
        http="httptools",
        lifespan="on",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=IDLE_CONNECTION_SECONDS,
        timeout_graceful_shutdown=math.ceil(http.shutdown_grace),
        ssl_certfile=http.tls_cert_file if tls else None,
        ssl_keyfile=http.tls_key_file if tls else None,
    )
    return _Server(config)


def _check_tls(http: HttpSettings) -> bool:
    """Whether the main port speaks HTTPS. Raises SettingsInvalid for files that do not make a certificate."""
    if http.tls_cert_file is None or http.tls_key_file is None:
        return False
    for name, path in (("OPENMCP_TLS_CERT_FILE", http.tls_cert_file), ("OPENMCP_TLS_KEY_FILE", http.tls_key_file)):
        _check_readable(name, path)
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(http.tls_cert_file, http.tls_key_file, password="")
    except ssl.SSLError as error:
        problem = (
            f"OPENMCP_TLS_CERT_FILE is '{http.tls_cert_file}' and OPENMCP_TLS_KEY_FILE is '{http.tls_key_file}', "
            f"must be a certificate chain and its unencrypted key in PEM ({error.reason or 'unreadable'})"
        )
        raise SettingsInvalid([problem]) from error
    return True


def _check_readable(name: str, path: Path) -> None:
    try:
        with path.open("rb"):
            pass
    except OSError as error:
        raise SettingsInvalid([f"{name} is '{path}', must be a file that can be read ({error.strerror})"]) from error


@contextlib.contextmanager
def _bind(host: str, port: int, name: str) -> Iterator[socket.socket]:
    """A bound socket that does not listen yet. Raises SettingsInvalid."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        bound = socket.socket(family, kind, protocol)
    except OSError as error:
        raise SettingsInvalid([f"OPENMCP_HOST is {host!r}, must be an address of this machine ({error})"]) from error
    with bound:
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(address)
        except OSError as error:
            raise SettingsInvalid([f"{name} is {port}, must be a free port of {host} ({error.strerror})"]) from error
        yield bound


def _url(scheme: str, bound: socket.socket) -> str:
    host, port = bound.getsockname()[:2]
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{port}"


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
