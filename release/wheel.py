"""The wheel, the same bytes from the same commit."""

import os
import subprocess
import sys
from pathlib import Path

from release.versions import ROOT, read_version


def find_epoch(root: Path = ROOT) -> str:
    """When the commit was made, in seconds: the time of all that is built from it."""
    return git("log", "-1", "--format=%ct", root=root)


def find_revision(root: Path = ROOT) -> str:
    return git("rev-parse", "HEAD", root=root)


def git(*arguments: str, root: Path = ROOT) -> str:
    """What git says. Raises CalledProcessError."""
    return subprocess.run(["git", *arguments], cwd=root, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()


def build_wheel(folder: Path, root: Path = ROOT) -> Path:
    """Builds the wheel into the folder. Raises CalledProcessError."""
    subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)],
        cwd=root,
        check=True,
        stdout=sys.stderr,
        env={**os.environ, "SOURCE_DATE_EPOCH": find_epoch(root)},
    )
    return folder / f"openmcp_apiserver-{read_version(root)}-py3-none-any.whl"
