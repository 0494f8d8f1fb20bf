"""Pages of docs/reference/ say what the code says; each code, status and state of an error has a row."""

import re
from collections.abc import Iterable

import pytest

from fleet.model.objects import OutcomeState
from graph.errors import Code
from pages.reference import PAGES, REFERENCE
from rest_compat.errors import _STATUSES


@pytest.mark.parametrize("name", PAGES)
def test_the_page_is_what_the_code_says(name: str) -> None:
    assert (REFERENCE / name).read_text() == PAGES[name](), "run `make reference`"


@pytest.mark.parametrize(
    ("heading", "there"),
    [
        ("Codes of the graph", Code),
        ("Statuses of the other URLs", {str(int(status)) for _, status, _ in _STATUSES}),
        ("How a cluster took part", [state.name for state in OutcomeState]),
    ],
)
def test_each_error_has_its_row(heading: str, there: Iterable[str]) -> None:
    section = (REFERENCE / "errors.md").read_text().partition(f"## {heading}\n")[2].partition("\n## ")[0]
    assert sorted(re.findall(r"^\| `?(\w+)`? \| (?!What)", section, re.MULTILINE)) == sorted(there)
