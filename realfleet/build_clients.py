"""Builds clients of Kubernetes that tests run through the server: a small program on client-go, and Helm."""

import hashlib
from pathlib import Path

from realfleet.build import build_once, find_go, run_go
from realfleet.cache import MissingServersError, cache_root

HELM_VERSION = "4.3.1"

_SOURCES = Path(__file__).parent / "gocaller"
_SOURCE_NAMES = ("go.mod", "go.sum", "main.go")


def clients_folder(root: Path | None = None) -> Path:
    """The folder of this build: another version or another line of the sources is another folder."""
    digest = hashlib.sha256()
    for name in _SOURCE_NAMES:
        digest.update((_SOURCES / name).read_bytes())
    return (root or cache_root()) / f"clients-helm-{HELM_VERSION}-{digest.hexdigest()[:12]}"


def find_client(name: str) -> Path:
    """`gocaller` or `helm` as `build_clients` left it. Raises MissingServersError."""
    found = clients_folder() / name
    if not found.is_file():
        raise MissingServersError(f"{name} is not built in {found.parent}")
    return found


def build_clients() -> Path:
    """Builds what is not there and gives the folder; a second call does nothing. Raises MissingServersError.

    Two minutes from cold on two cores, nearly all of them Helm's.
    """
    return build_once(clients_folder(), _build_into)


def _build_into(staging: Path) -> None:
    go, flags = find_go(), ["-trimpath", "-ldflags", "-s -w"]
    print(f"building clients on client-go, Helm {HELM_VERSION} among them", flush=True)
    run_go([go, "build", *flags, "-o", str(staging / "gocaller"), "."], cwd=_SOURCES)
    helm = f"helm.sh/helm/v4/cmd/helm@v{HELM_VERSION}"
    run_go([go, "install", *flags, helm], cwd=staging, GOBIN=str(staging))
