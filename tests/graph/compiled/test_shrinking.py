"""What is left of a random document is what makes it fail."""

import random

from graphql import GraphQLObjectType, parse, validate

from graph.schema import schema
from tests.graph.compiled.documents import DocumentMaker
from tests.graph.compiled.own_graph import TASTES
from tests.graph.compiled.shrinking import shrink


async def test_only_what_makes_it_fail_is_left() -> None:
    text = """query Any($size: Int, $no: Boolean! = false) { viewer { name }
      a: pods(first: $size) { ...F edges { cursor } }
      nodes { items { name ... on Object { id @skip(if: $no) ... on Node { usage { memoryBytes cpuCores } } } } } }
      fragment F on PodConnection { items { ...G } } fragment G on Pod { name labels { key value } }"""

    async def fails(candidate: str) -> bool:
        return "cpuCores" in candidate and "key" in candidate

    found = await shrink(schema._schema, text, fails)
    assert " ".join(found.split()) == (
        "query Any { a: pods { items { labels { key } } } nodes { items { usage { cpuCores } } } }"
    )


async def test_arguments_are_made_smaller_as_well() -> None:
    text = """{ pods(first: 3, filter: {phases: [RUNNING, FAILED], name: {eq: "p", contains: "p"}}) { totalCount } }"""

    async def fails(candidate: str) -> bool:
        return "FAILED" in candidate and "contains" in candidate

    found = await shrink(schema._schema, text, fails)
    wanted = '{ pods(filter: { phases: [FAILED], name: { contains: "p" } }) { totalCount } }'
    assert " ".join(found.split()) == wanted


async def test_a_random_document_is_valid_and_stays_so_while_it_shrinks() -> None:
    for seed in range(8):
        text = DocumentMaker(schema._schema, random.Random(seed), TASTES).make(3, 20)
        assert not validate(schema._schema, parse(text)), text
        seen: list[str] = []

        async def fails(candidate: str, seen: list[str] = seen) -> bool:
            seen.append(candidate)
            return len(seen) % 3 == 0

        smallest = await shrink(schema._schema, text, fails, most=50)
        assert all(not validate(schema._schema, parse(candidate)) for candidate in seen)
        assert len(smallest.split()) <= len(text.split())


def test_every_field_of_a_query_is_asked_soon() -> None:
    asked: set[str] = set()
    for seed in range(600):
        maker = DocumentMaker(schema._schema, random.Random(seed), TASTES)
        maker.make(5)
        asked |= maker.asked
    followed = {"Subscription", "PodEvent", "NodeEvent", "ClusterEvent", "ResourceEvent", "UsageSample", "LogLine"}
    kinds = [kind for kind in schema._schema.type_map.values() if isinstance(kind, GraphQLObjectType)]
    fields = {f"{kind.name}.{name}" for kind in kinds if not kind.name.startswith("__") for name in kind.fields}
    assert {field for field in fields if field.split(".")[0] not in followed} <= asked
