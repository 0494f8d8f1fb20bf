"""A cluster's API server: a real kube-apiserver with an authority, tokens and a part of etcd of its own."""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from realfleet.cache import Binaries
from realfleet.client import KubeClient
from realfleet.kubeconfig import Access, build_kubeconfig, write_private
from realfleet.pki import ClusterFiles
from realfleet.processes import Server, Servers

_READY_TIMEOUT = 120.0
_AUDIT_POLICY = """
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
rules:
- {level: Metadata, namespaces: [audited]}
- {level: Metadata, users: ["system:serviceaccount:openmcp:openmcp-apiserver"]}
- {level: None}
"""


@dataclass(frozen=True)
class Tokens:
    """Bearer tokens of one API server's static token file."""

    admin: str = field(default_factory=secrets.token_hex)
    """In `system:masters`: what the platform's Secret of a member holds."""
    spare: str = field(default_factory=secrets.token_hex)
    """A second one in `system:masters`, to rotate to."""
    viewer: str = field(default_factory=secrets.token_hex)
    """User `viewer`, group `viewers`: reads pods, Services and Deployments everywhere; neither nodes nor Secrets."""
    stranger: str = field(default_factory=secrets.token_hex)
    """User `stranger`: known, and allowed nothing."""

    def as_csv(self) -> str:
        """The file kube-apiserver reads: token, user, uid, groups."""
        rows = [
            (self.admin, "admin", "system:masters"),
            (self.spare, "spare", "system:masters"),
            (self.viewer, "viewer", "viewers"),
            (self.stranger, "stranger", "strangers"),
        ]
        return "".join(f'{token},{user},{user},"{group}"\n' for token, user, group in rows)


@dataclass(frozen=True)
class ApiServer:
    """A running kube-apiserver."""

    cluster: str
    url: str
    files: ClusterFiles
    tokens: Tokens
    server: Server
    audit_log: Path
    """What was done in namespace `audited`, and by the account of this server's own manifests; an event a line."""

    @cached_property
    def client(self) -> KubeClient:
        """A client with every right."""
        return KubeClient(self.url, self.files.ca, self.tokens.admin)

    @property
    def access(self) -> Access:
        """How an administrator reaches it."""
        return Access(self.cluster, self.url, self.files.ca_pem, self.tokens.admin)

    def write_kubeconfig(self, path: Path) -> Path:
        """A kubeconfig of this cluster alone."""
        return write_private(path, build_kubeconfig([self.access]))


def start_api_server(
    servers: Servers,
    binaries: Binaries,
    cluster: str,
    port: int,
    files: ClusterFiles,
    etcd_url: str,
    authorization: Sequence[str] = ("--authorization-mode=RBAC",),
    further: Sequence[str] = (),
) -> ApiServer:
    """Starts a kube-apiserver; `wait_ready` tells when it answers. `authorization` are its flags of that."""
    folder = servers.folder / cluster
    tokens = Tokens()
    policy, audit_log = write_private(folder / "audit-policy.yaml", _AUDIT_POLICY), folder / "audit.jsonl"
    token_file = write_private(folder / "tokens.csv", tokens.as_csv())
    server = servers.start(
        f"{cluster}-apiserver",
        [
            str(binaries.controlplane),
            "kube-apiserver",
            f"--etcd-servers={etcd_url}",
            f"--etcd-prefix=/{cluster}",
            "--bind-address=127.0.0.1",
            # Without a default route there is no address to advertise, and none is needed.
            "--advertise-address=127.0.0.1",
            "--endpoint-reconciler-type=none",
            f"--secure-port={port}",
            f"--cert-dir={folder}",
            f"--tls-cert-file={files.serving_certificate}",
            f"--tls-private-key-file={files.serving_key}",
            f"--client-ca-file={files.ca}",
            f"--token-auth-file={token_file}",
            *authorization,
            *further,
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={files.service_account_key}",
            f"--service-account-signing-key-file={files.service_account_key}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--kubelet-preferred-address-types=InternalIP",
            "--profiling=false",
            f"--audit-policy-file={policy}",
            f"--audit-log-path={audit_log}",
        ],
    )
    return ApiServer(cluster, f"https://127.0.0.1:{port}", files, tokens, server, audit_log)


def wait_ready(servers: Servers, api: ApiServer, timeout: float = _READY_TIMEOUT) -> None:
    """Until `/readyz` says ok. Raises FleetError."""
    servers.wait_until(api.client.is_ready, f"{api.cluster}'s API server is ready", timeout)
