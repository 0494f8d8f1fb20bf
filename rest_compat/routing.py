"""Legacy routes of our own as plain ASGI: called with whatever method, and answering errors in shapes of their own.

A framework's routing, dependencies and middleware cost such a route several times what its answer does.
"""

import json
from collections.abc import Callable, Coroutine
from typing import Any

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from auth.dependencies import get_principal
from auth.errors import AuthError
from auth.principal import Principal
from fleet.aio.hang_up import HungUp, while_awaited
from fleet.model.errors import FleetError
from rest_compat.dispatch import grant
from rest_compat.errors import build_auth_answer, build_error_shape, find_headers, find_status, message_for
from rest_compat.parameters import read_parameter, read_query
from rest_compat.platform import HOST_CLUSTER
from rest_compat.request import Request

METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"]

Endpoint = Callable[[Request], Coroutine[Any, Any, Response]]
CallerEndpoint = Callable[[Request, Principal], Coroutine[Any, Any, Response]]
"""An endpoint for authenticated callers only."""

ErrorAnswer = Callable[[Request, FleetError], Response]
"""The answer to an error of a request."""


def build_open_route(endpoint: Endpoint, answer_error: ErrorAnswer) -> ASGIApp:
    """The endpoint for anybody. A refused credential is answered as everywhere, other errors by `answer_error`."""

    async def serve(scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            answer = await endpoint(request) if scope["method"] in METHODS else refuse_method(request)
        except AuthError as error:
            answer = build_auth_answer(error)
        except FleetError as error:
            answer = answer_error(request, error)
            answer.headers.update(find_headers(error))
        await answer(scope, receive, send)

    return serve


def build_route(endpoint: CallerEndpoint, answer_error: ErrorAnswer) -> ASGIApp:
    """The same for authenticated callers, who ask for nobody else."""

    async def authenticate(request: Request) -> Response:
        named = read_parameter(read_query(request), "clustername") or HOST_CLUSTER
        return await endpoint(request, await grant(request, await get_principal(request), named))

    return build_open_route(authenticate, answer_error)


def build_reading_route(endpoint: CallerEndpoint, answer_error: ErrorAnswer) -> ASGIApp:
    """The same for what only reads: nothing more is done for a caller that hangs up."""

    async def read(request: Request, principal: Principal) -> Response:
        try:
            return await while_awaited(request.scope["state"], endpoint(request, principal))
        except HungUp:
            return Response(status_code=400)  # nobody is there to read it

    return build_route(read, answer_error)


def refuse_method(request: Request) -> Response:
    allowed = ", ".join(METHODS)
    message = f"{request.method[:20]!r} is not served here: {allowed} are"
    body = build_error_shape(request.scope).build_status(405, "MethodNotAllowed", message)
    return Response(body, 405, {"Allow": allowed}, "application/json")


def build_json(content: object, status: int = 200) -> Response:
    """JSON as the original's encoder indents it."""
    return Response(json.dumps(content, indent="\t", ensure_ascii=False), status, media_type="application/json")


def build_null(request: Request, member: str, error: FleetError) -> Response:
    """`null` where clients look for a list, and the error beside it."""
    return build_json({member: None, "error": message_for(request.scope, error)}, find_status(error)[0])
