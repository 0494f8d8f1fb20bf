"""The changelog as releases read it: what is not released yet becomes a version's section, and a section its notes."""

import re
from datetime import date

_SECTION = re.compile(r"^## \[([^\]]+)\].*\n", re.MULTILINE)
_UNRELEASED = "Unreleased"


def read_section(changelog: str, version: str) -> str:
    """A version's text without its heading; empty where it has none."""
    _, *parts = _SECTION.split(changelog)
    return dict(zip(parts[::2], parts[1::2], strict=True)).get(version, "").strip()


def release_section(changelog: str, version: str, day: date) -> str:
    """The changelog with what was unreleased as the version's. Raises ValueError where nothing was written down."""
    if not read_section(changelog, _UNRELEASED):
        raise ValueError(f"CHANGELOG.md says nothing of {version}: write it below ## [{_UNRELEASED}]")
    return changelog.replace(f"## [{_UNRELEASED}]\n", f"## [{_UNRELEASED}]\n\n## [{version}] - {day}\n", 1)
