"""Random documents get the same answer, with the same errors, from generated code as from core."""

import math
import os
import random
from collections.abc import Awaitable
from typing import Any

import orjson
import pytest
from graphql import DocumentNode, ExecutionResult, GraphQLSchema, execute, parse, validate
from msgspec import Struct
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext as Core

from graph.compiled.executor import CompiledExecutor
from graph.loading.timeslice import TimeSlices
from tests.graph.compiled.documents import DocumentMaker
from tests.graph.compiled.odd_schema import build_odd_schema

CASES = int(os.environ.get("FUZZ_CASES", "700"))
VARIABLES: tuple[dict[str, Any], ...] = ({}, {"yes": False}, {"no": True, "size": 0}, {"size": 7}, {"size": None})

ARGUMENTS = {
    "OddQuery.things": lambda rng: f"(seed: {rng.randrange(500)}, size: {rng.choice(('$size', '0', '1', '4'))})",
    "OddQuery.named": lambda rng: f"(seed: {rng.randrange(500)})",
    "OddQuery.thing": lambda rng: f"(seed: {rng.randrange(500)})",
    "OddQuery.rows": lambda rng: f"(seed: {rng.randrange(500)})",
    "Plain.times": lambda rng: rng.choice(("", "(by: 5)", "(by: 13)", "(by: $size, colour: BLUE)", "(colour: RED)")),
}


class Choice(Struct, frozen=True):
    """The context by which a request chooses."""

    compiled: bool = True
    encoded: bool = False
    hurried: bool = False

    @property
    def time_slices(self) -> TimeSlices:
        """One object a turn for the hurried, all in one for the others."""
        return TimeSlices(seconds=0.0 if self.hurried else math.inf)


CORE, COMPILED, ENCODED = Choice(compiled=False), Choice(), Choice(encoded=True)
HURRIED = Choice(encoded=True, hurried=True)


async def answer_with(schema: GraphQLSchema, choice: Choice, document: DocumentNode, variables: dict[str, Any]) -> Any:
    executor = CompiledExecutor if choice.compiled else Core
    result = execute(schema, document, None, choice, variables, executor_class=executor)
    found = await result if isinstance(result, Awaitable) else result
    assert isinstance(found, ExecutionResult)
    errors = [error.formatted for error in found.errors or ()]
    return orjson.loads(orjson.dumps(found.data, default=str)), errors


# Core leaves the siblings of a field that failed unawaited, with and without generated code.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("choice", [COMPILED, ENCODED])
async def test_random_documents_over_odd_values_are_answered_as_by_core(choice: Choice) -> None:
    schema, compared = build_odd_schema()._schema, 0
    for case in range(CASES):
        rng = random.Random(case)
        text = DocumentMaker(schema, rng, ARGUMENTS).make()
        document = parse(text)
        assert not validate(schema, document), text
        for variables in rng.sample(VARIABLES, 2):
            wanted = await answer_with(schema, CORE, document, variables)
            assert await answer_with(schema, choice, document, variables) == wanted, (case, text, variables)
            compared += wanted[0] is not None and len(str(wanted)) > 100
    assert compared > CASES, "too few answers to compare"


def leads_to_null(data: Any, path: list[str | int]) -> bool:
    for step in path:
        if data is None:
            return True
        data = data[step]
    return data is None


# As above.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
async def test_answers_that_are_made_in_turns_are_those_of_core() -> None:
    """Of several errors that lead to the same null, the specification lets any be told: which, depends on the time."""
    schema, compared = build_odd_schema()._schema, 0
    for case in range(CASES // 2):
        rng = random.Random(case)
        document, variables = parse(DocumentMaker(schema, rng, ARGUMENTS).make()), rng.choice(VARIABLES)
        data, errors = await answer_with(schema, CORE, document, variables)
        found, told = await answer_with(schema, HURRIED, document, variables)
        assert found == data, (case, variables)
        assert bool(told) == bool(errors), (case, variables)
        assert all(leads_to_null(data, error["path"]) for error in told), (case, variables)
        compared += data is not None and len(str(data)) > 100
    assert compared > CASES // 4, "too few answers to compare"
