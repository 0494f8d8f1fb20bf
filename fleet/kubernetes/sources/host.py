"""How the host cluster is reached: a kubeconfig's context, or the service account of the pod this runs in."""

from dataclasses import dataclass
from pathlib import Path

from fleet.aio.detached import Detached
from fleet.aio.files import read_bytes
from fleet.kubernetes.auth.kubeconfig import Access, KubeconfigError, build_kubeconfig, load_access, load_files
from fleet.kubernetes.auth.tls import TlsMaterial
from fleet.kubernetes.sources.access import CredentialError, Reachable, TlsMaterialError, load_reachable

SERVICE_ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


@dataclass(frozen=True)
class HostAccess:
    """The host cluster's address. Without kubeconfig files it is the cluster this process runs in.

    `kubeconfig` files are merged as kubectl merges KUBECONFIG; `context` None means the current one. `endpoint` and
    `service_account` are for the in-cluster way only. The name in the default needs a cluster's DNS, the address that
    Kubernetes gives every pod does not.
    """

    kubeconfig: tuple[Path, ...] = ()
    context: str | None = None
    endpoint: str = "https://kubernetes.default.svc"
    service_account: Path = SERVICE_ACCOUNT


class HostProblemError(ValueError):
    """The host's access can't be read; the message says what to mend."""


async def load_host_access(host: HostAccess, reading: Detached) -> Access:
    """Reads what there is to know, files included. Raises HostProblemError."""
    try:
        return await reading.run(lambda: _load(host))
    except TimeoutError as error:
        files = ", ".join(map(str, host.kubeconfig or [host.service_account]))
        raise HostProblemError(f"{files} can't be read, since it does not answer: is its mount gone?") from error
    except KubeconfigError as error:
        raise HostProblemError(str(error)) from error


async def load_host(name: str, access: Access, timeout: float) -> Reachable:
    """Makes it something to connect to. Raises HostProblemError."""
    try:
        return await load_reachable(f"host cluster {name}", access, timeout)
    except (CredentialError, TlsMaterialError) as error:
        raise HostProblemError(f"host cluster {name}: {error}") from error


def _load(host: HostAccess) -> Access:
    if not host.kubeconfig:
        return _load_service_account(host)
    config = build_kubeconfig(load_files(host.kubeconfig))
    context = host.context or config.current_context
    if config.problems and (context is None or context not in config.contexts):
        raise KubeconfigError("; ".join(config.problems))
    if context is None:
        files = ", ".join(map(str, host.kubeconfig))
        raise KubeconfigError(f"no current-context in {files}: name the host's context")
    return load_access(config, context)


def _load_service_account(host: HostAccess) -> Access:
    # Not kubernetes_asyncio's loader: it reads the environment by itself, names no file in its errors, and gives up on
    # a token file that can't be read for a moment, where ours goes on with the last token.
    authority = host.service_account / "ca.crt"
    try:
        ca = read_bytes(authority)
    except OSError as error:
        raise KubeconfigError(
            f"this process runs in no pod ({authority}: {error.strerror}): name a kubeconfig for the host cluster"
        ) from error
    return Access(endpoint=host.endpoint, tls=TlsMaterial(ca=ca), token_file=host.service_account / "token")
