"""Builds the real servers from the Go module proxy into the cache, once."""

import fcntl
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from realfleet.cache import (
    CONTROLPLANE_SOURCES,
    KUBERNETES_VERSION,
    KWOK_VERSION,
    MissingServersError,
    build_folder,
    list_missing,
)

_KUBECTL = """#!/bin/sh
exec "$(dirname "$(readlink -f "$0")")/controlplane" kubectl "$@"
"""


def build_servers() -> Path:
    """Builds what is not there and gives the folder; a second call does nothing. Raises MissingServersError.

    A cold build takes up to ten minutes on two cores and is said so; two calls at once build one time.
    """
    folder = build_once(build_folder(), _build_into)
    if missing := list_missing(folder):
        raise MissingServersError("; ".join(missing))
    return folder


def _build_into(staging: Path) -> None:
    go = find_go()
    _build_controlplane(go, staging)
    _build_kwok(go, staging)
    kubectl = staging / "kubectl"
    kubectl.write_text(_KUBECTL)
    kubectl.chmod(0o755)


def _build_controlplane(go: str, staging: Path) -> None:
    major, minor, _ = KUBERNETES_VERSION.split(".")
    version = "k8s.io/component-base/version"
    flags = {"gitVersion": f"v{KUBERNETES_VERSION}", "gitMajor": major, "gitMinor": minor}
    linker = " ".join(["-s", "-w", *(f"-X {version}.{name}={value}" for name, value in flags.items())])
    print(f"building Kubernetes {KUBERNETES_VERSION}: minutes the first time", flush=True)
    target = staging / "controlplane"
    run_go([go, "build", "-trimpath", "-ldflags", linker, "-o", str(target), "."], cwd=CONTROLPLANE_SOURCES)


def _build_kwok(go: str, staging: Path) -> None:
    print(f"building kwok {KWOK_VERSION}", flush=True)
    run_go([go, "install", f"sigs.k8s.io/kwok/cmd/kwok@v{KWOK_VERSION}"], cwd=staging, GOBIN=str(staging))


def build_once(folder: Path, build: Callable[[Path], None]) -> Path:
    """Has `build` fill the folder, unless it is there.

    It fills one beside it, which is then renamed: a folder that exists is whole. What a killed build left there goes.
    """
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with _locked(folder.parent / f"{folder.name}.lock"):
        if not folder.is_dir():
            staging = folder.parent / f".building-{folder.name}"
            shutil.rmtree(staging, ignore_errors=True)
            staging.mkdir()
            try:
                build(staging)
                staging.rename(folder)
            finally:
                shutil.rmtree(staging, ignore_errors=True)
    return folder


def find_go() -> str:
    """Go's path. Raises MissingServersError."""
    go = shutil.which("go")
    if go is None:
        raise MissingServersError("go is not installed: install Go 1.26 or newer (https://go.dev/doc/install)")
    return go


def run_go(command: list[str], cwd: Path, **environment: str) -> None:
    """Runs Go with nothing of the caller's flags but the module proxy. Raises MissingServersError."""
    settings = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "-buildvcs=false", "GOWORK": "off"} | environment
    done = subprocess.run(command, cwd=cwd, env=settings, check=False)
    if done.returncode != 0:
        raise MissingServersError(
            f"`{' '.join(command[:2])}` failed with exit code {done.returncode}; see its lines above"
        )


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Holds the file's lock; the kernel lets it go when the process dies."""
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
