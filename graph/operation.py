"""What a client asks to be executed, whichever transport it came by, and how it is refused.

Source: the GraphQL over HTTP specification (https://graphql.github.io/graphql-over-http/draft/), "Request parameters".
"""

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from msgspec import Struct

from fleet.model.errors import InvalidQuery
from graph.errors import Code
from graph.extensions import Asked, read_asked

JSON_TYPE = "application/json"

MAX_OBJECTS = 1_000
"""Objects in `variables`, each of which is read against its type for some 80 microseconds, at a stretch."""

MAX_VALUES = 60_000
"""Values in `variables`, likewise; of `representations`, which are read one by one, ten thousand have room."""


class Refused(Exception):
    """The request gets no GraphQL answer; `status` says why.

    `well_formed`: it is one, but can't be executed, so that an answer in `application/json` is 200.
    """

    def __init__(
        self, status: int, message: str, code: Code = Code.BAD_USER_INPUT, *, well_formed: bool = False
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.well_formed = well_formed

    def status_in(self, kind: str) -> int:
        """The status of the answer in that media type."""
        return 200 if self.well_formed and kind == JSON_TYPE else self.status


class Operation(Struct, frozen=True):
    """What is to be executed."""

    query: str
    variables: dict[str, Any] | None
    name: str | None
    asked: Asked = Asked()


def build_operation(given: Mapping[str, Any], headers: Mapping[str, str]) -> Operation:
    """The operation of a request's parameters, whichever way they came. Raises Refused."""
    query, variables, name = given.get("query"), given.get("variables"), given.get("operationName")
    extensions = given.get("extensions")
    if not isinstance(query, str) or not query.strip():
        raise Refused(400, "there is no `query` in the request")
    if not isinstance(variables, dict | None):
        raise Refused(400, "`variables` is not an object")
    _check_size(variables or {})
    if not isinstance(extensions, dict | None):
        raise Refused(400, "`extensions` is not an object")
    if not isinstance(name, str | None):
        raise Refused(400, "`operationName` is not a string")
    try:
        asked = read_asked(headers, extensions)
    except InvalidQuery as error:
        raise Refused(400, str(error)) from error
    return Operation(query=query, variables=variables, name=name or None, asked=asked)


@lru_cache(128)
def hash_document(text: str) -> str:
    """What a document is told by where its text is not: its SHA-256, in hexadecimal digits."""
    return hashlib.sha256(text.encode(errors="replace")).hexdigest()


def _check_size(variables: dict[str, Any]) -> None:
    """Raises Refused for variables of more objects or values than are allowed."""
    values = objects = depth = 0
    level: list[Any] = [variables]
    while level:
        values += sum(map(len, level))
        # In a variable's own list, what says its type is a representation.
        objects += sum(isinstance(one, dict) and not (depth == 2 and "__typename" in one) for one in level)
        for found, limit, what in ((objects, MAX_OBJECTS, "objects"), (values, MAX_VALUES, "values")):
            if found > limit:
                message = f"`variables` have {found:,} {what}, at most {limit:,} are allowed: ask in several requests"
                raise Refused(400, message, Code.COST_EXCEEDED, well_formed=True)
        depth += 1
        level = [
            one
            for outer in level
            for one in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(one, dict | list)
        ]
