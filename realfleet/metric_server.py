"""Prometheus and VictoriaMetrics as a fleet's metric store, on loopback: written to by remote write, or scraping."""

import http.client
import json
import ssl
from typing import Any
from urllib.parse import urlencode

from demo.metric_server import MetricServerConfig, MetricServerKind, build_command
from fleet.metrics.remote_write.encode import HEADERS
from realfleet.cache import find_packaged
from realfleet.ports import list_free_ports
from realfleet.processes import Server, Servers

_READY_SECONDS = 120.0
_FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class MetricServerError(Exception):
    """It refused, failed or did not answer; the message is its own. `status` is 0 without an answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class MetricServer:
    """A running server, which may be stopped, killed, paused and started again with what it stored.

    All that waits blocks: a test hands it to `asyncio.to_thread`. `headers` go with its own calls, and `tls` is what
    these trust, where the server was started with a credential or TLS.
    """

    def __init__(
        self, servers: Servers, kind: MetricServerKind, config: MetricServerConfig, tls: ssl.SSLContext | None
    ) -> None:
        self.kind = kind
        self.headers: dict[str, str] = {}
        (self.port,) = list_free_ports(1)
        self._servers = servers
        self._prefix = config.prefix
        self._tls = tls
        name = f"{kind.value}-{self.port}"
        folder = servers.folder / name
        folder.mkdir()
        program = find_packaged(kind.value, kind.value)
        self.process: Server = servers.start(name, build_command(kind, program, folder, self.port, config))

    @property
    def url(self) -> str:
        """Its base URL, with the prefix."""
        return f"{'https' if self._tls else 'http'}://127.0.0.1:{self.port}{self._prefix}"

    def write(self, body: bytes) -> None:
        """Writes a remote write request, and waits until it is found by questions. Raises MetricServerError."""
        self._call("POST", "/api/v1/write", body, HEADERS)
        if self.kind is MetricServerKind.VICTORIA_METRICS:
            self._call("GET", "/internal/force_flush")

    def query(self, expression: str, **params: str | float) -> list[dict[str, Any]]:
        """The result of an instant query, by the server's own API. Raises MetricServerError."""
        return self._query("/api/v1/query", {"query": expression, **params})

    def query_range(self, expression: str, start: float, end: float, step: float) -> list[dict[str, Any]]:
        """The result of a range query; seconds. Raises MetricServerError."""
        return self._query("/api/v1/query_range", {"query": expression, "start": start, "end": end, "step": step})

    def answers(self) -> bool:
        """Whether it can be asked."""
        try:
            self._call("GET", self.kind.ready_path)
        except MetricServerError as error:
            return error.status == 401
        return True

    def wait_ready(self) -> None:
        """Raises FleetError."""
        self._servers.wait_until(self.answers, f"{self.process.name} answers", _READY_SECONDS)

    def start(self) -> None:
        """Starts it again, and waits for it. Raises FleetError."""
        self.process.start()
        self.wait_ready()

    def stop(self) -> None:
        """By SIGTERM; `kill` by SIGKILL, `pause` by SIGSTOP."""
        self.process.stop()

    def kill(self) -> None:
        self.process.kill()

    def pause(self) -> None:
        self.process.pause()

    def resume(self) -> None:
        self.process.resume()

    def _query(self, path: str, params: dict[str, str | float]) -> list[dict[str, Any]]:
        answer = json.loads(self._call("POST", path, urlencode(params).encode(), _FORM))
        found: list[dict[str, Any]] = answer["data"]["result"]
        return found

    def _call(self, method: str, path: str, body: bytes = b"", headers: dict[str, str] | None = None) -> bytes:
        connection = (
            http.client.HTTPSConnection("127.0.0.1", self.port, timeout=60, context=self._tls)
            if self._tls
            else http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)
        )
        try:
            connection.request(method, self._prefix + path, body=body, headers=self.headers | (headers or {}))
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise MetricServerError(0, f"{method} {path}: {error}") from error
        finally:
            connection.close()
        if answer.status >= 300:
            raise MetricServerError(answer.status, content.decode(errors="replace"))
        return content


def start_metric_server(
    servers: Servers,
    kind: MetricServerKind,
    config: MetricServerConfig | None = None,
    *,
    headers: dict[str, str] | None = None,
    tls: ssl.SSLContext | None = None,
) -> MetricServer:
    """Starts Prometheus or VictoriaMetrics and waits for it. Raises FleetError, MissingServersError."""
    server = MetricServer(servers, kind, config or MetricServerConfig(), tls)
    server.headers |= headers or {}
    server.wait_ready()
    return server
