"""Each tab that GraphiQL opens with runs on the demo without an error."""

import re

import pytest

from tests.acceptance.cookbook import COOKBOOK
from tests.acceptance.subscribing import over_events
from tests.processes import RunningServer

OPENING = COOKBOOK.parents[2] / "graph" / "graphiql" / "src" / "opening.js"
QUERIES = re.findall(r"^const \w+ = `(#.*?)`;", OPENING.read_text(), re.MULTILINE | re.DOTALL)


def test_every_tab_is_read_and_the_first_is_the_fleet() -> None:
    assert len(QUERIES) == OPENING.read_text().count("{ query: ") == 6
    assert "query Fleet" in QUERIES[0]


@pytest.mark.parametrize("query", QUERIES)
async def test_the_demo_answers_each_tab(demo: RunningServer, query: str) -> None:
    if "\nsubscription " in query:
        async with over_events(demo, await demo.sign_in(), query) as take:
            assert (await take())["data"]
        return
    body = await demo.ask(await demo.sign_in(), query, None, {"explain": True, "cost": True})
    assert "errors" not in body, body
    assert body["data"]
    assert {"explain", "cost"} <= set(body["extensions"])  # type: ignore[call-overload]
