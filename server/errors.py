"""The bodies of errors outside of the graph and the legacy routes: Kubernetes' Status, as on the legacy ones.

Whoever mistypes a word of `omcpctl` asks for a path that is no route here, and that client reads whatever comes into a
struct whose `code` is a number: so does what the framework answers by itself. Statuses and reasons are those of the one
table (`rest_compat.errors`).
"""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Scope

from auth.errors import AuthError
from fleet.model.errors import FleetError
from rest_compat.errors import build_error_shape, find_headers, find_reason, find_status, message_for


def install_error_handlers(app: FastAPI) -> None:
    """Makes the application answer errors by the table. What is not in it is left to `server.request_log`."""
    app.add_exception_handler(FleetError, _answer_domain_error)
    app.add_exception_handler(AuthError, _answer_domain_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid_request)
    app.add_exception_handler(HTTPException, _answer_http_exception)


def build_error_answer(
    scope: Scope, status: int, reason: str, message: str, headers: Mapping[str, str] | None = None
) -> Response:
    """A Status in the shape that the caller of this request survives."""
    body = build_error_shape(scope).build_status(status, reason, message)
    return Response(body, status, headers, "application/json")


async def _answer_domain_error(request: Request, error: Exception) -> Response:
    status, reason = find_status(error)
    if status is HTTPStatus.INTERNAL_SERVER_ERROR:
        raise error
    headers = {401: {"WWW-Authenticate": "Bearer"}, 429: {"Retry-After": "1"}}.get(status, {}) | find_headers(error)
    return build_error_answer(request.scope, status, reason, message_for(request.scope, error), headers)


async def _answer_invalid_request(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - the handler is registered for this class
    parts = (f"{'.'.join(str(step) for step in part['loc'])}: {part['msg']}" for part in error.errors()[:5])
    return build_error_answer(request.scope, 400, find_reason(400), "; ".join(parts))


async def _answer_http_exception(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - the handler is registered for this class
    message = f"{request.method[:20]} {request.scope['path'][:200]!r}: {error.detail}"
    if error.status_code == HTTPStatus.NOT_FOUND:
        message += (
            "; the Kubernetes API of a cluster is below /api and /apis, with ?clustername=, and below /clusters/NAME"
        )
    return build_error_answer(request.scope, error.status_code, find_reason(error.status_code), message, error.headers)
