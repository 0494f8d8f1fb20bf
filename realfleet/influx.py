"""InfluxDB 1.x with authentication on, as the platform's metric store."""

import base64
import http.client
import json
import secrets
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from realfleet.cache import Binaries
from realfleet.ports import list_free_ports
from realfleet.processes import Server, Servers

DATABASE = "Metrics"
_USER = "root"

_CONFIG = """\
reporting-disabled = true
bind-address = "127.0.0.1:{rpc_port}"

[meta]
  dir = "{folder}/meta"

[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  wal-fsync-delay = "1s"
  query-log-enabled = false

[monitor]
  store-enabled = false

[http]
  bind-address = "127.0.0.1:{port}"
  auth-enabled = true
  log-enabled = false

[continuous_queries]
  enabled = false

[logging]
  level = "warn"
  suppress-logo = true
"""


class InfluxError(Exception):
    """InfluxDB refused, failed or did not answer; the message is its own. `status` is 0 without an answer."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True)
class Influx:
    """A running InfluxDB with the database and an administrator."""

    port: int
    server: Server = field(repr=False)
    password: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    username: str = _USER
    database: str = DATABASE

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}"

    def query(self, statement: str, **params: object) -> list[dict[str, Any]]:
        """The series of one InfluxQL statement, `$name` bound from `params`. Raises InfluxError."""
        return self._query(statement, self._authorization(), params)

    def query_as(self, statement: str, username: str, password: str) -> list[dict[str, Any]]:
        """The same as somebody else; an empty user name is nobody. Raises InfluxError."""
        return self._query(statement, _basic(username, password) if username else {}, {})

    def write(self, lines: str) -> None:
        """Writes points in line protocol, times in nanoseconds. Raises InfluxError."""
        self._call("POST", f"/write?{urlencode({'db': self.database})}", lines.encode(), self._authorization())

    def answers(self) -> bool:
        """Whether it answers a ping."""
        try:
            self._call("GET", "/ping", b"", {})
        except InfluxError:
            return False
        return True

    def create_database(self) -> None:
        """The administrator first: while there is none, that is the one statement anybody may run."""
        self.query_as(f"CREATE USER \"{self.username}\" WITH PASSWORD '{self.password}' WITH ALL PRIVILEGES", "", "")
        self.query(f'CREATE DATABASE "{self.database}"')

    def _authorization(self) -> dict[str, str]:
        return _basic(self.username, self.password)

    def _query(self, statement: str, headers: dict[str, str], params: dict[str, object]) -> list[dict[str, Any]]:
        form = urlencode({"db": self.database, "q": statement, "params": json.dumps(params), "epoch": "ns"})
        form_type = {"Content-Type": "application/x-www-form-urlencoded"}
        result = json.loads(self._call("POST", "/query", form.encode(), headers | form_type))["results"][0]
        if error := result.get("error"):
            raise InfluxError(200, error)
        series: list[dict[str, Any]] = result.get("series", [])
        return series

    def _call(self, method: str, path: str, body: bytes, headers: dict[str, str]) -> bytes:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            content = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise InfluxError(0, f"{method} {path.partition('?')[0]}: {error}") from error
        finally:
            connection.close()
        if answer.status >= 400:
            raise InfluxError(answer.status, content.decode(errors="replace"))
        return content


def start_influx(servers: Servers, binaries: Binaries) -> Influx:
    """Starts InfluxDB, waits for it and makes the database. Raises FleetError, InfluxError."""
    port, rpc_port = list_free_ports(2)
    folder = servers.folder / "influx"
    folder.mkdir()
    config = folder / "influxdb.conf"
    config.write_text(_CONFIG.format(folder=folder, port=port, rpc_port=rpc_port))
    server = servers.start("influxd", [str(binaries.influxd), "run", "-config", str(config)])
    influx = Influx(port, server)
    servers.wait_until(influx.answers, "InfluxDB answers", 120.0)
    influx.create_database()
    return influx


def _basic(username: str, password: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{username}:{password}".encode()).decode()}
