"""One cluster of a fleet: how to reach it, and how to make it ill and well again."""

import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from realfleet.apiserver import ApiServer, wait_ready
from realfleet.client import KubeClient
from realfleet.kubeconfig import Access
from realfleet.kwok import container_log_of
from realfleet.membership import Place
from realfleet.processes import FleetError, Server, Servers

_KUBECTL_TIMEOUT = 60


@dataclass(frozen=True)
class Cluster:
    """The host or a member. Files and tokens are this cluster's own."""

    name: str
    place: Place
    kubeconfig: Path
    """A file of this cluster alone, its context named as the cluster."""
    api: ApiServer = field(repr=False)
    servers: Servers = field(repr=False)
    kubectl_program: Path = field(repr=False)
    replicas: Mapping[tuple[str, str], int] = field(default_factory=dict)
    """Replicas of each Deployment, by namespace and name, as the fleet began."""

    @property
    def url(self) -> str:
        """The API server's base URL."""
        return self.api.url

    @property
    def ca_file(self) -> Path:
        """The authority's certificate, in PEM."""
        return self.api.files.ca

    @property
    def ca_pem(self) -> bytes:
        """The same as bytes."""
        return self.api.files.ca_pem

    @property
    def token(self) -> str:
        """An administrator's bearer token; `api.tokens` has others."""
        return self.api.tokens.admin

    @property
    def access(self) -> Access:
        """URL, authority and token together."""
        return self.api.access

    @property
    def client(self) -> KubeClient:
        """A client with every right."""
        return self.api.client

    @property
    def process(self) -> Server:
        """The API server's process."""
        return self.api.server

    @property
    def container_log(self) -> Path:
        """What `logs` of every container reads, in the container runtime's format; lines appended here are followed."""
        return container_log_of(self.servers, self.name)

    def kubectl(self, *arguments: str, stdin: str | None = None) -> str:
        """The output of kubectl on this cluster. Raises FleetError with what it said."""
        command = [str(self.kubectl_program), f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(
            command, input=stdin, capture_output=True, text=True, timeout=_KUBECTL_TIMEOUT, check=False
        )
        if done.returncode != 0:
            raise FleetError(f"kubectl {' '.join(arguments)} on {self.name}: {done.stderr.strip()}")
        return done.stdout

    def list_pods(self) -> list[dict[str, Any]]:
        """All pods, as the API server lists them."""
        items: list[dict[str, Any]] = self.client.get("/api/v1/pods")["items"]
        return items

    def pause(self) -> None:
        """The API server takes connections and answers nothing."""
        self.process.pause()

    def resume(self) -> None:
        """Ends a pause; returns when the API server is ready again."""
        self.process.resume()
        wait_ready(self.servers, self.api)

    def stop(self) -> None:
        """The API server's port refuses connections."""
        self.process.stop()

    def start(self) -> None:
        """Starts a stopped API server on the same port; returns when it is ready."""
        self.process.start()
        wait_ready(self.servers, self.api)

    def restart(self) -> None:
        """Stop and start."""
        self.stop()
        self.start()

    @contextmanager
    def paused(self) -> Iterator[None]:
        """Paused inside the `with`, ready again after it."""
        self.pause()
        try:
            yield
        finally:
            self.resume()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        """Stopped inside the `with`, ready again after it."""
        self.stop()
        try:
            yield
        finally:
            self.start()

    def is_whole(self) -> bool:
        """Whether every pod the fleet began with, and no other, is there and ready."""
        pods = self.list_pods()
        return len(pods) == sum(self.replicas.values()) and all(_is_ready(pod) for pod in pods)

    def wait_whole(self, timeout: float = 120.0) -> None:
        """Until `is_whole`. Raises FleetError."""
        self.servers.wait_until(self.is_whole, f"all pods of {self.name} are ready", timeout)


def _is_ready(pod: dict[str, Any]) -> bool:
    conditions = pod["status"].get("conditions", [])
    return "deletionTimestamp" not in pod["metadata"] and any(
        condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions
    )
