"""What a query may be: depth, aliases, tokens. The defaults let everything a user interface asks for through.

Also the caches of parsed and validated documents, which make a query that is asked again about eight times cheaper.
"""

from collections.abc import Callable

from graphql import ASTValidationRule, GraphQLError
from strawberry.extensions import (
    AddValidationRules,
    MaxAliasesLimiter,
    MaxTokensLimiter,
    ParserCache,
    QueryDepthLimiter,
    SchemaExtension,
    ValidationCache,
)

from graph.fragments import SPREAD_WORDS, FragmentLimiter
from graph.nesting import NESTED_WORDS, NestedListsRule

MAX_DEPTH = 15
"""Levels of fields: clusters, nodes, edges, node, pods, edges, node, containers, state, reason are ten."""

MAX_ALIASES = 60
MAX_TOKENS = 3_000
CACHED_DOCUMENTS = 256

_LIMIT_WORDS = (
    NESTED_WORDS,
    SPREAD_WORDS,
    "exceeds maximum operation depth",
    "aliases found. Allowed:",
    "Document contains more than",
)

# Made once: the validation cache is keyed by the rules, and each limiter makes a rule class of its own.
_RULES: list[type[ASTValidationRule]] = [
    *QueryDepthLimiter(max_depth=MAX_DEPTH).validation_rules,
    *MaxAliasesLimiter(max_alias_count=MAX_ALIASES).validation_rules,
    NestedListsRule,
]


def is_limit(error: GraphQLError) -> bool:
    """Whether a limit of this module refused the query. Strawberry and the core mark it in the message only."""
    return any(words in error.message for words in _LIMIT_WORDS)


def build_limits() -> list[Callable[[], SchemaExtension]]:
    """The extensions that keep the limits, one fresh set an operation."""
    return [
        lambda: MaxTokensLimiter(max_token_count=MAX_TOKENS),
        FragmentLimiter,
        lambda: AddValidationRules(_RULES),
        lambda: ParserCache(maxsize=CACHED_DOCUMENTS),
        lambda: ValidationCache(maxsize=CACHED_DOCUMENTS),
    ]
