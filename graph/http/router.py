"""`/graphql`: queries by POST and GET, and GraphiQL for a browser."""

import asyncio
import hashlib
import time
from functools import cache
from typing import cast

from fastapi import APIRouter
from msgspec.structs import replace
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import WebSocketRoute
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.execution import ExecutionResult
from strawberry.types.graphql import OperationType

from auth.dependencies import note_principal, read_credential
from auth.errors import IdentityUnavailable, Unauthenticated
from auth.impersonation import refuse_impersonation
from auth.principal import Principal
from fleet.aio.admission import Rank
from fleet.aio.hang_up import HungUp, while_awaited
from fleet.model.errors import Busy, Forbidden, TooManyRequests
from fleet.model.redaction import EnvValues
from graph.errors import Code
from graph.figures import note_refused, note_result
from graph.http.export import answer_rows, pick_row_type
from graph.http.graphiql_page import STATIC_PATH, is_known, page_response, serve_static, wants_page
from graph.http.protocol import GRAPHQL_TYPE, answer, pick_answer_type, read_accept, read_operation, refusal
from graph.http.sse import answer_events, takes_events, wants_events
from graph.http.state import GraphRequest
from graph.http.ws import serve_websocket
from graph.loading.context import ASKING_SHARE, Context
from graph.loading.explain import finish
from graph.loading.loaders import build_loaders
from graph.operation import JSON_TYPE, Operation, Refused
from graph.schema import print_sdl, schema

GRAPH_PATH = "/graphql"

GRAPH_PATHS = (GRAPH_PATH, f"{GRAPH_PATH}/")
"""Where it is answered: a slash too many is not refused."""

_READING = OperationType.from_http("GET") - {OperationType.SUBSCRIPTION}
_ALLOWED = {
    "GET": _READING,
    "HEAD": _READING,
    "POST": OperationType.from_http("POST") - {OperationType.SUBSCRIPTION},
}
_NEEDS_A_STREAM = (
    "a subscription needs a connection that stays open: send `Accept: text/event-stream`, or use WebSocket "
    "(graphql-transport-ws)"
)


class _NeedsStream(Refused):
    """The operation is a subscription, which can be answered by a stream of events only."""


def build_graph_router() -> APIRouter:
    """The routes, for an application whose lifespan yields a `GraphState`."""
    router = APIRouter()
    for path in GRAPH_PATHS:
        router.add_route(path, serve_graphql, methods=["GET", "POST"], include_in_schema=False)
        router.routes.append(WebSocketRoute(path, serve_websocket))
    router.add_route(f"/{STATIC_PATH}/{{release}}/{{file}}", serve_static, methods=["GET"], include_in_schema=False)
    router.add_route("/schema.graphql", serve_sdl, methods=["GET"], include_in_schema=False)
    return router


async def serve_graphql(routed: Request) -> Response:
    """One request: the page for a browser, an answer for everybody else."""
    request = cast("GraphRequest", routed)  # a route is declared for any state, the router for this one
    if wants_page(routed):
        return page_response() if request.scope["path"] == GRAPH_PATH else _lead_to_page(request)
    kind = JSON_TYPE
    try:
        refuse_impersonation(request.scope["headers"])
        accept = read_accept(request)
        if wants_events(accept):
            return await answer_events(request)
        rows = pick_row_type(accept)
        kind = GRAPHQL_TYPE if rows else pick_answer_type(accept)
        principal = await _authenticate(request)
        deadline = _arrived_at(request) + request.state["request_timeout"]
        async with asyncio.timeout_at(deadline):
            operation = await read_operation(request)
        answering = _answer(request, principal, operation, rows, kind, deadline)
        return await while_awaited(request.scope["state"], answering)
    except Unauthenticated as error:
        empty = request.headers.get("authorization", "").strip().lower() == "bearer"
        said = f"{error}: the token is empty, is it set?" if empty else str(error)
        return refusal(401, said, Code.UNAUTHENTICATED, kind, headers={"WWW-Authenticate": "Bearer"})
    except Forbidden as error:
        return refusal(403, str(error), Code.FORBIDDEN, kind)
    except IdentityUnavailable as error:
        return refusal(
            503, str(error), Code.IDENTITY_UNAVAILABLE, kind, headers={"Retry-After": str(error.retry_after)}
        )
    except Refused as error:
        return refusal(error.status_in(kind), str(error), error.code, kind)
    except Busy as error:
        status = 429 if isinstance(error, TooManyRequests) else 503
        return refusal(status, str(error), Code.OVERLOADED, kind, headers={"Retry-After": str(error.retry_after)})
    except TimeoutError:
        return refusal(408, "the request's body did not arrive in time", Code.BAD_USER_INPUT, kind)
    except (ClientDisconnect, HungUp):
        return Response(status_code=400)  # nobody is there to read it


def serve_sdl(request: Request) -> Response:
    """The schema, for tools that make types of it; it is the same for everybody, so nobody is asked who they are."""
    sdl, etag = _print_sdl()
    headers = {"cache-control": "no-cache", "etag": etag}
    if is_known(request, etag):
        return Response(status_code=304, headers=headers)
    return Response(sdl, media_type="text/plain", headers=headers)  # what browsers show


