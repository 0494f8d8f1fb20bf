"""The `extensions` of a request, of an answer and of an error."""

import json
from typing import Any

import pytest
from graphql import GraphQLError

from fleet.model.errors import InvalidQuery
from fleet.model.visibility import NOBODY
from graph.errors import present_error
from graph.extensions import Asked, read_asked
from graph.limits.errors import LimitExceeded
from tests.graph.conftest import OpenGraph
from tests.graph.http.test_served import ME, open_served, send


@pytest.mark.parametrize(
    ("headers", "given", "asked"),
    [
        ({}, None, Asked()),
        ({"x-explain": "true"}, None, Asked(explain=True)),
        ({"x-explain": " TRUE "}, {}, Asked(explain=True)),
        ({"x-cost": "true"}, {"explain": True}, Asked(explain=True, cost=True)),
        ({"x-explain": "true"}, {"explain": False}, Asked()),
        ({"x-explain": "false"}, {"explain": None, "persistedQuery": {"version": 1}}, Asked()),
    ],
)
def test_a_request_asks_by_header_or_extension(headers: dict[str, str], given: Any, asked: Asked) -> None:
    assert read_asked(headers, given) == asked


@pytest.mark.parametrize(
    ("headers", "given", "words"),
    [
        ({"x-explain": "1"}, None, "X-Explain is true or false"),
        ({"x-cost": ""}, None, "X-Cost is true or false"),
        ({}, {"cost": "true"}, "`extensions.cost` is true or false"),
    ],
)
def test_anything_but_true_and_false_is_refused(headers: dict[str, str], given: Any, words: str) -> None:
    with pytest.raises(InvalidQuery, match=words):
        read_asked(headers, given)


async def test_a_wrong_flag_is_a_bad_request(open_graph: OpenGraph) -> None:
    async with open_graph("c1") as graph, open_served(graph) as session:
        by_header = await send(session, "POST", "/graphql", json={"query": ME}, headers={"X-Explain": "yes"})
        asked = {"query": ME, "extensions": json.dumps({"cost": 1})}
        by_extension = await send(session, "GET", "/graphql", params=asked)
        assert (by_header.status, by_extension.status) == (400, 400)
        assert "X-Explain is true or false" in await by_header.text()
        assert "`extensions.cost` is true or false" in await by_extension.text()


class Weighed(InvalidQuery):
    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.details = {"estimate": 12, "code": "MINE"}


@pytest.mark.parametrize("wrap", [lambda error: error, lambda error: GraphQLError("raw", original_error=error)])
def test_a_limit_keeps_its_details_beside_the_code(wrap: Any) -> None:
    presented = present_error(wrap(LimitExceeded("too much", details={"estimate": 12, "limit": 10})), NOBODY)
    assert presented.message == "too much"
    assert presented.extensions == {"code": "COST_EXCEEDED", "estimate": 12, "limit": 10}


def test_details_never_replace_the_code() -> None:
    presented = present_error(GraphQLError("raw", original_error=Weighed("heavy")), NOBODY)
    assert presented.extensions == {"code": "BAD_USER_INPUT", "estimate": 12}
