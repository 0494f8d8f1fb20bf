"""A real InfluxDB 1.x of a test's own, with the settings the test wants."""

import base64
import http.client
import json
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from tests.fakes.waiting import PATIENCE
from tests.processes import free_port

_CONFIG = """\
reporting-disabled = true
reporting-enabled = false
bind-address = "127.0.0.1:{rpc_port}"
[meta]
  dir = "{folder}/meta"
[data]
  dir = "{folder}/data"
  wal-dir = "{folder}/wal"
  query-log-enabled = false
[monitor]
  store-enabled = false
[coordinator]
{coordinator}
[http]
  bind-address = "127.0.0.1:{port}"
  auth-enabled = true
  log-enabled = false
{http}
[continuous_queries]
  enabled = false
[logging]
  level = "warn"
  suppress-logo = true
"""


@dataclass
class InfluxServer:
    """A server process; `username` may do everything, `reader` is a user without any right."""

    program: str
    folder: Path
    coordinator: str = ""
    http: str = ""
    username: str = "root"
    password: str = "kept-for-tests"
    reader: str = "nobody"
    port: int = 0
    _process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def version(self) -> str:
        """As the program says it."""
        said = subprocess.run([self.program, "version"], check=True, capture_output=True, text=True).stdout
        return said.split()[1].removeprefix("v")

    def start(self) -> None:
        """Starts it and waits until it answers."""
        if not self.port:
            self.port = free_port()
            config = _CONFIG.format(
                folder=self.folder, port=self.port, rpc_port=free_port(), coordinator=self.coordinator, http=self.http
            )
            (self.folder / "influxdb.conf").write_text(config)
        with (self.folder / "influxd.log").open("ab") as log:
            command = [self.program, "run", "-config", str(self.folder / "influxdb.conf")]
            self._process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert time.monotonic() < deadline, (self.folder / "influxd.log").read_text()[-2000:]
            time.sleep(0.02)

    def stop(self) -> None:
        """Stops it by its process id."""
        if self._process is not None:
            self._process.terminate()
            try:
                self._process.wait(10)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None

    def create_users(self) -> None:
        self.query(f"CREATE USER {self.username} WITH PASSWORD '{self.password}' WITH ALL PRIVILEGES")
        self.query(f"CREATE USER {self.reader} WITH PASSWORD '{self.password}'")

    def query(
        self, statement: str, database: str = "", params: dict[str, object] | None = None
    ) -> list[dict[str, Any]]:
        """The series of one statement."""
        form = urlencode({"db": database, "q": statement, "params": json.dumps(params or {}), "epoch": "ns"})
        answer = json.loads(self._call("POST", "/query", form.encode()))["results"][0]
        assert "error" not in answer, answer
        return list(answer.get("series", []))

    def write(self, database: str, lines: list[str]) -> None:
        self._call("POST", f"/write?{urlencode({'db': database})}", "\n".join(lines).encode())

    def _answers(self) -> bool:
        try:
            self._call("GET", "/ping", b"")
        except OSError:
            return False
        return True

    def _call(self, method: str, path: str, body: bytes) -> bytes:
        credential = base64.b64encode(f"{self.username}:{self.password}".encode()).decode()
        headers = {"Content-Type": "application/x-www-form-urlencoded", "Authorization": f"Basic {credential}"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body=body, headers=headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        assert answer.status < 300, content
        return content
