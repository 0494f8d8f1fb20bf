"""The image, built by buildah without a daemon over a Debian of mmdebstrap; the same layers from the same commit.

What takes long is kept in the cache of the real servers: Debian's tools, and the layers that did not change.
"""

import hashlib
import os
import subprocess
import sys
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

from realfleet.build import build_once
from realfleet.cache import cache_root, find_packaged
from release.versions import ROOT, read_version
from release.wheel import build_wheel, find_epoch, find_revision

_SUITE = "bookworm"
_TOOLS = "binutils,ca-certificates,python3.11-venv"
_UNREAD = ("/usr/share/doc/*", "/usr/share/locale/*", "/usr/share/man/*")
_BASE = "localhost/openmcp-apiserver-base"
_AUTHORITY = "/run/authority.crt"


def build_image(folder: Path, *, fresh: bool = False) -> Path:
    """Builds an OCI archive into the folder; `fresh` uses no layer of before, and so the newest packages of Debian.

    A minute and a half on two cores from nothing, ten seconds where only the wheel is new. Raises MissingServersError
    for a program that is not there, CalledProcessError where one fails.
    """
    version = read_version()
    build_wheel(ROOT / "build")
    if not fresh:
        return _build_in(cache_root() / f"image-{_digest_of_sources()}", folder, version)
    with TemporaryDirectory(prefix="image-", dir=cache_root()) as empty:
        return _build_in(Path(empty), folder, version)


def _build_in(storage: Path, folder: Path, version: str) -> Path:
    """The layers of builds stay in the storage."""
    storage.mkdir(parents=True, exist_ok=True)
    buildah = partial(_run, str(find_packaged("buildah", "buildah")), "--root", storage, "--runroot", storage / "run")
    if buildah("inspect", "--type", "image", _BASE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False):
        _import_base(buildah)
    arguments = {"BASE": _BASE, "VERSION": version, "REVISION": find_revision(), "CREATED": _created()}
    volumes = []
    if authority := os.environ.get("PIP_CERT"):
        arguments["PIP_CERT"], volumes = _AUTHORITY, ["--volume", f"{authority}:{_AUTHORITY}:ro"]
    built = folder / "image-id"
    buildah(
        *("bud", "--quiet", "--isolation", "chroot", "--layers", "--timestamp", "0", "--format", "oci", *volumes),
        *(word for key, value in arguments.items() for word in ("--build-arg", f"{key}={value}")),
        *("--iidfile", built, ROOT),
    )
    archive = folder / f"openmcp-apiserver-{version}.oci.tar"
    archive.unlink(missing_ok=True)
    name = f"oci-archive:{archive}:openmcp-apiserver:{version}"
    buildah("push", "--quiet", "--format", "oci", built.read_text(), name)
    built.unlink()
    return archive


def build_base() -> Path:
    """Debian with what the build stage runs, made once. Raises as `build_image`."""
    key = hashlib.sha256(f"{_SUITE} {_TOOLS} {_UNREAD}".encode()).hexdigest()[:12]
    return build_once(cache_root() / f"image-base-{_SUITE}-{key}", _bootstrap) / "base.tar"


def _bootstrap(staging: Path) -> None:
    options = ["force-unsafe-io", *(f"path-exclude={path}" for path in _UNREAD)]
    _run(
        *(str(find_packaged("mmdebstrap", "mmdebstrap")), "--quiet", "--variant", "minbase", "--include", _TOOLS),
        *(f"--dpkgopt={option}" for option in options),
        *(_SUITE, staging / "base.tar"),
    )


def _import_base(buildah: "partial[int]") -> None:
    container = f"base-{os.getpid()}"
    buildah("from", "--name", container, "scratch", stdout=subprocess.DEVNULL)
    buildah("add", "--quiet", container, build_base(), "/")
    buildah("commit", "--quiet", "--rm", container, _BASE, stdout=subprocess.DEVNULL)


def _digest_of_sources() -> str:
    digest = hashlib.sha256()
    for path in sorted([ROOT / "Dockerfile", *(ROOT / "image").iterdir()]):
        digest.update(path.read_bytes())
    return digest.hexdigest()[:12]


def _created() -> str:
    return datetime.fromtimestamp(int(find_epoch()), UTC).isoformat().replace("+00:00", "Z")


def _run(*command: "str | Path", check: bool = True, stdout: int | None = None, stderr: int | None = None) -> int:
    """The exit status; what the program says goes to standard error."""
    shown = sys.stderr.fileno() if stdout is None else stdout
    return subprocess.run(command, check=check, stdout=shown, stderr=stderr).returncode
