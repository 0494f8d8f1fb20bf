"""The error of a query that a limit refuses, with what a client can do about it."""

from collections.abc import Collection, Mapping

from graphql import GraphQLError, Node

from graph.extensions import JSON


class LimitExceeded(GraphQLError):
    """A limit refused the operation: `COST_EXCEEDED`. `details` stand beside `code` in the error's `extensions`."""

    def __init__(
        self, message: str, nodes: Collection[Node] | Node | None = None, details: Mapping[str, JSON] | None = None
    ) -> None:
        super().__init__(message, nodes)
        self.details = dict(details or {})
