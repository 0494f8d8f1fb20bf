"""What is left of a random document is what makes it fail."""

import random

from graphql import parse, validate

from graph.schema import schema
from tests.graph.compiled.documents import DocumentMaker
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
        "query Any { a: pods { ...F } nodes { items { usage { cpuCores } } } } "
        "fragment F on PodConnection { items { ...G } } fragment G on Pod { labels { key } }"
    )


async def test_a_random_document_stays_valid_while_it_shrinks() -> None:
    for seed in range(20):
        text = DocumentMaker(schema._schema, random.Random(seed), {}).make()
        seen: list[str] = []

        async def fails(candidate: str, seen: list[str] = seen) -> bool:
            seen.append(candidate)
            return True

        smallest = await shrink(schema._schema, text, fails)
        assert all(not validate(schema._schema, parse(candidate)) for candidate in seen)
        assert smallest.count("{") == smallest.count("}") <= text.count("{")
        assert len(smallest.split()) <= len(text.split())
