"""InfluxDB 2.x with an organisation, a bucket and a token, set up through its own API, on loopback."""

import http.client
import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from realfleet.influx import DATABASE, InfluxError
from realfleet.ports import list_free_ports
from realfleet.processes import Server, Servers

ORGANISATION = "openmcp"
_READ = "read"
_WRITE = "write"


@dataclass(frozen=True)
class Influx2:
    """A running InfluxDB 2.x. `token` is the operator's; buckets and tokens of less right are made with it."""

    port: int
    server: Server = field(repr=False)
    token: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    username: str = "root"
    password: str = field(default_factory=lambda: secrets.token_hex(16), repr=False)
    org: str = ORGANISATION
    bucket: str = DATABASE

    @property
    def url(self) -> str:
        """Its base URL."""
        return f"http://127.0.0.1:{self.port}"

    def answers(self) -> bool:
        """Whether it says that it is healthy."""
        try:
            self._call("GET", "/health")
        except InfluxError:
            return False
        return True

    def set_up(self) -> None:
        """The first user, organisation, bucket and token; and the user's password for InfluxQL. Raises InfluxError."""
        names = {"username": self.username, "password": self.password, "org": self.org, "bucket": self.bucket}
        answer = self._call("POST", "/api/v2/setup", names | {"token": self.token})
        self.create_legacy_user(self.username, self.password, answer["org"]["id"])

    def write(self, bucket: str, lines: str) -> None:
        """Writes points in line protocol, times in nanoseconds. Raises InfluxError."""
        query = urlencode({"org": self.org, "bucket": bucket, "precision": "ns"})
        self._call("POST", f"/api/v2/write?{query}", lines.encode())

    def create_bucket(self, name: str) -> str:
        """Makes a bucket and maps the InfluxQL database of the same name to it; gives its id. Raises InfluxError."""
        org = self.find_org()
        bucket: str = self._call("POST", "/api/v2/buckets", {"orgID": org, "name": name, "retentionRules": []})["id"]
        mapping = {"orgID": org, "bucketID": bucket, "database": name, "retention_policy": "autogen", "default": True}
        self._call("POST", "/api/v2/dbrps", mapping)
        return bucket

    def delete_bucket(self, bucket: str) -> None:
        """Removes a bucket by its id. Raises InfluxError."""
        self._call("DELETE", f"/api/v2/buckets/{bucket}")

    def create_token(self, bucket: str | None) -> str:
        """A token that may read one bucket (its id), or nothing but its own tasks. Raises InfluxError."""
        org = self.find_org()
        resource = {"type": "tasks", "orgID": org} if bucket is None else _bucket(org, bucket)
        permissions = [{"action": _READ, "resource": resource}]
        token: str = self._call("POST", "/api/v2/authorizations", {"orgID": org, "permissions": permissions})["token"]
        return token

    def create_legacy_user(self, username: str, password: str, org: str) -> None:
        """A user of the InfluxQL route, who may read and write all buckets. Raises InfluxError."""
        resource = {"type": "buckets", "orgID": org}
        permissions = [{"action": action, "resource": resource} for action in (_READ, _WRITE)]
        made = {"token": username, "orgID": org, "permissions": permissions}
        user = self._call("POST", "/private/legacy/authorizations", made)["id"]
        self._call("POST", f"/private/legacy/authorizations/{user}/password", {"password": password})

    def find_org(self) -> str:
        """The organisation's id. Raises InfluxError."""
        found: str = self._call("GET", f"/api/v2/orgs?{urlencode({'org': self.org})}")["orgs"][0]["id"]
        return found

    def _call(self, method: str, path: str, body: bytes | dict[str, Any] | None = None) -> dict[str, Any]:
        content = body if isinstance(body, bytes) else json.dumps(body).encode() if body is not None else b""
        kind = "text/plain; charset=utf-8" if isinstance(body, bytes) else "application/json"
        headers = {"Authorization": f"Token {self.token}", "Content-Type": kind}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        try:
            connection.request(method, path, body=content, headers=headers)
            answer = connection.getresponse()
            said = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise InfluxError(0, f"{method} {path.partition('?')[0]}: {error}") from error
        finally:
            connection.close()
        if answer.status >= 400:
            raise InfluxError(answer.status, said.decode(errors="replace"))
        decoded: dict[str, Any] = json.loads(said) if said else {}
        return decoded


def _bucket(org: str, bucket: str) -> dict[str, str]:
    return {"type": "buckets", "orgID": org, "id": bucket}


def start_influx2(servers: Servers, program: Path, *flags: str) -> Influx2:
    """Starts InfluxDB 2.x with further `flags`, waits for it and sets it up. Raises FleetError, InfluxError."""
    (port,) = list_free_ports(1)
    folder = servers.folder / "influx2"
    folder.mkdir()
    paths = [f"--{name}-path={folder / name}" for name in ("bolt", "engine", "sqlite")]
    settings = [f"--http-bind-address=127.0.0.1:{port}", "--reporting-disabled", "--log-level=warn"]
    server = servers.start("influxd2", [str(program), *settings, *paths, *flags])
    influx = Influx2(port, server)
    servers.wait_until(influx.answers, "InfluxDB 2 answers", 120.0)
    influx.set_up()
    return influx
