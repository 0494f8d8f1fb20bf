"""The id of the request that is being answered: what is asked of members for its sake carries it along."""

from contextvars import ContextVar
from secrets import token_hex

REQUEST_ID: ContextVar[str | None] = ContextVar("request id", default=None)
"""None in work of the server's own."""

VIA = f"1.1 openmcp-apiserver-{token_hex(8)}".encode()
"""This process in the `Via` of what it asks of members (RFC 9110 section 7.6.3): who is asked with it asks itself."""
