"""Random documents over the product's own schema get the same answer from generated code, without it, and from core.

A run asks as several users, with a store that fails at times, while objects come and go. Where answers differ, the
document is made as small as it can be, and what repeats it is told.
"""

import math
import os
import random
import re
from collections.abc import Awaitable, Sequence
from functools import lru_cache
from typing import Any, NamedTuple, NoReturn

import orjson
import pytest
from graphql import ExecutionResult, execute, parse, validate
from msgspec.structs import replace
from strawberry.schema.schema import StrawberryGraphQLCoreExecutionContext as Core

from auth.principal import Principal
from fleet.kubernetes import discovery
from graph.errors import present_error
from graph.limits.limits import DEFAULT_LIMITS
from graph.loading.context import Context
from graph.loading.loaders import build_loaders
from graph.loading.timeslice import TimeSlices
from graph.schema import schema
from tests.graph.compiled.documents import DocumentMaker, Tastes
from tests.graph.compiled.own_graph import ALWAYS_FRESH, USERS, build_full_pod, furnish, wait_known
from tests.graph.compiled.shrinking import shrink
from tests.graph.conftest import NOW, Graph, OpenGraph

CASES = int(os.environ.get("FUZZ_CASES", "750"))
SEED = int(os.environ.get("FUZZ_SEED", "1"))
CASES_A_GRAPH = 250
LIMITS = replace(DEFAULT_LIMITS, aliases=1_000, directives=1_000, nested=3)
"""Nearly all documents are to be answered."""

_VARYING = re.compile(rb'("t\d+":)[-+.e0-9]+')


class Asked(NamedTuple):
    """What is asked beside a document."""

    who: Principal
    variables: dict[str, Any]
    encoded: bool


def build_context(graph: Graph, who: Principal, *, compiled: bool, encoded: bool = False) -> Context:
    loaders = build_loaders(graph.federation, who.scope, graph.store, now=NOW, deadline=1e12)
    slices = TimeSlices(math.inf)
    return Context(
        who, graph.federation, loaders, limits=LIMITS, compiled=compiled, encoded=encoded, time_slices=slices
    )


def as_told(result: Any) -> tuple[Any, list[Any]]:
    """Data and errors as they are sent, a number for each of those that vary."""
    text = _VARYING.sub(rb"\g<1>0", orjson.dumps(result.data, default=str))
    return orjson.loads(text), [error.formatted for error in result.errors or ()]


async def answer(graph: Graph, text: str, asked: Asked, *, compiled: bool, encoded: bool = False) -> Any:
    context = build_context(graph, asked.who, compiled=compiled, encoded=encoded)
    return as_told(await schema.execute(text, asked.variables, context_value=context))


parse_known = lru_cache(maxsize=1)(parse)


async def answer_of_core(graph: Graph, text: str, asked: Asked) -> Any:
    """From graphql-core's own execution, as Strawberry calls it, without our limits and extensions."""
    context = build_context(graph, asked.who, compiled=False)
    started = execute(schema._schema, parse_known(text), None, context, asked.variables, executor_class=Core)
    result = await started if isinstance(started, Awaitable) else started
    assert isinstance(result, ExecutionResult)
    return as_told(
        ExecutionResult(result.data, [present_error(error, asked.who.scope) for error in result.errors or ()])
    )


def was_refused(answered: Any) -> bool:
    """Whether it was an error before anything was executed: of cost, of variables."""
    data, errors = answered
    return data is None and all("path" not in error for error in errors)


async def compare(graph: Graph, text: str, asked: Asked) -> dict[str, Any]:
    """The answer without generated code, and those that are not equal to it."""
    plain = await answer(graph, text, asked, compiled=False)
    ways = ("written once", "kept", "kept whole") if asked.encoded else ("compiled",)
    answers = {way: await answer(graph, text, asked, compiled=True, encoded=asked.encoded) for way in ways}
    if not was_refused(plain):
        answers["core"] = await answer_of_core(graph, text, asked)
    return {"plain": plain} | {name: found for name, found in answers.items() if found != plain}


