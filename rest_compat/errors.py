"""Error answers that yesterday's clients survive.

Those clients read bodies and never the status, and assert shapes: where a list or an object was expected, a Status
whose `status` is text ends their process. So a read without an `Accept` header (none of them sends one; curl, browsers,
kubectl and client libraries do) is answered a widened Status, whose `status` is an object and whose `items` is an empty
list; everybody else gets a genuine Status. The HTTP status is the real one in both.
"""

import json
from http import HTTPStatus

from msgspec import Struct
from starlette.responses import PlainTextResponse, Response
from starlette.types import Scope

from auth.errors import AuthError, IdentityUnavailable, InvalidCredentials, TooManyLogins, Unauthenticated
from auth.principal import Principal
from fleet.model.errors import (
    Busy,
    ClusterError,
    ClusterForbidden,
    ClusterTimeout,
    ClusterUnreachable,
    FleetError,
    Forbidden,
    InvalidQuery,
    MetricsTooCostly,
    MetricsUnavailable,
    NotFound,
    Overloaded,
    TooManyRequests,
)
from fleet.model.request_info import RequestInfo
from fleet.model.told import foreign, told_to
from fleet.model.visibility import NOBODY
from rest_compat.headers import find_header
from rest_compat.request import Request


class BodyTooLarge(FleetError):
    """The caller's body is larger than this server reads; the message says how large it may be."""


class BodyTooSlow(FleetError):
    """The caller's body did not arrive in time; the message says how long it may take."""


class NotReadable(FleetError):
    """The caller's body is in a form that this server does not read; the message names it."""


class AlreadyThere(FleetError):
    """What was to be created exists."""


class NotServed(FleetError):
    """A part of the Kubernetes API that this server does not pass on."""


class ServerStopping(FleetError):
    """What would go on for ever ends with this process."""

    def __init__(self) -> None:
        super().__init__("this server is shutting down: connect again")


