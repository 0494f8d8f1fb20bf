"""What a query may be, refused before any work: size of its text, shape of its document, cost against this fleet.

The defaults let everything a user interface asks for through. A refusal is a `LimitExceeded`: it says what was found,
what is allowed, and what to do.
"""

from collections.abc import Callable, Iterator
from functools import lru_cache

from graphql import ASTValidationRule, GraphQLSyntaxError, Lexer, Source, TokenKind
from msgspec import Struct
from strawberry.extensions import SchemaExtension

from graph.limits.errors import LimitExceeded
from graph.limits.nesting import NestedListsRule
from graph.limits.shape import ShapeRule
from graph.limits.spreads import check_spreads

CACHED_DOCUMENTS = 256


class Limits(Struct, frozen=True):
    """How much of each a request may have. `server.settings.groups` says the same to people."""

    depth: int = 15
    """Levels of fields: clusters, nodes, edges, node, pods, edges, node, containers, state, reason are ten."""

    aliases: int = 60
    """Fields with another name than their own, in the whole document."""

    directives: int = 50
    """Uses of directives, in the whole document."""

    tokens: int = 3_000
    """Words and signs of the document."""

    characters: int = 50_000
    """Characters of the document."""

    spreads: int = 500
    """Fragment spreads an operation unfolds to."""

    nested: int = 2
    """Connections on one path: the pods of a page of nodes are two, the neighbours of a page of pods as well."""

    body: int = 1 << 20
    """Bytes of a request's body."""

    cost: int = 1_000_000
    """Units, as `graph.cost` counts them: about three seconds of one core."""


DEFAULT_LIMITS = Limits()


class DocumentLimits(SchemaExtension):
    """Checks the text before it is parsed, the fragments before anything walks them, and adds the rules of shape."""

    def on_operation(self) -> Iterator[None]:
        """Adds the rules of a document's shape."""
        self.execution_context.validation_rules += build_rules(self._limits)
        yield

    def on_parse(self) -> Iterator[None]:
        """Looks at the text, then at the document once it is there. Raises LimitExceeded."""
        limits, text = self._limits, self.execution_context.query
        if text is not None:
            check_text(text, limits)
        yield
        document = self.execution_context.graphql_document
        if document is not None:
            check_spreads(document, limits.spreads)

    @property
    def _limits(self) -> Limits:
        return getattr(self.execution_context.context, "limits", DEFAULT_LIMITS)


def build_limits() -> list[Callable[[], SchemaExtension]]:
    """The extensions that keep the limits of documents, one fresh set an operation."""
    return [DocumentLimits]


@lru_cache(maxsize=16)
def build_rules(limits: Limits) -> tuple[type[ASTValidationRule], ...]:
    """The rules of a document's shape, the same classes for the same limits."""
    shape = {"max_depth": limits.depth, "max_aliases": limits.aliases, "max_directives": limits.directives}
    return (type("Shape", (ShapeRule,), shape), type("NestedLists", (NestedListsRule,), {"most": limits.nested}))


def check_text(text: str, limits: Limits) -> None:
    """Raises LimitExceeded for a text that is too long."""
    if len(text) > limits.characters:
        raise _too_many(len(text), "characters", limits.characters)
    if len(text) > limits.tokens and (found := _count_tokens(text)) > limits.tokens:
        raise _too_many(found, "tokens", limits.tokens)


def _too_many(found: int, what: str, limit: int) -> LimitExceeded:
    message = f"the document has {found:,} {what}, at most {limit:,} are allowed: ask in several requests"
    return LimitExceeded(message, details={"found": found, "limit": limit})


@lru_cache(maxsize=CACHED_DOCUMENTS)
def _count_tokens(text: str) -> int:
    """Tokens of the text; 0 where it can't be read, which the parser will say better."""
    lexer = Lexer(Source(text))
    found = 0
    try:
        while lexer.advance().kind is not TokenKind.EOF:
            found += 1
    except GraphQLSyntaxError:
        return 0
    return found
