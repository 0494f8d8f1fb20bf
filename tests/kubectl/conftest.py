"""A server with HTTPS in front of the real fleet (kubectl sends no token without it), and what the rows work on."""

from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from realfleet.cluster import Cluster
from realfleet.fleet import Fleet
from realfleet.pki import build_cluster_files
from server.commands.kubeconfig import Trust, build_kubeconfig
from tests.kubectl.running import NAMESPACE, Kubectl
from tests.processes import RunningServer, free_port, open_server

MANIFEST = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 2
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: web, image: "web:1", ports: [{containerPort: 80}]}]}
---
apiVersion: v1
kind: Pod
metadata: {name: box, labels: {app: box}}
spec: {containers: [{name: box, image: "box:1"}, {name: side, image: "side:1"}]}
---
apiVersion: v1
kind: ConfigMap
metadata: {name: settings}
data: {color: blue}
"""


@dataclass(frozen=True)
class Both:
    """The two ways to one member."""

    through: Kubectl
    directly: Kubectl
    member: Cluster
    server: RunningServer
    ca_file: Path
    token: str
    audit_log: Path

    @property
    def url(self) -> str:
        """The member's URL here."""
        return f"{self.server.url}/clusters/cluster1"


@dataclass(frozen=True)
class Secured:
    """The server with HTTPS on its main port, and an administrator's token."""

    server: RunningServer
    ca_file: Path
    token: str
    plain: RunningServer
    ops_url: str

    def write_kubeconfig(self, path: Path, names: Iterable[str], token: str | None = None) -> Path:
        """A kubeconfig as the command prints it."""
        trust = Trust(ca_file=self.ca_file)
        path.write_text(build_kubeconfig(self.server.url, "openmcp", {"token": token or self.token}, names, trust))
        return path


@asynccontextmanager
async def open_secured(environment: Mapping[str, str], folder: Path) -> AsyncIterator[Secured]:
    files = build_cluster_files(folder / "pki", "server")
    plain, port, ops = free_port(), free_port(), free_port()
    whole = {
        **environment,
        "OPENMCP_HOST": "127.0.0.1",
        "OPENMCP_PORT": str(port),
        "OPENMCP_PLAIN_PORT": str(plain),
        "OPENMCP_OPS_PORT": str(ops),
        "OPENMCP_TLS_CERT_FILE": str(files.serving_certificate),
        "OPENMCP_TLS_KEY_FILE": str(files.serving_key),
    }
    async with open_server("serve", environment=whole, port=plain, log=folder / "serve.log") as started:
        token = await started.sign_in()
        yield Secured(
            RunningServer(f"https://127.0.0.1:{port}", port, started.process, started.log),
            files.ca,
            token,
            started,
            f"http://127.0.0.1:{ops}",
        )


@pytest.fixture(scope="package")
async def both(real_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Both]:
    folder = tmp_path_factory.mktemp("kubectl")
    member = real_fleet.cluster("cluster1")
    audit_log = folder / "audit.jsonl"
    audited = {"OPENMCP_AUDIT_LOG": str(audit_log)}
    async with open_secured(real_fleet.environment() | audited, folder) as secured:
        kubeconfig = secured.write_kubeconfig(folder / "through.yaml", ["openmcp", "cluster1"])
        through = Kubectl(member.kubectl_program, kubeconfig, folder / "through")
        directly = Kubectl(member.kubectl_program, real_fleet.kubeconfig, folder / "directly")
        yield Both(through, directly, member, secured.server, secured.ca_file, secured.token, audit_log)


@pytest.fixture(scope="package")
async def stage(both: Both, real_fleet: Fleet) -> AsyncIterator[Both]:
    """A Deployment, a pod and a ConfigMap in a namespace of their own."""
    await both.directly.must(f"create namespace {NAMESPACE}")
    try:
        await both.directly.must("wait --for=create serviceaccount/default --timeout=60s")
        await both.directly.must("apply -f -", MANIFEST)
        await both.directly.must("rollout status deployment/web --timeout=60s")
        await both.directly.must("wait --for=condition=Ready pod/box --timeout=60s")
        yield both
    finally:
        await both.directly.must(f"delete namespace {NAMESPACE} --timeout=60s")
        real_fleet.wait_whole()
