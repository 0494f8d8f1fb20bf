"""What is known of how a member is, and what that means for a question. Times are those of the event loop's clock."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from fleet.cache.reflector import Reflector
from fleet.model.errors import (
    ClusterAnswerInvalid,
    ClusterError,
    ClusterForbidden,
    ClusterTimeout,
    ClusterUnauthorized,
    ClusterUnreachable,
)
from fleet.model.kinds import ResourceName
from fleet.model.objects import ClusterHealth, Outcome, OutcomeState
from fleet.model.told import tell

NEVER = float("-inf")

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


class Followed(Protocol):
    """Whether something of a member is followed, as `Reflector` says it."""

    @property
    def live(self) -> bool: ...

    @property
    def problem(self) -> ClusterError | None: ...

    @property
    def failures(self) -> int: ...


class FollowedWorkloads:
    """Workloads: those of all kinds that can be had, beside the pods that they run."""

    def __init__(self, pods: Reflector[Any], kinds: Sequence[Reflector[Any]], limit: int) -> None:
        self._pods = pods
        self._kinds = kinds
        self._limit = limit

    @property
    def live(self) -> bool:
        return self._pods.live and all(kind.live or lasting(kind, self._limit) for kind in self._kinds)

    @property
    def problem(self) -> ClusterError | None:
        return self._pods.problem

    @property
    def failures(self) -> int:
        return self._pods.failures

    @property
    def missing(self) -> str | None:
        """Which kinds are not in the answer, and why; None where all are."""
        problems = [str(kind.problem) for kind in self._kinds if kind.problem is not None]
        template = f"workloads are known by their pods alone where {'; '.join('{}' for _ in problems)}"
        return tell(template, *problems) if problems else None


class Signs:
    """`last_seen` is when the member last gave a sign of life, NEVER where it did not, and holds for `fresh_seconds`.

    `failure` is the last one, of `failed_at`, None since it answered; `unready` is why it is not ready. What failed
    `limit` times in a row is not waited for. It was `heard_at` of it, which lasts where this process asks itself.
    """

    def __init__(self, name: str, fresh_seconds: float, limit: int) -> None:
        self.name = name
        self.fresh_seconds = fresh_seconds
        self.limit = limit
        self.last_seen = NEVER
        self.heard_at = -NEVER
        self.failure: ClusterError | None = None
        self.failed_at = 0.0
        self.unready: str | None = None
        self.followed: Mapping[ResourceName, Followed] = {}

    def judge(self, resource: ResourceName, asked: float, at: float) -> Outcome | None:
        """How the member is at a time for a question asked at another; None while that is not known."""
        failure = self.failure
        if failure is not None and (self.failed_at >= asked or isinstance(failure, ClusterUnauthorized)):
            return self.build_outcome(state_of(failure), str(failure))
        age = max(0.0, at - self.last_seen)
        if age > self.fresh_seconds:
            return None
        if (followed := self.followed.get(resource)) is None:
            return None
        if not followed.live:
            problem = followed.problem
            if problem is None or not lasting(followed, self.limit):
                return None
            return self.build_outcome(state_of(problem), str(problem))
        return Outcome(self.name, OutcomeState.OK, self.unready or missing_of(followed), age, 0.0)

    def explain_wait(self, resource: ResourceName, seconds: float) -> str:
        """Why no verdict came of waiting so long."""
        age, followed = age_between(self.last_seen, now()), self.followed.get(resource)
        if age is None or age > self.fresh_seconds or followed is None:
            return f"{self.name} gave no sign of life within {seconds:g} s"
        late = "{} answers, but its {} were not read within {:g} s{}"
        return tell(late, self.name, resource, seconds, because(followed.problem))

    def summarize(self) -> tuple[ClusterHealth, str | None]:
        """What is said of it where nobody asks a question, and why."""
        if self.failure is not None:
            unauthorized = isinstance(self.failure, ClusterUnauthorized)
            return ClusterHealth.NOT_READY if unauthorized else ClusterHealth.OFFLINE, str(self.failure)
        if self.unready is not None:
            return ClusterHealth.NOT_READY, self.unready
        if self.last_seen == NEVER:
            return ClusterHealth.UNKNOWN, f"{self.name} has not answered yet"
        # A member whose events can't be had is as well as any: whoever asks for them is told.
        followed = [each for resource, each in self.followed.items() if resource != "events"]
        problems = [str(each.problem) for each in followed if each.problem is not None]
        workloads = self.followed.get("workloads")
        if workloads is not None and (missing := missing_of(workloads)) is not None:
            problems.append(missing)
        return ClusterHealth.READY, problems[0] if problems else None

    def build_outcome(self, state: OutcomeState, message: str | None) -> Outcome:
        return Outcome(self.name, state, message, age_between(self.last_seen, now()), 0.0)


def missing_of(followed: Followed) -> str | None:
    """Which part of what is followed is not in the answer, and why; None where all is."""
    missing: str | None = getattr(followed, "missing", None)
    return missing


def age_between(last_seen: float, at: float) -> float | None:
    """Seconds from a sign of life to a time; None where there was none."""
    return None if last_seen == NEVER else max(0.0, at - last_seen)


def lasting(followed: Followed, limit: int) -> bool:
    """Whether it fails in a way that waiting does not mend."""
    return isinstance(followed.problem, ClusterForbidden | ClusterUnauthorized) or (
        followed.problem is not None and followed.failures >= limit
    )


def because(failure: ClusterError | None) -> str:
    return "" if failure is None else tell(": {}", failure)


def now() -> float:
    return asyncio.get_running_loop().time()


def state_of(error: ClusterError) -> OutcomeState:
    return _STATES.get(type(error), OutcomeState.UNREACHABLE)


def error_of(outcome: Outcome) -> ClusterError:
    """The error that an outcome of a missing member is."""
    return _ERRORS.get(outcome.state, ClusterUnreachable)(outcome.cluster, outcome.message or outcome.state.value)
