"""`docs/contributing/shown-by.md` has the rows of users' tables with tests that exist; users' pages name no test."""

import re
from pathlib import Path

import pytest

from pages.site import DOCS, ROOT
from tests.docs.test_pages import page_id

SECTIONS = re.findall(
    r"^## \[[^\]]+\]\(\.\./([^)]+)\)\n(.*?)(?=^## |\Z)",
    (DOCS / "contributing" / "shown-by.md").read_text(),
    re.MULTILINE | re.DOTALL,
)
TABLES = [
    (page, heading, rows)
    for page, section in SECTIONS
    for heading, rows in re.findall(r"^### (.+)\n\n((?:\|.*\n?)+)", section, re.MULTILINE)
]
FOR_USERS = [page for shelf in ("*", "how-to/*", "reference/*", "explanation/*") for page in DOCS.glob(f"{shelf}.md")]


def read_keys(table: str) -> list[str]:
    """What each row is about: its first cell that is not empty."""
    return [
        re.sub(r"^\|\s*(?:\|\s*)?", "", row).removesuffix(" |").partition(" | ")[0] for row in table.splitlines()[2:]
    ]


@pytest.mark.parametrize(("page", "heading", "rows"), TABLES, ids=[f"{page} {heading}" for page, heading, _ in TABLES])
def test_rows_are_those_of_the_page(page: str, heading: str, rows: str) -> None:
    section = re.split(rf"^##+ {re.escape(heading)}\n", (DOCS / page).read_text(), flags=re.MULTILINE)[1]
    tables = re.findall(r"(?:^\|.*\n?)+", section, re.MULTILINE)
    assert read_keys(rows) in [read_keys(table) for table in tables]


@pytest.mark.parametrize(("page", "heading", "rows"), TABLES, ids=[f"{page} {heading}" for page, heading, _ in TABLES])
def test_each_row_names_tests_that_exist(page: str, heading: str, rows: str) -> None:
    for row in rows.splitlines()[2:]:
        named = re.findall(r"`([\w/]+\.py)(?:::(\w+))?`", row.rsplit("|", 2)[1])
        assert named, f"{page}, {heading}: {row}"
        for path, name in named:
            file = next(file for file in (ROOT / path, ROOT / "tests" / path) if file.exists())
            assert not name or f"def {name}(" in file.read_text(), f"{path}::{name}"


@pytest.mark.parametrize("page", FOR_USERS, ids=page_id)
def test_users_are_told_of_no_test_and_no_benchmark(page: Path) -> None:
    text = re.sub(r"<!--.*?-->|\]\([^)]*\)", "", page.read_text(), flags=re.DOTALL)
    assert re.findall(r"tests/\w+|`test_\w+|(?:make|python -m) bench\b.*", text) == []


@pytest.mark.parametrize("page", sorted(DOCS.glob("contributing/*.md")), ids=page_id)
def test_pages_for_contributors_say_so(page: Path) -> None:
    assert "For contributors" in page.read_text().partition("\n\n")[2].partition("\n\n")[0]