@cache
def _print_sdl() -> tuple[str, str]:
    sdl = print_sdl()
    return sdl, f'W/"{hashlib.sha256(sdl.encode()).hexdigest()[:16]}"'


def _lead_to_page(request: GraphRequest) -> Response:
    """To the URL without the slash, from which the page's own URLs count."""
    asked = request.scope["query_string"].decode("latin-1")
    return Response(status_code=307, headers={"location": f"../graphql{asked and '?'}{asked}"})


async def _answer(
    request: GraphRequest, principal: Principal, operation: Operation, rows: str | None, kind: str, deadline: float
) -> Response:
    if rows:
        return await _list(request, principal, operation, rows)
    admission = request.state["admission"]
    await admission.enter(principal.name, _ask_until(request, deadline))
    try:
        return await _execute(request, principal, operation, kind, deadline)
    finally:
        admission.leave(principal.name)


async def _execute(
    request: GraphRequest, principal: Principal, operation: Operation, kind: str, deadline: float
) -> Response:
    context = _build_context(request, principal, operation, deadline, encoded=True)
    try:
        with request.state["live"].grounds.slow_queries.watching(operation) as recorder:
            result = await _run(request, operation, context, deadline)
    except Refused as error:
        if isinstance(error, _NeedsStream) and takes_events(read_accept(request)):
            return await answer_events(request, operation)
        return refusal(error.status_in(kind), str(error), error.code, kind, extensions=finish(context, recorder))
    if any((error.extensions or {}).get("code") == Code.FORBIDDEN for error in result.errors or ()):
        request.scope["refused"] = True
    return answer(result, kind, finish(context, recorder))


async def _list(request: GraphRequest, caller: Principal, operation: Operation, kind: str) -> Response:
    """The rows of the operation's list, in as many operations as it has pages."""
    admission = request.state["admission"]

    async def ask(page: Operation) -> ExecutionResult:
        principal = await _authenticate(request)
        deadline = asyncio.get_running_loop().time() + request.state["request_timeout"]
        await admission.enter(principal.name, deadline, Rank.BULK)
        try:
            context = _build_context(request, principal, page, deadline, encoded=False)
            with request.state["live"].grounds.slow_queries.watching(page):
                return await _run(request, page, context, deadline)
        finally:
            admission.leave(principal.name)

    state = request.state
    return await answer_rows(operation, kind, ask, state["limits"], hub=state["live"], user=caller.name)


async def _authenticate(request: GraphRequest) -> Principal:
    """The caller, with what members let him see where they decide. Raises Unauthenticated, Forbidden."""
    authenticator = request.state["authenticator"]
    principal = note_principal(request, await authenticator.authenticate(read_credential(request)))
    if principal.scope.granted is None:
        return principal
    return replace(principal, scope=await request.state["federation"].grant(principal.scope))


def _arrived_at(request: GraphRequest) -> float:
    arrived: float | None = request.scope["state"].get("arrived_at")
    return asyncio.get_running_loop().time() if arrived is None else arrived


def _ask_until(request: GraphRequest, deadline: float) -> float:
    """When others must have answered for an answer by the deadline."""
    return deadline - request.state["request_timeout"] * (1 - ASKING_SHARE)


def _build_context(
    request: GraphRequest, principal: Principal, operation: Operation, deadline: float, *, encoded: bool
) -> Context:
    state = request.state
    loaders = build_loaders(
        state["federation"],
        principal.scope,
        state["metric_store"],
        now=time.time(),
        deadline=_ask_until(request, deadline),
        held=state["held_usage"],
    )
    return Context(
        principal,
        state["federation"],
        loaders,
        limits=state["limits"],
        asked=operation.asked,
        compiled=state["compiled"],
        encoded=encoded,
        redact_env=request.scope["state"].get("redact_env", EnvValues.SHOWN),
        time_slices=state["time_slices"],
    )


async def _run(request: GraphRequest, operation: Operation, context: Context, deadline: float) -> ExecutionResult:
    """Executes the operation. Raises Refused where there is nothing to execute, and when the time is up."""
    begun = time.perf_counter()
    try:
        result = await _execute_until(request, operation, context, deadline)
    except Refused as error:
        if not isinstance(error, _NeedsStream):
            note_refused(error.status, begun)
        raise
    note_result(result, begun)
    return result


async def _execute_until(
    request: GraphRequest, operation: Operation, context: Context, deadline: float
) -> ExecutionResult:
    """As `_run`."""
    try:
        async with asyncio.timeout_at(deadline):
            return await schema.execute(
                operation.query,
                variable_values=operation.variables,
                context_value=context,
                operation_name=operation.name,
                allowed_operation_types=_ALLOWED[request.method],
            )
    except TimeoutError:
        timeout = request.state["request_timeout"]
        raise Refused(504, f"no answer within {timeout:g} s", Code.CLUSTER_TIMEOUT) from None
    except InvalidOperationTypeError as error:
        if error.operation_type is OperationType.SUBSCRIPTION:
            raise _NeedsStream(400, _NEEDS_A_STREAM, well_formed=True) from error
        raise Refused(400 if request.method == "POST" else 405, error.as_http_error_reason(request.method)) from error
    except CannotGetOperationTypeError as error:
        raise Refused(400, error.as_http_error_reason()) from error
