"""The bodies of errors outside of the graph and the legacy routes: flat JSON objects.

`{"error": "<what>", "code": "<as in the graph>"}`, with `cluster` where one is at fault. The status is that of the one
table of statuses (`rest_compat.errors`), the code that of the one table of codes (`graph.errors`).
"""

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from auth.errors import AuthError, InvalidCredentials, TooManyLogins
from fleet.model.errors import ClusterError, FleetError
from graph.errors import code_of
from rest_compat.errors import find_status


class ErrorKind(Struct, frozen=True):
    """How an error is answered."""

    status: int
    code: str


INTERNAL = ErrorKind(500, "INTERNAL")

_CODES = {400: "BAD_USER_INPUT", 401: "UNAUTHENTICATED", 403: "FORBIDDEN", 404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}
_SIGN_IN_CODES: dict[type[Exception], str] = {
    InvalidCredentials: "UNAUTHENTICATED",
    TooManyLogins: "TOO_MANY_LOGINS",
}


def kind_of(error: Exception) -> ErrorKind:
    """The error's status and code; INTERNAL for what none of this server's own routes is expected to raise."""
    code = _SIGN_IN_CODES.get(type(error)) or code_of(error).value
    return INTERNAL if code == INTERNAL.code else ErrorKind(find_status(error)[0], code)


def install_error_handlers(app: FastAPI) -> None:
    """Makes the application answer errors by the table. What is not in it is left to `server.request_log`."""
    app.add_exception_handler(FleetError, _answer_domain_error)
    app.add_exception_handler(AuthError, _answer_domain_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid_request)
    app.add_exception_handler(HTTPException, _answer_http_exception)


def build_error_body(message: str, code: str, cluster: str | None = None) -> dict[str, str]:
    body = {"error": message, "code": code}
    return body if cluster is None else {**body, "cluster": cluster}


async def _answer_domain_error(_request: Request, error: Exception) -> Response:
    kind = kind_of(error)
    if kind is INTERNAL:
        raise error
    headers: dict[str, str] = {}
    if kind.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if kind.status == 429:
        headers["Retry-After"] = "1"
    cluster = error.cluster if isinstance(error, ClusterError) else None
    return JSONResponse(build_error_body(str(error), kind.code, cluster), kind.status, headers)


async def _answer_invalid_request(_request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101 - the handler is registered for this class
    parts = (f"{'.'.join(str(step) for step in part['loc'])}: {part['msg']}" for part in error.errors()[:5])
    return JSONResponse(build_error_body("; ".join(parts), "BAD_USER_INPUT"), 400)


async def _answer_http_exception(_request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - the handler is registered for this class
    code = _CODES.get(error.status_code, "ERROR")
    return JSONResponse(build_error_body(str(error.detail), code), error.status_code, error.headers)
