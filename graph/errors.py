"""The one place where errors get their GraphQL codes. Resolvers only raise.

InvalidQuery, a wrong query or variable            BAD_USER_INPUT
Unauthenticated                                    UNAUTHENTICATED (answered by the router, before GraphQL)
Forbidden, ClusterForbidden                        FORBIDDEN
NotFound, ClusterNotFound                          NOT_FOUND
ClusterUnreachable, ClusterAnswerInvalid           CLUSTER_UNREACHABLE
ClusterTimeout, the request's own deadline         CLUSTER_TIMEOUT
ClusterUnauthorized                                CLUSTER_UNAUTHORIZED
MetricsUnavailable                                 METRICS_UNAVAILABLE
MetricsTooCostly                                   COST_EXCEEDED
IdentityUnavailable                                IDENTITY_UNAVAILABLE (as Unauthenticated)
OutOfRange                                         OUT_OF_RANGE
LimitExceeded, a limit on depth, aliases, tokens   COST_EXCEEDED
Busy, TooManyRequests and Overloaded               OVERLOADED
a document that is not kept, or can't be           PERSISTED_QUERY_NOT_FOUND, ..._NOT_SUPPORTED (`graph.http.persisted`)
anything else                                      INTERNAL, masked, with the id that the log line has

An error with `details` (a mapping of JSON values) keeps them in its `extensions`, beside the code.
"""

import enum
import logging
import secrets
from collections.abc import Mapping

from graphql import GraphQLError

from auth.errors import IdentityUnavailable, Unauthenticated
from fleet.model import errors
from fleet.model.told import told_to
from fleet.model.visibility import Scope
from graph.extensions import JSON
from graph.limits.errors import LimitExceeded
from graph.scalars import OutOfRange

logger = logging.getLogger(__name__)


class Code(enum.StrEnum):
    """Values of `extensions.code`."""

    BAD_USER_INPUT = "BAD_USER_INPUT"
    UNAUTHENTICATED = "UNAUTHENTICATED"
    FORBIDDEN = "FORBIDDEN"
    NOT_FOUND = "NOT_FOUND"
    CLUSTER_UNREACHABLE = "CLUSTER_UNREACHABLE"
    CLUSTER_TIMEOUT = "CLUSTER_TIMEOUT"
    CLUSTER_UNAUTHORIZED = "CLUSTER_UNAUTHORIZED"
    METRICS_UNAVAILABLE = "METRICS_UNAVAILABLE"
    IDENTITY_UNAVAILABLE = "IDENTITY_UNAVAILABLE"
    OUT_OF_RANGE = "OUT_OF_RANGE"
    COST_EXCEEDED = "COST_EXCEEDED"
    OVERLOADED = "OVERLOADED"
    PERSISTED_QUERY_NOT_FOUND = "PERSISTED_QUERY_NOT_FOUND"
    PERSISTED_QUERY_NOT_SUPPORTED = "PERSISTED_QUERY_NOT_SUPPORTED"
    INTERNAL = "INTERNAL"


_CODES: tuple[tuple[type[Exception], Code], ...] = (
    (errors.InvalidQuery, Code.BAD_USER_INPUT),
    (errors.NotFound, Code.NOT_FOUND),
    (errors.Forbidden, Code.FORBIDDEN),
    (errors.ClusterForbidden, Code.FORBIDDEN),
    (errors.ClusterTimeout, Code.CLUSTER_TIMEOUT),
    (errors.ClusterUnauthorized, Code.CLUSTER_UNAUTHORIZED),
    (errors.ClusterUnreachable, Code.CLUSTER_UNREACHABLE),
    (errors.ClusterAnswerInvalid, Code.CLUSTER_UNREACHABLE),
    (errors.MetricsTooCostly, Code.COST_EXCEEDED),
    (errors.MetricsUnavailable, Code.METRICS_UNAVAILABLE),
    (IdentityUnavailable, Code.IDENTITY_UNAVAILABLE),
    (errors.Busy, Code.OVERLOADED),
    (OutOfRange, Code.OUT_OF_RANGE),
    (Unauthenticated, Code.UNAUTHENTICATED),
)


def present_error(error: GraphQLError, scope: Scope) -> GraphQLError:
    """The error as a client of that scope sees it: with a code, and without anything it must not learn."""
    cause = error.original_error
    limit = _find_limit(error)
    if limit is not None:
        return _coded(error, limit.message, Code.COST_EXCEEDED, details=limit.details)
    while isinstance(cause, GraphQLError):  # a scalar's own refusal, wrapped by the core
        error, cause = _replaced(error, error.message), cause.original_error
    if cause is None:
        return _coded(error, error.message, Code.BAD_USER_INPUT)
    code = code_of(cause)
    if code is not Code.INTERNAL:
        message = told_to(scope, cause)
        return _coded(error, message, code, getattr(cause, "cluster", None), getattr(cause, "details", None))
    return _masked(error, cause)


def code_of(cause: BaseException) -> Code:
    """The code of an error of the domain; INTERNAL for what is none."""
    return next((code for kind, code in _CODES if isinstance(cause, kind)), Code.INTERNAL)


def _find_limit(error: GraphQLError) -> LimitExceeded | None:
    """The limit's own error, which the core may have wrapped."""
    found: BaseException | None = error
    while isinstance(found, GraphQLError) and not isinstance(found, LimitExceeded):
        found = found.original_error
    return found if isinstance(found, LimitExceeded) else None


def _coded(
    error: GraphQLError,
    message: str,
    code: Code,
    cluster: str | None = None,
    details: Mapping[str, JSON] | None = None,
) -> GraphQLError:
    extensions: dict[str, object] = {**(details or {}), "code": code.value}
    if cluster:
        extensions["cluster"] = cluster
    return _replaced(error, message, extensions)


def _masked(error: GraphQLError, cause: BaseException) -> GraphQLError:
    number = secrets.token_hex(6)
    path = ".".join(str(part) for part in error.path or ())
    logger.error("error %s at %s", number, path or "the operation", exc_info=cause)
    return _replaced(
        error,
        f"something went wrong here; the log has it as {number}",
        {
            "code": Code.INTERNAL.value,
            "id": number,
        },
    )


def _replaced(error: GraphQLError, message: str, extensions: dict[str, object] | None = None) -> GraphQLError:
    return GraphQLError(
        message,
        nodes=error.nodes,
        source=error.source,
        positions=error.positions,
        path=error.path,
        extensions=extensions,
    )
