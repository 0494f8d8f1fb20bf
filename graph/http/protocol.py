"""GraphQL over HTTP: from a request to an operation, and from a result to an answer.

Source: the GraphQL over HTTP specification (https://graphql.github.io/graphql-over-http/draft/). An answer is
`application/graphql-response+json` where the client names it, else `application/json`, which is 200 for whatever was a
well-formed request.
"""

import codecs
from collections.abc import Mapping
from typing import Any

import orjson
from graphql import GraphQLError
from starlette.responses import Response
from strawberry.types.execution import ExecutionResult, PreExecutionError

from fleet.aio.bounded import read_bounded
from graph.errors import Code
from graph.extensions import JSON
from graph.http.state import GraphRequest
from graph.operation import JSON_TYPE, Operation, Refused, build_operation

GRAPHQL_TYPE = "application/graphql-response+json"

_MOST_ACCEPTED = 2_000
"""Characters that are read of what a client takes: browsers send a tenth of it."""


def pick_answer_type(accept: str | None) -> str:
    """The media type to answer with. Raises Refused (406) where the client takes neither."""
    if accept is None or not accept.strip():
        return JSON_TYPE
    weights = pick_weights(accept)
    wild = weights.get("application/*", weights.get("*/*", 0.0))
    graphql, plain = weights.get(GRAPHQL_TYPE, 0.0), weights.get(JSON_TYPE, wild)
    if graphql > 0 and graphql >= plain:
        return GRAPHQL_TYPE
    if plain > 0:
        return JSON_TYPE
    raise Refused(406, f"answers are {GRAPHQL_TYPE} or {JSON_TYPE}")


def read_accept(request: GraphRequest) -> str | None:
    """All that the client says of what it takes: a list may be sent in several lines."""
    return ", ".join(request.headers.getlist("accept")) or None


def pick_weights(accept: str | None) -> dict[str, float]:
    """What a client takes, by media type in lower case: 0 is not at all, 1 with pleasure. What is long is cut."""
    weights: dict[str, float] = {}
    for part in accept[:_MOST_ACCEPTED].split(",") if accept else ():
        kind, *parameters = (piece.strip().lower() for piece in part.split(";"))
        weights[kind] = _weight(parameters)
    return weights


async def read_operation(request: GraphRequest) -> Operation:
    """The operation of a GET or a POST. Raises Refused; starlette's ClientDisconnect when the client leaves."""
    documents = request.state["documents"]
    if request.method != "POST":
        given = {**request.query_params, **_decoded_parameters(request)}
        return build_operation(documents.complete(given), request.headers)
    charset = _check_content(request)
    try:
        read = await _read_body(request, request.state["limits"].body)
        body = orjson.loads(read.removeprefix(codecs.BOM_UTF8))
    except orjson.JSONDecodeError as error:
        if charset is not None:
            raise Refused(415, f"a request's body is {JSON_TYPE} in UTF-8, this one is in {charset!r}") from error
        raise Refused(400, "the request's body is not JSON") from error
    if isinstance(body, list):
        raise Refused(
            400,
            f"the request's body is a list of {len(body)} operations, 1 at a time is allowed: send it as an object of "
            "its own, without batching, or ask for all of it in one operation",
        )
    if not isinstance(body, dict):
        raise Refused(400, "the request's body is not a JSON object with a `query`")
    return build_operation(documents.complete(body), request.headers)


def answer(result: ExecutionResult, kind: str, extensions: Mapping[str, JSON]) -> Response:
    """The result as an HTTP answer: without `data` where nothing was executed, without `extensions` that are empty."""
    body: dict[str, Any] = {}
    if result.errors:
        body["errors"] = [error.formatted for error in result.errors]
    executed = not isinstance(result, PreExecutionError) and (result.data is not None or _has_paths(result.errors))
    if executed:
        body["data"] = result.data
    if extensions:
        body["extensions"] = extensions
    status = 400 if kind == GRAPHQL_TYPE and not executed else 200
    return Response(orjson.dumps(body, default=str), status_code=status, media_type=_with_charset(kind))


def refusal(
    status: int,
    message: str,
    code: Code,
    kind: str = JSON_TYPE,
    *,
    headers: Mapping[str, str] | None = None,
    extensions: Mapping[str, JSON] | None = None,
) -> Response:
    """An error that comes before GraphQL, or instead of its answer, in GraphQL's shape."""
    body: dict[str, Any] = {"errors": [{"message": message, "extensions": {"code": code.value}}]}
    if extensions:
        body["extensions"] = extensions
    return Response(orjson.dumps(body), status_code=status, media_type=_with_charset(kind), headers=headers)


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


def _check_content(request: GraphRequest) -> str | None:
    """The charset that a body claims to be in, where it is another than UTF-8. Raises Refused for what is not read."""
    given, _, parameters = request.headers.get("content-type", "").partition(";")
    if given.strip().lower() != JSON_TYPE:
        raise Refused(415, f"a request's body is {JSON_TYPE}, this one is {given.strip()[:100] or 'of no type'}")
    if (coding := request.headers.get("content-encoding", "identity").strip()).lower() not in ("", "identity"):
        raise Refused(415, f"a request's body is read as it is, this one is in {coding[:100]}: send it uncompressed")
    named = dict(piece.strip().lower().partition("=")[::2] for piece in parameters.split(";"))
    charset = named.get("charset", "utf-8").strip('"')
    return None if charset in ("utf-8", "utf8") else charset[:100]


def _decoded_parameters(request: GraphRequest) -> dict[str, object]:
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


async def _read_body(request: GraphRequest, limit: int) -> bytes:
    too_long = Refused(413, f"a request's body is {limit:,} bytes at most: send fewer or smaller variables")
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limit:
        raise too_long
    return await read_bounded(request.stream(), limit, lambda: too_long)
