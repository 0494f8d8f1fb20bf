"""A release of a copy of this tree: what it refuses, what it commits, builds and tags."""

import os
import shutil
import subprocess
import sys
import tarfile
import tomllib
from datetime import date
from pathlib import Path

import pytest
import yaml

from checks.manifests import CHART
from release.changelog import read_section, release_section
from release.versions import ROOT, iter_followers

CHANGELOG = "# Changelog\n\n## [Unreleased]\n\n### Added\n\n- This.\n\n## [0.1.0] - 2026-01-01\n\n- That.\n"
AUTHOR = {f"GIT_{who}_{what}": "somebody" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


class Clone:
    """A repository of its own with the files of this tree as they are now."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        names = subprocess.run(listed, cwd=ROOT, check=True, capture_output=True, text=True).stdout.split("\0")
        for name in filter(None, names):
            if (ROOT / name).is_symlink() or (ROOT / name).exists():
                (folder / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(ROOT / name, folder / name, follow_symlinks=False)
        self.git("init", "--quiet")
        self.commit()

    def git(self, *arguments: str) -> str:
        environment = {**os.environ, **AUTHOR}
        ran = subprocess.run(["git", *arguments], cwd=self.folder, check=True, env=environment, stdout=subprocess.PIPE)
        return ran.stdout.decode()

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "All")

    def release(self, version: str) -> tuple[int, str]:
        command = [sys.executable, "-m", "release", "release", "--without-image", version]
        ran = subprocess.run(
            command, cwd=self.folder, check=False, capture_output=True, text=True, env={**os.environ, **AUTHOR}
        )
        return ran.returncode, ran.stdout + ran.stderr


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory) -> Clone:
    return Clone(tmp_path_factory.mktemp("clone"))


def test_what_is_unreleased_becomes_the_versions() -> None:
    released = release_section(CHANGELOG, "0.2.0", date(2026, 2, 1))
    assert "## [Unreleased]\n\n## [0.2.0] - 2026-02-01\n\n### Added\n\n- This.\n\n## [0.1.0]" in released
    assert read_section(released, "0.2.0") == "### Added\n\n- This."
    assert read_section(released, "Unreleased") == ""
    assert read_section(released, "0.1.0") == "- That."
    with pytest.raises(ValueError, match=r"CHANGELOG.md says nothing of 0.3.0"):
        release_section(released, "0.3.0", date(2026, 2, 2))


@pytest.mark.parametrize(
    ("version", "said"), [("1.2", "no version: three numbers"), ("0.0.9", "older than"), ("v1.2.3", "no version")]
)
def test_what_is_no_next_version_is_refused(clone: Clone, version: str, said: str) -> None:
    status, output = clone.release(version)
    assert (status, said in output) == (1, True), output


def test_a_tree_with_changes_is_refused(clone: Clone) -> None:
    changed = clone.folder / "LICENSE"
    before = changed.read_text()
    changed.write_text("mine")
    status, output = clone.release("7.0.0")
    changed.write_text(before)
    assert (status, "commit or take back" in output, "LICENSE" in output) == (1, True, True), output


@pytest.mark.real
def test_a_release_is_a_commit_files_and_a_tag(clone: Clone) -> None:
    noted = read_section((clone.folder / "CHANGELOG.md").read_text(), "Unreleased")
    status, output = clone.release("7.0.0")
    assert status == 0, output

    built = clone.folder / "build" / "release"
    assert {path.name for path in built.iterdir()} == {
        "openmcp_apiserver-7.0.0-py3-none-any.whl",
        "openmcp-apiserver-7.0.0.tgz",
        "openmcp-apiserver-7.0.0.graphql",
        "release-notes.md",
        "SHA256SUMS",
    }
    subprocess.run(["sha256sum", "--check", "--quiet", "SHA256SUMS"], cwd=built, check=True)
    assert (built / "release-notes.md").read_text().strip() == noted
    with tarfile.open(built / "openmcp-apiserver-7.0.0.tgz") as chart:
        about = yaml.safe_load(chart.extractfile("openmcp-apiserver/Chart.yaml") or "")
        assert (about["version"], about["appVersion"]) == ("7.0.0", "7.0.0")
        assert {f"openmcp-apiserver/{path.relative_to(CHART)}" for path in CHART.glob("files/*")} <= set(
            chart.getnames()
        )

    assert clone.git("log", "-1", "--format=%s").strip() == "Release 7.0.0"
    assert clone.git("status", "--porcelain") == ""
    assert clone.git("rev-parse", "v7.0.0^{commit}") == clone.git("rev-parse", "HEAD")
    assert tomllib.loads((clone.folder / "pyproject.toml").read_text())["project"]["version"] == "7.0.0"
    assert {said for _, said in iter_followers(clone.folder)} == {"7.0.0"}
    schema, baseline = (clone.folder / name for name in ("schema.graphql", "docs/schema-baseline.graphql"))
    assert baseline.read_text() == schema.read_text()

    assert clone.release("7.0.0")[0] == 1, "it is released"
    status, output = clone.release("7.0.1")
    assert (status, "CHANGELOG.md says nothing of 7.0.1" in output) == (1, True), output
