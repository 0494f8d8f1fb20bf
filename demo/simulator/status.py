"""Errors in the shape the real server gives them: metav1.Status.

Source: apimachinery `pkg/api/errors`, and the field's own messages.
"""

from typing import Any

from demo.simulator.kinds import Kind


class ApiError(Exception):
    """Anything answered as a Status of failure. `details` and `metadata` are members of the Status."""

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        *,
        details: dict[str, Any] | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.details = details
        self.metadata = metadata or {}

    def as_status(self) -> dict[str, Any]:
        """The Status as JSON members, in the real server's order."""
        status: dict[str, Any] = {
            "kind": "Status",
            "apiVersion": "v1",
            "metadata": self.metadata,
            "status": "Failure",
            "message": str(self),
            **({"reason": self.reason} if self.reason else {}),
        }
        if self.details is not None:
            status["details"] = self.details
        status["code"] = self.code
        return status


def _details(kind: Kind, name: str) -> dict[str, Any]:
    group = {"group": kind.group} if kind.group else {}
    return {"name": name, **group, "kind": kind.plural}


def build_unauthorized() -> ApiError:
    """The bearer token is not one of this cluster's."""
    return ApiError(401, "Unauthorized", "Unauthorized")


def build_forbidden_path(verb: str, path: str) -> ApiError:
    """An anonymous caller asks for a path that is no resource."""
    message = f'forbidden: User "system:anonymous" cannot {verb} path "{path}"'
    return ApiError(403, "Forbidden", message, details={})


def build_forbidden(kind: Kind, verb: str, namespace: str, name: str) -> ApiError:
    """An anonymous caller asks for a resource."""
    subject = f"{kind.qualified} is" if not name else f'{kind.qualified} "{name}" is'
    where = f'in the namespace "{namespace}"' if namespace else "at the cluster scope"
    message = (
        f'{subject} forbidden: User "system:anonymous" cannot {verb} resource "{kind.plural}" '
        f'in API group "{kind.group}" {where}'
    )
    details = _details(kind, name) if name else {key: v for key, v in _details(kind, "").items() if key != "name"}
    return ApiError(403, "Forbidden", message, details=details)


def build_not_found(kind: Kind, name: str) -> ApiError:
    return ApiError(404, "NotFound", f'{kind.qualified} "{name}" not found', details=_details(kind, name))


def build_no_such_resource() -> ApiError:
    """The group, version or resource does not exist (for paths under a group that does)."""
    return ApiError(404, "NotFound", "the server could not find the requested resource", details={})


def build_exists(kind: Kind, name: str) -> ApiError:
    """A create names an object that is there."""
    return ApiError(409, "AlreadyExists", f'{kind.qualified} "{name}" already exists', details=_details(kind, name))


def build_conflict(kind: Kind, name: str) -> ApiError:
    """An update was made from a version that is not the newest."""
    message = (
        f'Operation cannot be fulfilled on {kind.qualified} "{name}": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    return ApiError(409, "Conflict", message, details=_details(kind, name))


def build_invalid(kind: Kind, name: str, field: str, problem: str) -> ApiError:
    """The object can't be stored as it is."""
    group = {"group": kind.group} if kind.group else {}
    details = {
        **({"name": name} if name else {}),
        **group,
        "kind": kind.kind,
        "causes": [{"reason": "FieldValueInvalid", "message": problem, "field": field}],
    }
    message = f'{kind.kind}{"." + kind.group if kind.group else ""} "{name}" is invalid: {field}: {problem}'
    return ApiError(422, "Invalid", message, details=details)


def build_bad_request(message: str) -> ApiError:
    """A parameter or a body can't be read."""
    return ApiError(400, "BadRequest", message)


def build_expired(message: str, *, token: str | None = None) -> ApiError:
    """A version, or a continue token's version, is no longer kept. `token` continues from the newest state instead."""
    return ApiError(410, "Expired", message, metadata={"continue": token} if token else None)


def build_too_large_version(asked: int, current: int) -> ApiError:
    """A list asks for a version that does not exist yet."""
    details = {
        "causes": [{"reason": "ResourceVersionTooLarge", "message": "Too large resource version"}],
        "retryAfterSeconds": 1,
    }
    return ApiError(504, "Timeout", f"Too large resource version: {asked}, current: {current}", details=details)


def build_unsupported_media(accepted: tuple[str, ...], *, of_patch: bool = False) -> ApiError:
    """The body's type is none that the verb takes; a patch is refused at another place, with details."""
    message = f"the body of the request was in an unknown format - accepted media types include: {', '.join(accepted)}"
    return ApiError(415, "UnsupportedMediaType", message, details={} if of_patch else None)


def build_method_not_allowed() -> ApiError:
    """The resource has no such verb."""
    return ApiError(
        405, "MethodNotAllowed", "the server does not allow this method on the requested resource", details={}
    )


def build_failure(code: int) -> ApiError:
    """What a server that is ill in itself answers to everything."""
    known = {
        401: ("Unauthorized", "Unauthorized"),
        403: ("Forbidden", 'forbidden: User "demo" cannot get path'),
        429: ("TooManyRequests", "too many requests, please try again later"),
        500: ("InternalError", "Internal error occurred: etcdserver: request timed out"),
        503: ("ServiceUnavailable", "apiserver is shutting down"),
    }
    reason, message = known.get(code, ("InternalError", "Internal error occurred"))
    return ApiError(code, reason, message, details={"retryAfterSeconds": 1} if code in (429, 503) else None)
