"""`/graphql`: queries by POST and GET, and GraphiQL for a browser."""

import asyncio
import time
from typing import cast

from fastapi import APIRouter
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import WebSocketRoute
from strawberry.schema.exceptions import CannotGetOperationTypeError, InvalidOperationTypeError
from strawberry.types.execution import ExecutionResult
from strawberry.types.graphql import OperationType

from auth.errors import Unauthenticated
from auth.impersonation import refuse_impersonation
from auth.principal import Principal
from fleet.aio.recorder import Recorder, recording
from fleet.model.errors import Forbidden
from graph.errors import Code
from graph.http.graphiql_page import page_response, serve_static
from graph.http.protocol import answer, pick_answer_type, read_accept, read_operation, refusal
from graph.http.sse import answer_events, takes_events, wants_events
from graph.http.state import GraphRequest
from graph.http.ws import serve_websocket
from graph.loading.context import ASKING_SHARE, Context
from graph.loading.explain import finish
from graph.loading.loaders import build_loaders
from graph.operation import JSON_TYPE, Operation, Refused
from graph.schema import schema

GRAPH_PATH = "/graphql"

_ALLOWED = {
    "GET": OperationType.from_http("GET") - {OperationType.SUBSCRIPTION},
    "POST": OperationType.from_http("POST") - {OperationType.SUBSCRIPTION},
}
_NEEDS_A_STREAM = (
    "a subscription needs a connection that stays open: send `Accept: text/event-stream`, or use WebSocket "
    "(graphql-transport-ws)"
)

_NAMING = frozenset({"query", "documentId", "extensions"})
"""Parameters of a GET that name a document."""


class _NeedsStream(Refused):
    """The operation is a subscription, which can be answered by a stream of events only."""


def build_graph_router() -> APIRouter:
    """The routes, for an application whose lifespan yields a `GraphState`."""
    router = APIRouter()
    router.add_route(GRAPH_PATH, serve_graphql, methods=["GET", "POST"], include_in_schema=False)
    router.add_route("/graphql/static/{file}", serve_static, methods=["GET"], include_in_schema=False)
    router.routes.append(WebSocketRoute(GRAPH_PATH, serve_websocket))
    return router


async def serve_graphql(routed: Request) -> Response:
    """One request: the page for a browser, an answer for everybody else."""
    request = cast("GraphRequest", routed)  # a route is declared for any state, the router for this one
    if _is_browser(request):
        return page_response()
    kind = JSON_TYPE
    try:
        refuse_impersonation(request.scope["headers"])
        if wants_events(request):
            return await answer_events(request)
        kind = pick_answer_type(read_accept(request))
        principal = await request.state["authenticator"].authenticate(request.headers.get("authorization"))
        async with asyncio.timeout(request.state["request_timeout"]):
            operation = await read_operation(request)
        return await _execute(request, principal, operation, kind)
    except Unauthenticated as error:
        return refusal(401, str(error), Code.UNAUTHENTICATED, kind, headers={"WWW-Authenticate": "Bearer"})
    except Forbidden as error:
        return refusal(403, str(error), Code.FORBIDDEN, kind)
    except Refused as error:
        return refusal(error.status_in(kind), str(error), error.code, kind)
    except TimeoutError:
        return refusal(408, "the request's body did not arrive in time", Code.BAD_USER_INPUT, kind)
    except ClientDisconnect:
        return Response(status_code=400)  # nobody is there to read it


async def _execute(request: GraphRequest, principal: Principal, operation: Operation, kind: str) -> Response:
    state = request.state
    started, seconds = asyncio.get_running_loop().time(), state["request_timeout"]
    loaders = build_loaders(
        state["federation"],
        principal.scope,
        state["metric_store"],
        now=time.time(),
        deadline=started + seconds * ASKING_SHARE,
        held=state["held_usage"],
    )
    context = Context(
        principal,
        state["federation"],
        loaders,
        limits=state["limits"],
        asked=operation.asked,
        compiled=state["compiled"],
        encoded=True,
        time_slices=state["time_slices"],
    )
    recorder = Recorder() if operation.asked.explain else None
    try:
        with recording(recorder):
            result = await _run(request, operation, context, started + seconds)
    except Refused as error:
        if isinstance(error, _NeedsStream) and takes_events(request):
            return await answer_events(request, operation)
        return refusal(error.status_in(kind), str(error), error.code, kind, extensions=finish(context, recorder))
    return answer(result, kind, finish(context, recorder))


async def _run(request: GraphRequest, operation: Operation, context: Context, deadline: float) -> ExecutionResult:
    """Executes the operation. Raises Refused where there is nothing to execute, and when the time is up."""
    try:
        async with asyncio.timeout_at(deadline):
            return await schema.execute(
                operation.query,
                variable_values=operation.variables,
                context_value=context,
                operation_name=operation.name,
                allowed_operation_types=_ALLOWED["GET" if request.method == "GET" else "POST"],
            )
    except TimeoutError:
        timeout = request.state["request_timeout"]
        raise Refused(504, f"no answer within {timeout:g} s", Code.CLUSTER_TIMEOUT) from None
    except InvalidOperationTypeError as error:
        if error.operation_type is OperationType.SUBSCRIPTION:
            raise _NeedsStream(400, _NEEDS_A_STREAM, well_formed=True) from error
        raise Refused(405 if request.method == "GET" else 400, error.as_http_error_reason(request.method)) from error
    except CannotGetOperationTypeError as error:
        raise Refused(400, error.as_http_error_reason()) from error


def _is_browser(request: GraphRequest) -> bool:
    """Whether a person opened the URL: a GET that prefers a page and names no document."""
    accept = request.headers.get("accept", "")
    return request.method == "GET" and "text/html" in accept and _NAMING.isdisjoint(request.query_params)
