"""Questions are asked as their way says, and are what the graph takes."""

from collections import defaultdict
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import orjson
import pytest
from graphql import build_schema, get_operation_ast, parse, validate
from graphql.execution.values import get_variable_values

from bench.load import fetch
from bench.questions import Question, Way, count_near
from bench.rows import lists, pod_page, portal, usage
from bench.servers import Running
from demo.simulator.population import DOCUMENTED_POD

SERVER = Running("http://127.0.0.1:1", "token", 1, Path("none"))
SCHEMA = build_schema(Path("schema.graphql").read_text())
WAYS = (Way.REMEMBERED, Way.NEW_TEXT, Way.VARIABLES)
POD = {"place": {"name": "cluster1"}, "namespace": "default", "name": DOCUMENTED_POD}


def iter_questions() -> Iterator[Question]:
    yield from (subject.question for subject in pod_page.build_subjects([POD]))
    yield from (page.question for page in portal.build_pages(defaultdict(list)))
    yield from (lists.PAGE, usage.USAGE, usage.HISTORY)


def ask(question: Question, way: Way, count: int) -> list[bytes]:
    return [request.body for request in islice(question.iter_asks(way, SERVER), count)]


@pytest.mark.parametrize(
    ("way", "different"), [(Way.REMEMBERED, 1), (Way.CHURN, 1), (Way.NEW_TEXT, 30), (Way.VARIABLES, 30)]
)
@pytest.mark.parametrize("question", [pod_page.build_page(100, "@name"), portal.DASHBOARD, usage.HISTORY])
def test_only_what_is_to_be_new_is_different_each_time(question: Question, way: Way, different: int) -> None:
    assert len(set(ask(question, way, 30))) == different


@pytest.mark.parametrize("way", WAYS)
def test_the_graph_takes_every_question_in_every_way(way: Way) -> None:
    for question in iter_questions():
        for body in ask(question, way, 2):
            asked = orjson.loads(body)
            document = parse(asked["query"])
            assert not validate(SCHEMA, document)
            operation = get_operation_ast(document)
            assert operation is not None
            given = get_variable_values(SCHEMA, operation.variable_definitions or (), asked.get("variables", {}))
            assert not isinstance(given, list), given


async def test_the_anchor_of_pages_answers_as_the_server_does() -> None:
    async with pod_page.open_pages(1, 30) as pages:
        asked = [subject.question for subject in pod_page.build_subjects(pages.pods) if subject.has_anchor]
        for question in asked:
            for way in WAYS:
                sides = pages.build_sides(question, way)
                pod_page.check_same([await fetch(next(asks)) for asks in sides.values()])


def test_sizes_near_another_are_all_different_and_as_large_in_the_mean() -> None:
    sizes = [count_near(100, number) for number in range(1, 199)]
    assert (min(sizes), max(sizes), len(set(sizes)), sum(sizes)) == (1, 199, 198, 19_800)