async def churn(graph: Graph, rng: random.Random) -> None:
    """A pod comes, changes or goes, and is known of."""
    cluster, name = rng.choice(("c1", "c2")), f"p{rng.randrange(8)}"
    namespace = rng.choice(("shop", "ops"))
    known = (namespace, name) in graph[cluster].objects["Pod"]
    if known and rng.random() < 0.5:
        graph[cluster].delete("Pod", namespace, name)
    else:
        graph[cluster].put(build_full_pod(namespace, name, rng.choice(("n1", "n2", None)), f"a{rng.randrange(3)}"))
    await wait_known(graph, cluster)


async def ask_random(graph: Graph, rng: random.Random, tastes: Tastes) -> int:
    """Asks a document twice, and says how often it was answered with more than a few words. Fails on a difference."""
    graph.store.failure = "the store is down" if rng.random() < 0.14 else None
    graph.store.problems = {"c2": "a part of it is away"} if rng.random() < 0.3 else {}
    graph.store.lost = {key for key in graph.store.known if key.cluster == "c2" and rng.random() < 0.5}
    maker = DocumentMaker(schema._schema, rng, tastes)
    text, telling = maker.make(rng.choice((3, 4, 5)), rng.choice((15, 30, 60))), 0
    first = Asked(rng.choice(USERS), maker.draw_variables(), rng.random() < 0.6)
    who = first.who if rng.random() < 0.6 else rng.choice(USERS)
    asks = (first, first._replace(who=who, variables=maker.draw_variables(first.variables)))
    for number, asked in enumerate(asks, start=1):
        if number > 1 and rng.random() < 0.1:  # the document is known now, and its objects are not what they were
            await churn(graph, rng)
        answers = await compare(graph, text, asked)
        if len(answers) > 1:
            await tell(graph, text, asks[:number])
        telling += answers["plain"][0] is not None and len(str(answers["plain"])) > 200
    return telling


async def tell(graph: Graph, text: str, asks: Sequence[Asked]) -> NoReturn:
    """Fails with the smallest document that differs when asked as often: what is kept of it may be what is wrong."""
    assert not validate(schema._schema, parse(text)), f"not a valid document: {text}"

    async def find(candidate: str) -> list[dict[str, Any]]:
        return [found for asked in asks if len(found := await compare(graph, candidate, asked)) > 1]

    async def fails(candidate: str) -> bool:
        return bool(await find(candidate))

    smallest = await shrink(schema._schema, text, fails)
    asked = "\n".join(f"asked by {asked.who.name} with {asked.variables}" for asked in asks)
    state = f"{asked}\nthe store {graph.store.failure or 'answers'}"
    pytest.fail(f"{smallest}\n\n{state}\n\n{await find(smallest)}\n\nasked first: {text}")


@pytest.fixture(autouse=True)
def _never_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """What a cluster serves: an answer that waited for it would have its errors in another order."""
    monkeypatch.setattr(discovery, "REFRESH_SECONDS", discovery.MAX_AGE_SECONDS)


# Core leaves the siblings of a field that failed unawaited with and without generated code.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.parametrize("part", range(max(1, CASES // CASES_A_GRAPH)))
async def test_random_documents_over_the_graph_are_answered_as_by_core(open_graph: OpenGraph, part: int) -> None:
    seed, cases = SEED + part, min(CASES, CASES_A_GRAPH)
    rng = random.Random(seed)
    print(f"again: FUZZ_SEED={seed} FUZZ_CASES={cases} .venv/bin/python -m pytest {__file__}")
    async with open_graph("c1", "c2", pods=5, options=ALWAYS_FRESH) as graph:
        tastes = await furnish(graph)
        telling = [await ask_random(graph, rng, tastes) for _ in range(cases)]
    assert sum(telling) > cases // 2, "too few answers to compare"
