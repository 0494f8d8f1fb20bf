"""What shows the rows of `docs/reference/compatibility.md` are tests that exist, all of the contract among them."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
PAGE = (TESTS.parent / "docs" / "contributing" / "shown-by.md").read_text().split("\n## ")[1]
NAMED = re.compile(r"`([a-z_0-9/]+\.py)::(test_\w+)`")


def _rows() -> list[str]:
    return [line for line in PAGE.splitlines() if line.startswith("| ") and not line.endswith("| shown by |")]


def _tests_of(file: str) -> set[str]:
    tree = ast.parse((TESTS / file).read_text())
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return {node.name for node in tree.body if isinstance(node, kinds) and node.name.startswith("test_")}


@pytest.mark.parametrize("row", _rows(), ids=lambda row: row[:60])
def test_every_row_names_tests_that_exist(row: str) -> None:
    named = NAMED.findall(row.rsplit("|", 2)[1])
    assert named, "a row without a test"
    assert [f"{file}::{name}" for file, name in named if name not in _tests_of(file)] == []


@pytest.mark.parametrize("name", ["must", "clients", "defects"])
def test_every_test_of_the_contract_is_on_the_page(name: str) -> None:
    file = f"rest_compat/test_contract_{name}.py"
    assert _tests_of(file) - {test for at, test in NAMED.findall(PAGE) if at == file} == set()
