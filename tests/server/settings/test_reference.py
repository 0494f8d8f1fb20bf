"""`docs/reference/configuration.md` is what the code says."""

from pathlib import Path

from server.settings.reference import build_reference

DOCUMENT = Path(__file__).parents[3] / "docs" / "reference" / "configuration.md"
MARK = "<!-- from here on: the output of `python -m server.settings.reference` -->\n\n"


def test_the_table_of_settings_is_what_the_code_says() -> None:
    written = DOCUMENT.read_text().split(MARK)

    assert written[1:] == [build_reference()], "put the output of python -m server.settings.reference below the mark"
