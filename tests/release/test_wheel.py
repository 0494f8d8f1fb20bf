"""The wheel as a stranger gets it: what is in it, and that the same commit gives the same bytes."""

import re
import zipfile
from email import message_from_string
from email.message import Message
from pathlib import Path

import pytest

from release.wheel import build_wheel


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    return set(zipfile.ZipFile(wheel).namelist())


@pytest.fixture(scope="module")
def metadata(wheel: Path, names: set[str]) -> Message:
    (name,) = (name for name in names if name.endswith(".dist-info/METADATA"))
    return message_from_string(zipfile.ZipFile(wheel).read(name).decode())


def test_it_says_whose_it_is_and_under_which_licence(names: set[str], metadata: Message) -> None:
    folder = f"openmcp_apiserver-{metadata['Version']}.dist-info/licenses"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert all(metadata[key] for key in ("Author", "Summary", "Project-URL", "Classifier", "Keywords"))
    assert {f"{folder}/LICENSE", f"{folder}/NOTICE"} <= names


def test_its_description_leads_nowhere_that_only_a_clone_has(metadata: Message) -> None:
    description = str(metadata.get_payload())
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert "# openmcp-apiserver" in description
    assert re.findall(r"\]\((?!https?:)[^)]*\)", description) == []


def test_it_holds_the_page_and_not_what_that_is_built_from(names: set[str]) -> None:
    page = {name.removeprefix("graph/graphiql/") for name in names if name.startswith("graph/graphiql/")}
    assert "static/graphiql.js.br" in page
    assert {name for name in page if not name.startswith("static/")} == {"page.html"}
    assert {name.partition("/")[0] for name in names if ".dist-info/" not in name} == {
        "auth",
        "demo",
        "fleet",
        "graph",
        "rest_compat",
        "server",
    }


def test_the_same_commit_gives_the_same_bytes(wheel: Path, tmp_path: Path) -> None:
    assert build_wheel(tmp_path).read_bytes() == wheel.read_bytes()
