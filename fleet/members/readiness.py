"""Errors of a member as outcomes and back, and the words for what ails it."""

from fleet.model.errors import (
    ClusterAnswerInvalid,
    ClusterError,
    ClusterForbidden,
    ClusterTimeout,
    ClusterUnauthorized,
    ClusterUnreachable,
)
from fleet.model.objects import Outcome, OutcomeState
from fleet.ports import Answer

_STATES: dict[type[ClusterError], OutcomeState] = {
    ClusterTimeout: OutcomeState.TIMEOUT,
    ClusterUnauthorized: OutcomeState.UNAUTHORIZED,
    ClusterForbidden: OutcomeState.FORBIDDEN,
    ClusterUnreachable: OutcomeState.UNREACHABLE,
    ClusterAnswerInvalid: OutcomeState.UNREACHABLE,
}
_ERRORS: dict[OutcomeState, type[ClusterError]] = {
    OutcomeState.TIMEOUT: ClusterTimeout,
    OutcomeState.UNAUTHORIZED: ClusterUnauthorized,
    OutcomeState.FORBIDDEN: ClusterForbidden,
}


def state_of(error: ClusterError) -> OutcomeState:
    """The outcome that an error of a member is."""
    return _STATES.get(type(error), OutcomeState.UNREACHABLE)


def error_of(outcome: Outcome) -> ClusterError:
    """The error that an outcome of a missing member is."""
    return _ERRORS.get(outcome.state, ClusterUnreachable)(outcome.cluster, outcome.message or outcome.state.value)


def unready_message(answer: Answer) -> str:
    """What `/readyz` says is failing: its lines `[-]etcd failed: reason withheld`."""
    lines = answer.body[:10_000].decode(errors="replace").splitlines()
    failing = [line[3:].split(" failed")[0] for line in lines if line.startswith("[-]")]
    if failing:
        return f"not ready: {', '.join(failing[:10])} failed"
    return f"not ready: it answers {answer.status} to /readyz"
