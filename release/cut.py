"""A release: the commit that says its version, what others run of it, and last of all the tag.

A release that ended half-way goes on where it was: what is there is not done again.
"""

import hashlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path

from realfleet.build_clients import find_client
from release.changelog import read_section, release_section
from release.image import build_image
from release.sbom import write_bill
from release.versions import ROOT, read_version, write_version
from release.wheel import build_wheel, git

_CHANGELOG = ROOT / "CHANGELOG.md"
_CHART = ROOT / "k8s" / "chart" / "openmcp-apiserver"
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")


class ReleaseRefusedError(Exception):
    """There can be no release of that version from this tree; the message says why, and what to do."""


def commit_release(version: str) -> None:
    """Commits what a release changes, unless that is there. Raises ReleaseRefusedError."""
    _refuse(version)
    if read_version() == version and read_section(_CHANGELOG.read_text(), version):
        return
    try:
        changelog = release_section(_CHANGELOG.read_text(), version, datetime.now(UTC).date())
    except ValueError as error:
        raise ReleaseRefusedError(str(error)) from error
    _CHANGELOG.write_text(changelog)
    write_version(version)
    shutil.copy(ROOT / "schema.graphql", ROOT / "docs" / "schema-baseline.graphql")
    subprocess.run([sys.executable, "-m", "checks.manifests"], cwd=ROOT, check=True)
    git("commit", "--all", "--quiet", "--message", f"Release {version}", root=ROOT)


def build_release(folder: Path, version: str, *, image: bool = True) -> list[Path]:
    """Builds into the folder, which is emptied first, and writes SHA256SUMS; an image takes minutes."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    build_wheel(folder)
    if image:
        write_bill(build_image(folder, fresh=True))
    helm = str(find_client("helm"))
    subprocess.run([helm, "package", str(_CHART), "--destination", str(folder)], check=True, stdout=sys.stderr)
    shutil.copy(ROOT / "schema.graphql", folder / f"openmcp-apiserver-{version}.graphql")
    (folder / "release-notes.md").write_text(read_section(_CHANGELOG.read_text(), version) + "\n")
    files = sorted(folder.iterdir())
    (folder / "SHA256SUMS").write_text(_sum(files))
    return [*files, folder / "SHA256SUMS"]


def tag_release(version: str) -> None:
    notes = read_section(_CHANGELOG.read_text(), version)
    message = f"openmcp-apiserver {version}\n\n{notes}"
    git("tag", "--annotate", "--cleanup", "verbatim", f"v{version}", "--message", message, root=ROOT)


def _refuse(version: str) -> None:
    wanted, now = _VERSION.fullmatch(version), _VERSION.fullmatch(read_version())
    if wanted is None:
        raise ReleaseRefusedError(f"{version!r} is no version: three numbers as in 1.2.3")
    if now is not None and tuple(map(int, wanted.groups())) < tuple(map(int, now.groups())):
        raise ReleaseRefusedError(f"{version} is older than {now[0]}, which pyproject.toml has")
    if git("tag", "--list", f"v{version}", root=ROOT):
        raise ReleaseRefusedError(f"the tag v{version} is there: {version} is released, take the next number")
    if changed := git("status", "--porcelain", root=ROOT):
        raise ReleaseRefusedError(f"commit or take back what is changed first:\n{changed}")


def _sum(files: Iterable[Path]) -> str:
    """As `sha256sum --check` reads it."""
    return "".join(f"{hashlib.sha256(path.read_bytes()).hexdigest()}  {path.name}\n" for path in files)
