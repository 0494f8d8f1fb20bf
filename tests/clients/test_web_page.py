"""`docs/how-to/web-clients.md`: its examples run as they are printed, and the tests that show more exist."""

import re
from pathlib import Path

import pytest

from tests.clients.npm import SOURCES
from tests.clients.running import Node
from tests.processes import RunningServer

PAGE = (SOURCES.parents[1] / "docs" / "how-to" / "web-clients.md").read_text()
EXAMPLES = dict(re.findall(r"^```js (\w+)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL))
ADDRESS = "http://127.0.0.1:8080"
NUMBER = r"\d+(\.\d+(e-\d+)?)?"
POD = r"ADDED [a-z0-9-]+ [A-Z]\w+"

PRINTED = {
    "apollo": [rf"cluster\d [a-z0-9-]+ {NUMBER}"] * 3 + [POD] * 3,
    "urql": [rf"[a-z0-9-]+ [A-Z]\w+ ({NUMBER}|undefined)"] * 3 + [r"ADDED (openmcp|cluster\d) [A-Z_]+"] * 3,
    "fetch": [r"(openmcp|cluster\d) [A-Z_]+ \[.*\]"] * 4 + [POD] * 3,
}


FIRST_TOKEN_DOES_NOT_COUNT = """
const given = globalThis.fetch;
let first = true;
globalThis.fetch = async (url, options) => {
  const answer = await given(url, options);
  if (!first || !String(url).endsWith('/token')) return answer;
  first = false;
  return Response.json({ token: 'ended' });
};
"""


@pytest.mark.parametrize("before", ["", FIRST_TOKEN_DOES_NOT_COUNT], ids=["as it is", "with a token that has ended"])
@pytest.mark.parametrize("name", sorted(PRINTED))
async def test_the_example_runs_as_printed(node: Node, demo: RunningServer, name: str, before: str) -> None:
    assert EXAMPLES[name].count(ADDRESS) == 1
    printed = await node.print(node.place(f"{name}.mjs", before + EXAMPLES[name].replace(ADDRESS, demo.url)))
    lines = printed.splitlines()
    assert len(lines) == len(PRINTED[name]), printed
    assert [line for line, form in zip(lines, PRINTED[name], strict=True) if not re.fullmatch(form, line)] == []


def test_every_example_has_its_test() -> None:
    assert sorted(EXAMPLES) == sorted(PRINTED)


def test_the_table_names_tests_that_exist() -> None:
    page = SOURCES.parents[1] / "docs" / "contributing" / "shown-by.md"
    table = page.read_text().partition("## [Web clients]")[2]
    named = set(re.findall(r"`(test_\w+)`", table))
    known = {
        name for path in Path(SOURCES).glob("test_*.py") for name in re.findall(r"def (test_\w+)\(", path.read_text())
    }
    assert len(named) >= 10
    assert named - known == set()
