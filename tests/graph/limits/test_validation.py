"""One walk finds valid what core finds valid, and nothing else."""

import random
import re

import pytest
from graphql import GraphQLError, parse, validate
from graphql.validation import specified_rules
from strawberry.schema.schema import validate_document

from graph.limits.limits import DEFAULT_LIMITS, build_rules
from graph.limits.validation import is_valid
from graph.schema import schema
from tests.graph.compiled.documents import DocumentMaker
from tests.graph.compiled.own_graph import TASTES

CORE, RULES = schema._schema, build_rules(DEFAULT_LIMITS)


def check_same(text: str) -> bool:
    """Whether the text is valid, to both."""
    document = parse(text)
    errors = validate_document(CORE, document, (*specified_rules, *RULES))
    assert is_valid(CORE, text, document, RULES) == (not errors), text
    return not errors


def spoil(text: str, rng: random.Random) -> str:
    """One word or sign is another one."""
    words = re.findall(r'"[^"]*"|\w+|\.{3}|[^\w\s]', text)
    place = rng.randrange(len(words))
    words[place] = rng.choice((rng.choice(words), rng.choice(("name", "$size", "@skip(if: true)", "Pod", "1", "null"))))
    return " ".join(words)


@pytest.mark.parametrize("seed", range(4))
def test_random_documents_are_valid_to_both_or_to_neither(seed: int) -> None:
    rng, valid = random.Random(seed), {True: 0, False: 0}
    for _ in range(40):
        text = DocumentMaker(CORE, rng, TASTES).make(rng.choice((2, 3, 4)), 20)
        for candidate in (text, *(spoil(text, rng) for _ in range(8))):
            try:
                valid[check_same(candidate)] += 1
            except GraphQLError:  # it can't even be read
                continue
    assert min(valid.values()) > 10


@pytest.mark.parametrize(
    "text",
    [
        "{ pods { items { name } } } { pods { items { name } } }",
        "query A { __typename } query A { __typename }",
        "{ ...F } fragment F on Query { ...F }",
        "fragment F on Query { __typename } { __typename }",
        "query ($a: Int) { __typename }",
        "{ pods(first: $a) { items { name } } }",
        "query ($a: String) { pods(first: $a) { items { name } } }",
        "query ($a: Pod) { __typename }",
        "{ pods(first: 1) { items { name } } pods(first: 2) { items { name } } }",
        "query @skip(if: true) { __typename }",
        "{ __typename @nothing }",
        "{ __typename @skip }",
        "{ pods(filter: { nothing: 1 }) { items { name } } }",
        "{ pods(orderBy: [{ usage: CPU_CORES, field: NAME }]) { items { name } } }",
        "type Pod { name: String }",
    ],
)
def test_what_is_not_valid_is_not(text: str) -> None:
    assert validate(CORE, parse(text)) == [] or not is_valid(CORE, text, parse(text), RULES)
    check_same(text)
