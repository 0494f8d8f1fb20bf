"""NATS with JetStream on loopback: one server, or a cluster of three; with users, TLS, little room, or without."""

import http.client
import json
import secrets
import shutil
from pathlib import Path
from string import Template
from typing import Any

from msgspec import Struct, field
from msgspec.structs import replace

from realfleet.pki import ClusterFiles
from realfleet.ports import list_free_ports
from realfleet.processes import Servers

_READY_SECONDS = 60.0


class NatsUser(Struct, frozen=True):
    """Somebody who may connect; `publish` are the only subjects to publish to, or None for all but those of `deny`."""

    username: str
    publish: tuple[str, ...] | None = None
    deny: tuple[str, ...] = ()
    subscribe: tuple[str, ...] | None = None
    password: str = field(default_factory=lambda: secrets.token_hex(16))


class NatsConfig(Struct, frozen=True):
    """How a server is. Without `users` everybody may do everything."""

    jetstream: bool = True
    max_file_store: int | None = None
    """Bytes that all streams may take on disk together."""
    users: tuple[NatsUser, ...] = ()
    accounts: str = ""
    """The configuration of those users, where they are of several accounts; `$NAME_PASSWORD` is the password of one."""
    tls: ClusterFiles | None = None
    client_certificates: bool = False
    """Whether who connects has to show one of the same authority."""
    further: str = ""
    """Further lines of the configuration file."""


class NatsServer:
    """One nats-server, which may be stopped, killed, paused, and started again on the same ports with other settings.

    All that waits blocks: a test hands it to `asyncio.to_thread`.
    """

    def __init__(
        self, servers: Servers, program: Path, config: NatsConfig, name: str, ports: tuple[int, int], cluster: str = ""
    ) -> None:
        self.name = name
        self.config = config
        self.port, self.monitoring_port = ports
        self.folder = servers.folder / name
        self.folder.mkdir()
        self._servers = servers
        self._cluster = cluster
        self._file = self.folder / "nats.conf"
        self._write_config()
        self.process = servers.start(name, [str(program), "--config", str(self._file)])

    @property
    def url(self) -> str:
        """Without a user."""
        return f"{'tls' if self.config.tls else 'nats'}://127.0.0.1:{self.port}"

    def user(self, username: str) -> NatsUser:
        return next(user for user in self.config.users if user.username == username)

    def url_of(self, username: str) -> str:
        """With the user and the password."""
        return self.url.replace("://", f"://{username}:{self.user(username).password}@")

    def start(self) -> None:
        """Starts it again with what it stored, and waits for it. Raises FleetError."""
        self.process.start()
        self.wait_ready()

    def stop(self) -> None:
        """By SIGTERM; `kill` by SIGKILL."""
        self.process.stop()

    def kill(self) -> None:
        self.process.kill()

    def pause(self) -> None:
        """By SIGSTOP: connections stay open, and nothing is answered until `resume`."""
        self.process.pause()

    def resume(self) -> None:
        self.process.resume()

    def restart(self, *, empty: bool = False, **changes: Any) -> None:
        """Stops and starts it, with all that it stored or with nothing; `changes` are of its `NatsConfig`."""
        self.stop()
        if empty:
            shutil.rmtree(self.folder / "store", ignore_errors=True)
        self.config = replace(self.config, **changes)
        self._write_config()
        self.start()

    def wait_ready(self) -> None:
        """Until it answers and has read what it stored; in a cluster, until JetStream has a leader."""
        self._servers.wait_until(self._is_ready, f"{self.name} answers", _READY_SECONDS)

    def ask(self, path: str) -> dict[str, Any]:
        """What its monitoring port answers: `/varz`, `/connz`, `/jsz?streams=true`. Raises OSError, HTTPException."""
        connection = http.client.HTTPConnection("127.0.0.1", self.monitoring_port, timeout=5)
        try:
            connection.request("GET", path)
            answer: dict[str, Any] = json.loads(connection.getresponse().read())
            return answer
        finally:
            connection.close()

    def _is_ready(self) -> bool:
        try:
            return bool(self.ask("/healthz").get("status") == "ok" and (not self._cluster or self._has_leader()))
        except (OSError, http.client.HTTPException, ValueError):
            return False

    def _has_leader(self) -> bool:
        return not self.config.jetstream or bool(self.ask("/jsz").get("meta_cluster", {}).get("leader"))

    def _write_config(self) -> None:
        config = self.config
        lines = [
            f"server_name: {self.name}",
            f'listen: "127.0.0.1:{self.port}"',
            f'http: "127.0.0.1:{self.monitoring_port}"',
            self._cluster,
            config.further,
        ]
        if config.jetstream:
            room = f"max_file_store: {config.max_file_store}" if config.max_file_store is not None else ""
            lines += ["jetstream {", f'store_dir: "{self.folder / "store"}"', room, "}"]
        if config.tls is not None:
            files = config.tls
            lines += [
                "tls {",
                f'cert_file: "{files.serving_certificate}"',
                f'key_file: "{files.serving_key}"',
                f'ca_file: "{files.ca}"',
                f"verify: {json.dumps(config.client_certificates)}",
                "}",
            ]
        if config.accounts:
            passwords = {f"{user.username.upper()}_PASSWORD": f'"{user.password}"' for user in config.users}
            lines.append(Template(config.accounts).safe_substitute(passwords))  # `$JS` and the like stay
        elif config.users:
            lines += ["authorization {", f"users = [{','.join(map(_user, config.users))}]", "}"]
        self._file.write_text("\n".join(line for line in lines if line) + "\n")


