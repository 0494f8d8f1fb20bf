"""GraphQL over HTTP: from a request to an operation, and from a result to an answer.

Source: the GraphQL over HTTP specification (https://graphql.github.io/graphql-over-http/draft/). An answer is
`application/graphql-response+json` where the client names it, else `application/json`, which is 200 for whatever was a
well-formed request.
"""

from collections.abc import Mapping
from typing import Any

import orjson
from graphql import GraphQLError
from msgspec import Struct
from starlette.requests import Request
from starlette.responses import Response
from strawberry.types.execution import ExecutionResult, PreExecutionError

from graph.errors import Code

MAX_BODY = 1 << 20
"""Bytes of a request's body."""

JSON_TYPE = "application/json"
GRAPHQL_TYPE = "application/graphql-response+json"


class Refused(Exception):
    """The request is no GraphQL request; `status` says of which kind.

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


def pick_answer_type(accept: str | None) -> str:
    """The media type to answer with. Raises Refused (406) where the client takes neither."""
    if accept is None or not accept.strip():
        return JSON_TYPE
    weights = pick_weights(accept)
    wild = max(weights.get("*/*", 0.0), weights.get("application/*", 0.0))
    graphql, plain = weights.get(GRAPHQL_TYPE, 0.0), weights.get(JSON_TYPE, wild)
    if graphql > 0 and graphql >= plain:
        return GRAPHQL_TYPE
    if plain > 0:
        return JSON_TYPE
    raise Refused(406, f"answers are {GRAPHQL_TYPE} or {JSON_TYPE}")


def pick_weights(accept: str | None) -> dict[str, float]:
    """What a client takes, by media type in lower case: 0 is not at all, 1 with pleasure."""
    weights: dict[str, float] = {}
    for part in accept.split(",") if accept else ():
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weights[kind] = _weight(parameters)
    return weights


async def read_operation(request: Request) -> Operation:
    """The operation of a GET or a POST. Raises Refused; starlette's ClientDisconnect when the client leaves."""
    documents = request.state.documents
    if request.method == "GET":
        return build_operation(documents.complete({**request.query_params, **_decoded_parameters(request)}))
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != JSON_TYPE:
        raise Refused(415, f"a request's body is {JSON_TYPE}")
    try:
        body = orjson.loads(await _read_body(request))
    except orjson.JSONDecodeError as error:
        raise Refused(400, "the request's body is not JSON") from error
    if not isinstance(body, dict):
        raise Refused(400, "the request's body is not a JSON object with a `query`")
    return build_operation(documents.complete(body))


def answer(result: ExecutionResult, kind: str) -> Response:
    """The result as an HTTP answer. `data` is left out where nothing was executed."""
    body: dict[str, Any] = {}
    if result.errors:
        body["errors"] = [error.formatted for error in result.errors]
    executed = not isinstance(result, PreExecutionError) and (result.data is not None or _has_paths(result.errors))
    if executed:
        body["data"] = result.data
    status = 400 if kind == GRAPHQL_TYPE and not executed else 200
    return Response(orjson.dumps(body, default=str), status_code=status, media_type=_with_charset(kind))


def refusal(status: int, message: str, code: Code, kind: str = JSON_TYPE, **headers: str) -> Response:
    """An error that comes before GraphQL, in GraphQL's shape."""
    body = orjson.dumps({"errors": [{"message": message, "extensions": {"code": code.value}}]})
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return Response(body, status_code=status, media_type=_with_charset(kind), headers=named)


def _has_paths(errors: list[GraphQLError] | None) -> bool:
    """Whether an error belongs to a field: then the operation was executed, and its data is null."""
    return any(error.path is not None for error in errors or ())


def _with_charset(kind: str) -> str:
    return f"{kind}; charset=utf-8"


def _weight(parameters: list[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0


def _decoded_parameters(request: Request) -> dict[str, object]:
    """The parameters of a GET that are JSON in the URL. Raises Refused."""
    found: dict[str, object] = {}
    for name in ("variables", "extensions"):
        text = request.query_params.get(name)
        if text is not None:
            try:
                found[name] = orjson.loads(text) if text else None
            except orjson.JSONDecodeError as error:
                raise Refused(400, f"`{name}` is not JSON") from error
    return found


def build_operation(given: Mapping[str, Any]) -> Operation:
    """The operation of a request's parameters, whichever way they came. Raises Refused."""
    query, variables, name = given.get("query"), given.get("variables"), given.get("operationName")
    if not isinstance(query, str) or not query.strip():
        raise Refused(400, "there is no `query` in the request")
    if not isinstance(variables, dict | None):
        raise Refused(400, "`variables` is not an object")
    if not isinstance(given.get("extensions"), dict | None):
        raise Refused(400, "`extensions` is not an object")
    if not isinstance(name, str | None):
        raise Refused(400, "`operationName` is not a string")
    return Operation(query=query, variables=variables, name=name or None)


async def _read_body(request: Request) -> bytes:
    too_long = Refused(413, f"a request's body is {MAX_BODY:,} bytes at most")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > MAX_BODY:
        raise too_long
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > MAX_BODY:
            raise too_long
    return bytes(body)
