"""What pages other than the cookbook ask is answered by the real fleet."""

import re

import pytest

from tests.acceptance.commands import PAGES
from tests.processes import RunningServer

pytestmark = pytest.mark.real

READ_ELSEWHERE = ("cookbook.md", "web-clients.md")
QUERIES = [
    (page.name, query)
    for page in PAGES
    if page.name not in READ_ELSEWHERE
    for query in re.findall(r"^```graphql\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)
]


@pytest.mark.parametrize(("name", "query"), QUERIES, ids=[name for name, _ in QUERIES])
async def test_queries_are_answered(name: str, query: str, served: RunningServer, token: str) -> None:
    assert "errors" not in await served.ask(token, query), name
