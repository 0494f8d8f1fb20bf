"""`docs/contributing/metric-store-cases.md` names, for each case and store, tests that are there and run against it."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fleet.metrics.stores import STORES

FOLDER = Path(__file__).parent
ROOT = FOLDER.parents[2]
DOCUMENT = ROOT / "docs" / "contributing" / "metric-store-cases.md"
OF_ONE_STORE = {"embedded/test_store.py": "embedded", "embedded/test_tiers.py": "embedded"}
EVERY_STORE = ("test_contract.py", "test_placements.py", "test_legacy_answers.py")


def read_table() -> dict[str, dict[str, list[str]]]:
    """The tests of each cell, by case and store; an empty list is a dash."""
    lines = [line for line in DOCUMENT.read_text().splitlines() if line.startswith("|")]
    names, *rows = ([cell.strip() for cell in line.strip("|").split(" | ")] for line in lines)
    return {
        case: {
            store: [] if cell == "-" else re.findall(r"`([^`]+)`", cell)
            for store, cell in zip(names[1:], cells, strict=True)
        }
        for case, *cells in rows
        if not case.startswith("---")
    }


@pytest.fixture(scope="module")
def collected() -> list[str]:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-p", "no:cacheprovider", str(FOLDER)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True, timeout=120)
    return [line.removeprefix("tests/fleet/metrics/") for line in done.stdout.splitlines() if "::" in line]


def runs_against(test: str, store: str, collected: list[str]) -> bool:
    file = test.partition("::")[0]
    alone_of = "prometheus" if file.startswith("prometheus/") else "flux"
    runs = [item for item in collected if item == test or item.startswith(f"{test}[")]
    if file in OF_ONE_STORE:
        return bool(runs) and OF_ONE_STORE[file] == store
    alone = [item for item in runs if not any(re.search(rf"[\[-]{other}[\]-]", item) for other in STORES)]
    return any(re.search(rf"[\[-]{store}[\]-]", item) for item in runs) or (bool(alone) and store == alone_of)


def test_each_cell_names_tests_that_run_against_its_store(collected: list[str]) -> None:
    table = read_table()
    assert len(table) > 20
    for case, cells in table.items():
        assert set(cells) == set(STORES)
        assert any(cells.values()), case
        for store, tests in cells.items():
            assert all(runs_against(test, store, collected) for test in tests), (case, store)


def test_every_case_of_all_stores_is_in_the_table(collected: list[str]) -> None:
    named = {test for cells in read_table().values() for tests in cells.values() for test in tests}
    cases = {item.partition("[")[0] for item in collected if item.startswith(EVERY_STORE)}
    assert cases
    assert cases <= named
