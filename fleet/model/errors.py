"""What can go wrong in the federation, one class per decision a caller can take.

    FleetError
    ├── InvalidQuery             the caller's selector, cursor, name or time is wrong: mend the request
    ├── NotFound                 the named object is not in that cluster
    │   └── ClusterNotFound      no cluster has that name
    ├── Forbidden                the caller's scope does not reach what was named
    ├── ClusterError             one member is at fault: answer with the others, name this one
    │   ├── ClusterUnreachable   no connection, TLS failed, breaker open, or its configuration is wrong
    │   ├── ClusterTimeout       connected (or not), but no answer within the deadline
    │   ├── ClusterUnauthorized  it refused the server's own credential (401)
    │   ├── ClusterForbidden     it knows the credential and refuses the request (403)
    │   └── ClusterAnswerInvalid it answered something that is not the Kubernetes API
    │       └── ClusterAnswerTooLarge  and be it only for its size: ask for less at a time
    ├── Busy                     nothing is wrong with the request: it can be sent again in `retry_after` seconds
    │   ├── TooManyRequests      the caller asks for more than its share
    │   └── Overloaded           all callers together ask for more than this server can do
    └── MetricsUnavailable       the metric store can't be asked, or its answer is an error or cut short
        ├── MetricsTooCostly     it refuses so large a question: ask for less at a time
        ├── MetricsBusy          it takes no points now, and says when it will
        └── PointsRefused        it takes these points neither now nor later; others may fit

Exceptions of the libraries are translated inside their adapters and never leave them.
"""


class FleetError(Exception):
    """Anything the federation reports; `str()` is safe to show to a user."""


class InvalidQuery(FleetError):
    """A selector, cursor, name or time of the caller can't be read; the message says what would be right."""


class NotFound(FleetError):
    """The named object does not exist."""


class ClusterNotFound(NotFound):
    """No cluster has this name."""

    def __init__(self, cluster: str, known: tuple[str, ...] = ()) -> None:
        names = f"; clusters: {', '.join(known[:20])}" if known else ""
        super().__init__(f"no cluster is named {cluster[:100]!r}{names}")
        self.cluster = cluster


class Forbidden(FleetError):
    """The caller's scope does not reach what was named."""


class ClusterError(FleetError):
    """One member is at fault. `cluster` names it."""

    def __init__(self, cluster: str, message: str) -> None:
        super().__init__(message)
        self.cluster = cluster


class ClusterUnreachable(ClusterError):
    """No connection, or the member is cut off by its circuit breaker, or its configuration is wrong."""


class ClusterTimeout(ClusterError):
    """No answer within the deadline."""


class ClusterUnauthorized(ClusterError):
    """The member refused this server's credential (401)."""


class ClusterForbidden(ClusterError):
    """The member refused the request (403)."""


class ClusterAnswerInvalid(ClusterError):
    """The member's answer is not what the Kubernetes API promises."""


class ClusterAnswerTooLarge(ClusterAnswerInvalid):
    """Its answer is larger than what is read of one, or its answers together are."""


class MetricsUnavailable(FleetError):
    """The metric store can't be asked, or answered an error; `cluster` where it is of one alone."""

    def __init__(self, message: str, cluster: str | None = None) -> None:
        super().__init__(message)
        self.cluster = cluster

    def within(self, message: str) -> "MetricsUnavailable":
        """The same failure as the reason of another one, in whose words its own are."""
        kind = MetricsTooCostly if isinstance(self, MetricsTooCostly) else MetricsUnavailable
        return kind(message, self.cluster)


class MetricsTooCostly(MetricsUnavailable):
    """The question is more than the metric store answers at once; the message says which change would do."""


class MetricsBusy(MetricsUnavailable):
    """The metric store takes no points before `retry_after` seconds have passed."""

    def __init__(self, message: str, retry_after: float) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class PointsRefused(MetricsUnavailable):
    """The metric store takes these points neither now nor later."""


class Busy(FleetError):
    """Not now: to be sent again in `retry_after` seconds."""

    def __init__(self, message: str, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooManyRequests(Busy):
    """The caller asks for more than its share."""


class Overloaded(Busy):
    """All callers together ask for more than this server can do."""
