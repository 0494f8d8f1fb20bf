"""The id of the request that is being answered: what is asked of members for its sake carries it along."""

from contextvars import ContextVar

REQUEST_ID: ContextVar[str | None] = ContextVar("request id", default=None)
"""None in work of the server's own."""
