"""Random documents get the same answer, with the same errors, from generated code as from core."""

import math
import os
import random
from collections.abc import Awaitable
from typing import Any, NoReturn

import orjson
import pytest
from graphql import DocumentNode, ExecutionResult, GraphQLSchema, execute, parse, validate
from msgspec import Struct
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext as Core

from graph.compiled.executor import CompiledExecutor
from graph.loading.timeslice import TimeSlices
from tests.graph.compiled.documents import DocumentMaker, Tastes
from tests.graph.compiled.odd_schema import build_odd_schema
from tests.graph.compiled.shrinking import shrink

CASES = int(os.environ.get("FUZZ_CASES", "700"))
SEED = int(os.environ.get("FUZZ_SEED", "0"))
TASTES = Tastes({"seed": range(500), "size": (0, 1, 3, 4, 7), "by": (0, 5, 13), "Int": (0, 7)})


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


async def fail_with(schema: GraphQLSchema, choice: Choice, text: str, variables: dict[str, Any], case: int) -> NoReturn:
    """Tells the smallest document that is not answered as by core."""
    assert not validate(schema, parse(text)), f"not a valid document: {text}"

    async def fails(candidate: str) -> bool:
        document = parse(candidate)
        found = [await answer_with(schema, made, document, variables) for made in (CORE, choice)]
        return not is_same(choice, *found)

    smallest = await shrink(schema, text, fails)
    found = [await answer_with(schema, made, parse(smallest), variables) for made in (CORE, choice)]
    again = f"again: FUZZ_SEED={case} FUZZ_CASES=1 .venv/bin/python -m pytest {__file__}"
    pytest.fail(f"{smallest}\n\nwith {variables}, {choice}\n\ncore: {found[0]}\n\nfound: {found[1]}\n\n{again}")


def is_same(choice: Choice, wanted: tuple[Any, list[Any]], found: tuple[Any, list[Any]]) -> bool:
    """Of several errors that lead to the same null, the specification lets any be told: which, depends on the time."""
    if not choice.hurried:
        return wanted == found
    (data, errors), (told, told_errors) = wanted, found
    same = told == data and bool(told_errors) == bool(errors)
    return same and all(leads_to_null(data, error.get("path", [])) for error in told_errors)


def leads_to_null(data: Any, path: list[str | int]) -> bool:
    for step in path:
        if data is None:
            return True
        data = data[step]
    return data is None


# Core leaves the siblings of a field that failed unawaited, with and without generated code.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize(("choice", "cases"), [(COMPILED, CASES), (ENCODED, CASES), (HURRIED, (CASES + 1) // 2)])
async def test_random_documents_over_odd_values_are_answered_as_by_core(choice: Choice, cases: int) -> None:
    schema, compared = build_odd_schema()._schema, 0
    for case in range(SEED, SEED + cases):
        maker = DocumentMaker(schema, random.Random(case), TASTES)
        text = maker.make(4, 40)
        document = parse(text)
        variables = maker.draw_variables()
        for again in (False, True):
            variables = maker.draw_variables(variables) if again else variables
            wanted = await answer_with(schema, CORE, document, variables)
            if not is_same(choice, wanted, await answer_with(schema, choice, document, variables)):
                await fail_with(schema, choice, text, variables, case)
            compared += wanted[0] is not None and len(str(wanted)) > 100
    assert compared > cases or cases < 100, "too few answers to compare"