# HTTP's status and Kubernetes' reason; the first class an error belongs to decides. `server.errors` answers by it too.
_STATUSES: tuple[tuple[type[Exception], HTTPStatus, str], ...] = (
    (InvalidQuery, HTTPStatus.BAD_REQUEST, "BadRequest"),
    (Unauthenticated, HTTPStatus.UNAUTHORIZED, "Unauthorized"),
    (InvalidCredentials, HTTPStatus.UNAUTHORIZED, "Unauthorized"),
    (NotFound, HTTPStatus.NOT_FOUND, "NotFound"),
    (Forbidden, HTTPStatus.FORBIDDEN, "Forbidden"),
    (BodyTooSlow, HTTPStatus.REQUEST_TIMEOUT, "Timeout"),
    (NotReadable, HTTPStatus.UNSUPPORTED_MEDIA_TYPE, "UnsupportedMediaType"),
    (AlreadyThere, HTTPStatus.CONFLICT, "AlreadyExists"),
    (BodyTooLarge, HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "RequestEntityTooLarge"),
    (TooManyLogins, HTTPStatus.TOO_MANY_REQUESTS, "TooManyRequests"),
    (TooManyRequests, HTTPStatus.TOO_MANY_REQUESTS, "TooManyRequests"),
    (Overloaded, HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable"),
    (NotServed, HTTPStatus.NOT_IMPLEMENTED, "NotImplemented"),
    (ServerStopping, HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable"),
    (ClusterForbidden, HTTPStatus.FORBIDDEN, "Forbidden"),
    (ClusterUnreachable, HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable"),
    (ClusterTimeout, HTTPStatus.GATEWAY_TIMEOUT, "Timeout"),
    (ClusterError, HTTPStatus.BAD_GATEWAY, "BadGateway"),
    (MetricsTooCostly, HTTPStatus.BAD_REQUEST, "BadRequest"),
    (MetricsUnavailable, HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable"),
    (IdentityUnavailable, HTTPStatus.SERVICE_UNAVAILABLE, "ServiceUnavailable"),
    (Exception, HTTPStatus.INTERNAL_SERVER_ERROR, "InternalError"),
)

# What Kubernetes calls the statuses of members' plain text and of the framework.
_REASONS = {
    400: "BadRequest",
    401: "Unauthorized",
    403: "Forbidden",
    404: "NotFound",
    405: "MethodNotAllowed",
    409: "Conflict",
    410: "Gone",
    413: "RequestEntityTooLarge",
    415: "UnsupportedMediaType",
    429: "TooManyRequests",
    500: "InternalError",
    503: "ServiceUnavailable",
    504: "Timeout",
}


class ErrorShape(Struct, frozen=True):
    """Which Status a caller survives. `with_spec` adds an empty `spec`: only readers of OpenMCPClusters want it.

    `of_deletion` is for who takes anything but a Status for a DELETE that failed, though an API server answers the
    deleted object for many kinds.
    """

    widened: bool
    with_spec: bool
    of_deletion: bool = False

    def build_status(self, code: int, reason: str, message: str) -> bytes:
        body: dict[str, object] = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        if self.widened:
            body |= {"status": {}, "items": []} | ({"spec": {}} if self.with_spec else {})
        body |= {"message": message, "reason": reason, "code": code}
        return json.dumps(body, separators=(",", ":"), ensure_ascii=False).encode()

    def reshape(self, code: int, content_type: str, body: bytes) -> bytes | None:
        """What to answer in the place of a member's error body; None where that body can go as it is."""
        media_type = content_type.partition(";")[0].strip().lower()
        if media_type not in ("", "application/json", "text/plain", "text/html"):
            # YAML, protobuf and the like came because the caller asked for them.
            return None
        status = _load_object(body)
        if status is None:
            message = body[:1000].decode(errors="replace").strip() or HTTPStatus(code).phrase
            return self.build_status(code, find_reason(code), message)
        if not self.widened:
            return None
        return self.build_status(code, str(status.get("reason", "")), str(status.get("message", "")))


def hide_internals(caller: Principal, status: int, content_type: str, body: bytes) -> bytes | None:
    """A member's error in JSON, without addresses and users of the server's side; None where it may go as it is.

    It has them in refusals, which name the server's own user, and where it could not ask others itself.
    """
    if status < 500 and status != HTTPStatus.FORBIDDEN:
        return None
    found = _load_object(body)
    text = body.decode(errors="replace") if found is None else str(found.get("message", ""))
    shown = told_to(caller.scope, foreign(text, caller.name))
    if shown == text:
        return None
    if found is None and "/json" not in content_type and not content_type.startswith("text/"):
        shown = HTTPStatus(status).phrase  # binary: it can't be said which of it is text
    status_of = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
    answer = {**status_of, "reason": find_reason(status), "code": status, **(found or {}), "message": shown}
    answer.pop("details", None)
    return json.dumps(answer, separators=(",", ":"), ensure_ascii=False).encode()


def reshape_for(caller: Principal, shape: ErrorShape, status: int, content_type: str, body: bytes) -> bytes | None:
    """What the caller is answered, in JSON, in the place of an error of a member; None where that can go as it is."""
    hidden = hide_internals(caller, status, content_type, body)
    if hidden is None:
        return shape.reshape(status, content_type, body)
    return shape.reshape(status, "application/json", hidden) or hidden


def build_error_shape(scope: Scope) -> ErrorShape:
    method, any_will_do = scope["method"], find_header(scope["headers"], b"accept") is None
    return ErrorShape(
        widened=any_will_do and method == "GET",
        with_spec="openmcpclusters" in scope["path"].split("/"),
        of_deletion=any_will_do and method == "DELETE",
    )


def build_deletion_status(info: RequestInfo, body: bytes) -> bytes | None:
    """The Status of success, as an API server words it, for an answer that is the deleted object; None for others."""
    deleted = _load_object(body)
    if deleted is None or deleted.get("kind") in (None, "Status"):
        return None
    metadata = deleted.get("metadata")
    uid = metadata.get("uid") if isinstance(metadata, dict) else None
    details = {"name": info.name, "group": info.api_group, "kind": info.resource, "uid": uid}
    status = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
    status["details"] = {name: value for name, value in details.items() if value}
    return json.dumps(status, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def find_status(error: Exception) -> tuple[HTTPStatus, str]:
    """The HTTP status of an error and Kubernetes' reason; 500 for what is no error of the domain."""
    return next((status, reason) for kind, status, reason in _STATUSES if isinstance(error, kind))


def find_reason(status: int) -> str:
    """What Kubernetes calls an HTTP status; empty where it has no word for it."""
    return _REASONS.get(status, "")


def message_for(scope: Scope, error: Exception) -> str:
    """What the caller of this request is told of an error."""
    return told_to(scope["principal"].scope if "principal" in scope else NOBODY, error)


def build_status_answer(scope: Scope, shape: ErrorShape, error: FleetError | AuthError) -> Response:
    status, reason = find_status(error)
    body = shape.build_status(status, reason, message_for(scope, error))
    return Response(body, status, find_headers(error), media_type="application/json")


def find_headers(error: Exception) -> dict[str, str]:
    """The headers that say what to do about an error."""
    return {"Retry-After": str(error.retry_after)} if isinstance(error, Busy) else {}


def build_auth_answer(error: AuthError) -> Response:
    """401 in plain text, as the original says it; in JSON to whoever signs in, since omcpctl reads a map of strings."""
    if isinstance(error, InvalidCredentials):
        return Response(b'{"error":"invalid_credentials"}', 401, {"Cache-Control": "no-store"}, "application/json")
    if isinstance(error, TooManyLogins):
        return Response(
            b'{"error":"too_many_logins"}', 429, {"Retry-After": str(error.retry_after)}, "application/json"
        )
    headers = {"WWW-Authenticate": "Bearer", "X-Content-Type-Options": "nosniff"}
    return PlainTextResponse(f"{error}\n", HTTPStatus.UNAUTHORIZED, headers)


def build_kubernetes_answer(request: Request, error: FleetError | AuthError) -> Response:
    """The answer of `/api` and `/apis` to any error that is not the member's."""
    if isinstance(error, AuthError):
        return build_auth_answer(error)
    return build_status_answer(request.scope, build_error_shape(request.scope), error)


def _load_object(body: bytes) -> dict[str, object] | None:
    try:
        loaded = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return loaded if isinstance(loaded, dict) else None
