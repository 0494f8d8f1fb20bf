"""The README is short, its picture small, and the Korean one beside it says the same."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
README, KOREAN = (ROOT / name for name in ("README.md", "README.ko.md"))
CODE = re.compile(r"`[^`\n]+`|^\.venv/bin/\S+ \w+|^export .+", re.MULTILINE)


def test_it_is_read_in_a_minute() -> None:
    assert len(README.read_text().splitlines()) <= 75


def test_its_picture_loads_at_once() -> None:
    pictures = [ROOT / name for name in re.findall(r"!\[[^\]]+\]\(([^)]+)\)", README.read_text())]
    assert [picture.stat().st_size < 300_000 for picture in pictures] == [True]


@pytest.mark.parametrize(
    "part",
    [
        re.compile(r"^(?:#+ |\|)", re.MULTILINE),  # headings and rows
        re.compile(r"\]\((?!README)([^)]+)\)"),
        CODE,
    ],
)
def test_both_languages_say_the_same(part: re.Pattern[str]) -> None:
    assert sorted(part.findall(KOREAN.read_text())) == sorted(part.findall(README.read_text()))
