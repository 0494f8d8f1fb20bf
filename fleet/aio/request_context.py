"""What is known of the request that is being answered: each layer adds what it finds out, and logs read it.

It travels with the tasks and threads begun in the request. Work that several requests share carries that of the one
which began it, and the server's own work has none.
"""

from contextvars import ContextVar
from secrets import token_hex

from msgspec import Struct

VIA = f"1.1 openmcp-apiserver-{token_hex(8)}".encode()
"""This process in the `Via` of what it asks of members (RFC 9110 section 7.6.3): who is asked with it asks itself."""

MOST_OF_A_NAME = 200
"""Characters of what a caller calls an operation that logs tell."""


class RequestContext(Struct):
    """`request_id` is the `X-Request-ID` of the answer, and the `Audit-ID` of what members are asked for its sake."""

    request_id: str
    user: str | None = None
    operation: str | None = None
    """The name that a GraphQL document has for it; of a call that is passed on, what it is: `list pods`."""

    cluster: str | None = None
    """The one that a call is passed on to, by the name it has here."""

    trace_id: str | None = None
    """32 hexadecimal digits (W3C Trace Context), where the request is traced."""

    cost: int | None = None
    """Units that the operation was estimated at."""

    parse_seconds: float = 0.0
    """For its document to be parsed and found valid; 0 for one that was seen before."""


_CURRENT: ContextVar[RequestContext | None] = ContextVar("request", default=None)

current_request = _CURRENT.get
"""None in work of the server's own."""

begin_request = _CURRENT.set
"""From here on, in this task and what it begins, this is the request."""


def note_user(name: str) -> None:
    if (request := _CURRENT.get()) is not None:
        request.user = name


def note_call(cluster: str, operation: str) -> None:
    if (request := _CURRENT.get()) is not None:
        request.cluster, request.operation = cluster, operation


def note_cost(units: int) -> None:
    if (request := _CURRENT.get()) is not None:
        request.cost = units


def note_parsed(seconds: float) -> None:
    if (request := _CURRENT.get()) is not None:
        request.parse_seconds = seconds
