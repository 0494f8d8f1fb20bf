"""The version: `pyproject.toml` has it, and whatever else says it follows."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]

_OWN = re.compile(r'^(version = ")([^"]+)(")$', re.MULTILINE)
_FOLLOWERS = (
    ("k8s/**/Chart.yaml", re.compile(r"^(version: )(\S+)()$", re.MULTILINE)),
    ("k8s/**/Chart.yaml", re.compile(r'^(appVersion: "?)([^"\s]+)("?)$', re.MULTILINE)),
    ("docs/how-to/image.md", re.compile(r"(\bopenmcp-apiserver:|VERSION=)(\d[\w.-]*)()")),
    ("k8s/**/*.yaml", re.compile(r"(\bopenmcp-apiserver:)(\d[\w.-]*)()")),
)


def read_version(root: Path = ROOT) -> str:
    version: str = tomllib.loads((root / "pyproject.toml").read_text())["project"]["version"]
    return version


def iter_followers(root: Path = ROOT) -> Iterator[tuple[Path, str]]:
    """Each place that says the version, and what it says."""
    for glob, pattern in _FOLLOWERS:
        for path in sorted(root.glob(glob)):
            for match in pattern.finditer(path.read_text()):
                yield path, match[2]


def write_version(version: str, root: Path = ROOT) -> None:
    """Writes it in its one place and where it is followed."""
    for glob, pattern in (("pyproject.toml", _OWN), *_FOLLOWERS):
        for path in sorted(root.glob(glob)):
            path.write_text(pattern.sub(rf"\g<1>{version}\g<3>", path.read_text()))
