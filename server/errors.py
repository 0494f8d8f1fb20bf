"""The one table from domain errors to HTTP statuses, and the bodies that go with them.

Bodies are flat JSON objects, `{"error": "<what>", "code": "<as in the graph>"}`, with `cluster` where one is at fault.
Yesterday's routes answer their own errors, in the shapes their clients survive (`rest_compat.errors`).
"""

from collections.abc import Mapping

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from msgspec import Struct
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from auth.errors import AuthError, InvalidCredentials, TooManyLogins, Unauthenticated
from fleet.model.errors import (
    ClusterAnswerInvalid,
    ClusterError,
    ClusterForbidden,
    ClusterTimeout,
    ClusterUnauthorized,
    ClusterUnreachable,
    FleetError,
    Forbidden,
    InvalidQuery,
    MetricsUnavailable,
    NotFound,
)


class Kind(Struct, frozen=True):
    """How an error is answered."""

    status: int
    code: str


INTERNAL = Kind(500, "INTERNAL")

KINDS: Mapping[type[Exception], Kind] = {
    InvalidQuery: Kind(400, "BAD_USER_INPUT"),
    Unauthenticated: Kind(401, "UNAUTHENTICATED"),
    InvalidCredentials: Kind(401, "UNAUTHENTICATED"),
    Forbidden: Kind(403, "FORBIDDEN"),
    ClusterForbidden: Kind(403, "FORBIDDEN"),
    NotFound: Kind(404, "NOT_FOUND"),
    TooManyLogins: Kind(429, "TOO_MANY_LOGINS"),
    ClusterUnauthorized: Kind(502, "CLUSTER_UNAUTHORIZED"),
    ClusterAnswerInvalid: Kind(502, "CLUSTER_UNREACHABLE"),
    ClusterUnreachable: Kind(503, "CLUSTER_UNREACHABLE"),
    ClusterTimeout: Kind(504, "CLUSTER_TIMEOUT"),
    MetricsUnavailable: Kind(503, "METRICS_UNAVAILABLE"),
}

_CODES = {400: "BAD_USER_INPUT", 401: "UNAUTHENTICATED", 403: "FORBIDDEN", 404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED"}


def kind_of(error: Exception) -> Kind:
    """The row of the error's class, or of the nearest class above it; INTERNAL where none has one."""
    return next((KINDS[cls] for cls in type(error).__mro__ if cls in KINDS), INTERNAL)


def install_error_handlers(app: FastAPI) -> None:
    """Makes the application answer errors by the table. What is not in it is left to `server.requests`."""
    app.add_exception_handler(FleetError, _answer_domain_error)
    app.add_exception_handler(AuthError, _answer_domain_error)
    app.add_exception_handler(RequestValidationError, _answer_invalid_request)
    app.add_exception_handler(HTTPException, _answer_http_exception)


def build_error_body(message: str, code: str, cluster: str | None = None) -> dict[str, str]:
    """The body of an error."""
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
