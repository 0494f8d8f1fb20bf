"""Tables of faults have a row for each that is tested, with what the tests hold it to."""

import re
from pathlib import Path

import pytest

from tests.faults import test_members, test_watches
from tests.fleet.metrics import test_bad_lines

ROOT = Path(__file__).parents[2]


def read_rows(heading: str) -> list[list[str]]:
    """The cells of a table below a heading, without its head."""
    text = (ROOT / "docs" / "explanation" / "reliability.md").read_text()
    section = re.split(rf"\n##+ {heading}\n", text)[1].partition("\n#")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in row] for row in rows[2:]]


def test_members_have_each_fault_and_what_is_seen() -> None:
    expected = [
        [fault, ", ".join(states), ", ".join(map(str, statuses))]
        for fault, (states, statuses) in test_members.ROWS.items()
    ]
    assert [row[:3] for row in read_rows("Members")] == expected


@pytest.mark.parametrize(
    ("heading", "faults"), [("Watches", test_watches.ROWS), ("Metric stores", test_bad_lines.FAULTS)]
)
def test_each_fault_has_a_row(heading: str, faults: "dict[str, object] | tuple[str, ...]") -> None:
    assert sorted(row[0] for row in read_rows(heading)) == sorted(faults)
