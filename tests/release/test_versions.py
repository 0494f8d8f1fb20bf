"""One version, in one place, and one lock of what the product needs."""

import re
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from release.versions import ROOT, iter_followers, read_version, write_version

PINNED = re.compile(r"^([\w.-]+)(?:\[.*?\])?==([^ ;\\]+)", re.MULTILINE)


def read_lock(path: Path) -> dict[str, str]:
    return {canonicalize_name(name): version for name, version in PINNED.findall(path.read_text())}


def test_whatever_says_the_version_says_the_same() -> None:
    followers = list(iter_followers())
    assert followers
    assert [(str(path), said) for path, said in followers if said != read_version()] == []


def test_it_is_written_wherever_it_is_followed(tmp_path: Path) -> None:
    for path in {path for path, _ in iter_followers()} | {ROOT / "pyproject.toml"}:
        copy = tmp_path / path.relative_to(ROOT)
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(path.read_text())

    write_version("12.3.4", tmp_path)

    assert read_version(tmp_path) == "12.3.4"
    assert {said for _, said in iter_followers(tmp_path)} == {"12.3.4"}
    written = tomllib.loads((tmp_path / "pyproject.toml").read_text())
    assert written == tomllib.loads((ROOT / "pyproject.toml").read_text()) | {
        "project": written["project"] | {"version": "12.3.4"}
    }


def test_the_image_has_the_libraries_that_are_tested_and_no_others() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = {canonicalize_name(Requirement(text).name) for text in project["dependencies"]}
    tested, image = read_lock(ROOT / "requirements.lock"), read_lock(ROOT / "image" / "requirements.lock")
    assert wanted <= set(image), "run make lock"
    assert {name: tested.get(name) for name in image} == image, "run make lock"
    assert not {"pytest", "mypy", "ruff"} & set(image)