class NatsCluster:
    """Three servers that replicate streams among them; each may be ill for itself."""

    def __init__(self, processes: Servers, servers: list[NatsServer]) -> None:
        self.servers = servers
        self._servers = processes

    @property
    def url(self) -> str:
        """All of them, with commas."""
        return ",".join(server.url for server in self.servers)

    def wait_ready(self) -> None:
        """Until all answer and their leader has heard of all, so that it can place copies."""
        for server in self.servers:
            server.wait_ready()
        if all(server.config.jetstream for server in self.servers):
            self._servers.wait_until(self._is_whole, "all servers of the cluster are current", _READY_SECONDS)

    def find_leader(self, stream: str) -> NatsServer:
        """Who leads the stream, waited for until somebody does. Raises FleetError."""
        found: list[NatsServer] = []

        def is_led() -> bool:
            found[:] = self._list_leaders(stream)
            return bool(found)

        self._servers.wait_until(is_led, f"{stream} is led", _READY_SECONDS)
        return found[0]

    def _is_whole(self) -> bool:
        known = {server.name: server.ask("/jsz").get("meta_cluster", {}) for server in self.servers}
        others = [
            other
            for name, group in known.items()
            if group.get("leader") == name
            for other in group.get("replicas") or ()
        ]
        return len(others) == len(self.servers) - 1 and all(other["current"] for other in others)

    def _list_leaders(self, stream: str) -> list[NatsServer]:
        """As those that run know it."""
        accounts = [
            account
            for server in self.servers
            if server.process.is_running
            for account in server.ask("/jsz?streams=true").get("account_details") or ()
        ]
        details = [detail for account in accounts for detail in account.get("stream_detail") or ()]
        names = {detail["cluster"].get("leader") for detail in details if detail["name"] == stream}
        return [server for server in self.servers if server.name in names]


def start_nats(servers: Servers, program: Path, config: NatsConfig | None = None) -> NatsServer:
    """Starts a server and waits for it. Raises FleetError."""
    port, monitoring = list_free_ports(2)
    server = NatsServer(servers, program, config or NatsConfig(), _free_name(servers), (port, monitoring))
    server.wait_ready()
    return server


def start_nats_cluster(servers: Servers, program: Path, config: NatsConfig | None = None) -> NatsCluster:
    """Starts three servers of one cluster and waits for them. Raises FleetError."""
    names = ["nats-a", "nats-b", "nats-c"]
    ports = list_free_ports(9)
    clients, monitorings, routes = ports[:3], ports[3:6], ports[6:]
    others = ", ".join(f'"nats://127.0.0.1:{route}"' for route in routes)
    lines = [f'cluster {{ name: fleet, listen: "127.0.0.1:{route}", routes: [{others}] }}' for route in routes]
    started = zip(names, zip(clients, monitorings, strict=True), lines, strict=True)
    cluster = NatsCluster(
        servers,
        [NatsServer(servers, program, config or NatsConfig(), name, pair, line) for name, pair, line in started],
    )
    cluster.wait_ready()
    return cluster


def _free_name(servers: Servers) -> str:
    return f"nats{sum(1 for each in servers.folder.iterdir() if each.is_dir())}"


def _user(user: NatsUser) -> str:
    permissions: dict[str, Any] = {}
    if user.publish is not None:
        permissions["publish"] = list(user.publish)
    if user.deny:
        permissions["publish"] = {"deny": list(user.deny)}
    if user.subscribe is not None:
        permissions["subscribe"] = list(user.subscribe)
    shown: dict[str, Any] = {"user": user.username, "password": user.password}
    return json.dumps(shown | ({"permissions": permissions} if permissions else {}))
