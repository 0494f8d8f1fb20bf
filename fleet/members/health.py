"""The health of one member: what its answers, failures and watches say of it, and what follows for a question."""

import asyncio
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from fleet.aio.generations import GenerationCounter
from fleet.cache.reflector import Reflector
from fleet.members.breaker import Breaker
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
from fleet.model.told import MISCONFIGURED, Told, foreign, tell
from fleet.ports import Answer, MemberSpec

NEVER = float("-inf")
CHANGES = GenerationCounter()
"""Of the health of all members. One for the process, as it holds nothing but the number of the last change: whoever
keeps verdicts on many members compares it before it looks at each of them."""

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


class MemberHealth:
    """What is known of a member. Times are those of the event loop's clock, in seconds.

    `last_seen` is when it last gave a sign of life, NEVER where it did not. `changes` grows whenever a verdict may be
    another than before though its sign of life is as young as it has to be: whoever keeps verdicts looks at both.
    """

    def __init__(self, spec: MemberSpec, breaker: Breaker, fresh_seconds: float) -> None:
        self.name = spec.name
        self.breaker = breaker
        self.changes = CHANGES.next()
        self.last_seen = NEVER
        self.failure: ClusterError | None = None
        self.fresh_seconds = fresh_seconds
        self.spec = spec
        self._failed_at = 0.0
        self._unready: str | None = None
        self._reflectors: Mapping[ResourceName, Followed] = {}

    @property
    def age_seconds(self) -> float | None:
        """Seconds since it last proved itself; None where it never did."""
        return age_between(self.last_seen, now())

    def follow(self, reflectors: Mapping[ResourceName, Followed]) -> None:
        """From now on these say whether a resource is followed."""
        self._reflectors = reflectors
        self.note_change()

    def note_spec(self, spec: MemberSpec) -> None:
        self.spec = spec
        self.note_change()

    def renew(self, spec: MemberSpec) -> None:
        """It is reached with another credential: what failed says nothing now, and who waits for it goes on waiting."""
        self.breaker.record_success()
        self.failure = None
        self._reflectors = {}
        self.note_spec(spec)

    def note_change(self) -> None:
        """A verdict may be another than before."""
        self.changes = CHANGES.next()

    def note_seen(self) -> bool:
        """It gave a sign of life. Whether that is news, after more than the time for which one holds."""
        at = now()
        is_news = at - self.last_seen > self.fresh_seconds
        self.last_seen = at
        return is_news

    def note_answer(self, answer: Answer) -> None:
        """It answered whether it is ready."""
        # 403 and 404 come from members that hide their readiness: they do answer.
        unready = unready_message(answer) if answer.status >= 500 else None
        if self.failure is not None or unready != self._unready:
            self.note_change()
        self.breaker.record_success()
        self.failure, self._unready = None, unready
        self.note_seen()

    def note_failure(self, error: ClusterError) -> None:
        """It did not answer, or refused the credential."""
        if isinstance(error, ClusterUnauthorized):
            self.breaker.record_success()
        else:
            self.breaker.record_failure()
        self.note_end(error)

    def note_end(self, error: ClusterError) -> None:
        """It is not asked any more, which is no failure of its own."""
        self.failure, self._failed_at = error, now()
        self.note_change()

    def cut_off(self) -> str | None:
        """Why the member is not to be asked, None where it may be."""
        if self.spec.credential is None:
            problem = self.spec.problem or f"{self.name} can't be reached: its source gives no credential"
            return Told(f"{self.name} can't be reached: {MISCONFIGURED}", problem)
        if self.spec.offline is not None:
            return tell("the platform reports {} as offline: {}", self.name, foreign(self.spec.offline))
        if self.breaker.refuses:
            attempts = self.breaker.failures
            return tell("{} is cut off after {} failed attempts{}", self.name, attempts, because(self.failure))
        return None

    def verdict(self, resource: ResourceName, asked: float, read_at: float | None = None) -> Outcome | None:
        """How the member is for a question asked at a time; None while that is not known.

        Who has just read the clock for many members gives that as `read_at`.
        """
        if (reason := self.cut_off()) is not None:
            return self._outcome(OutcomeState.UNREACHABLE, reason)
        failure = self.failure
        if failure is not None and (self._failed_at >= asked or isinstance(failure, ClusterUnauthorized)):
            return self._outcome(state_of(failure), str(failure))
        age = max(0.0, (now() if read_at is None else read_at) - self.last_seen)
        if age > self.fresh_seconds:
            return None
        if (reflector := self._reflectors.get(resource)) is None:
            return None
        if not reflector.live:
            problem = reflector.problem
            if problem is None or not lasting(reflector, self.breaker.limit):
                return None
            return self._outcome(state_of(problem), str(problem))
        missing = reflector.missing if isinstance(reflector, FollowedWorkloads) else None
        return Outcome(self.name, OutcomeState.OK, self._unready or missing, age, 0.0)

    def explain_wait(self, resource: ResourceName, seconds: float) -> str:
        """Why no verdict came of waiting so long."""
        age, reflector = self.age_seconds, self._reflectors.get(resource)
        if age is None or age > self.fresh_seconds or reflector is None:
            return f"{self.name} gave no sign of life within {seconds:g} s"
        late = "{} answers, but its {} were not read within {:g} s{}"
        return tell(late, self.name, resource, seconds, because(reflector.problem))

    def summary(self) -> tuple[ClusterHealth, str | None]:
        """What is said of it where nobody asks a question, and why."""
        if (reason := self.cut_off()) is not None:
            return ClusterHealth.OFFLINE, reason
        if self.failure is not None:
            unauthorized = isinstance(self.failure, ClusterUnauthorized)
            return ClusterHealth.NOT_READY if unauthorized else ClusterHealth.OFFLINE, str(self.failure)
        if self._unready is not None:
            return ClusterHealth.NOT_READY, self._unready
        if self.last_seen == NEVER:
            return ClusterHealth.UNKNOWN, f"{self.name} has not answered yet"
        # A member whose events can't be had is as well as any: whoever asks for them is told.
        followed = [reflector for resource, reflector in self._reflectors.items() if resource != "events"]
        problems = [str(reflector.problem) for reflector in followed if reflector.problem is not None]
        workloads = self._reflectors.get("workloads")
        if isinstance(workloads, FollowedWorkloads) and (missing := workloads.missing) is not None:
            problems.append(missing)
        return ClusterHealth.READY, problems[0] if problems else None

    def _outcome(self, state: OutcomeState, message: str | None) -> Outcome:
        return Outcome(self.name, state, message, self.age_seconds, 0.0)


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


def unready_message(answer: Answer) -> str:
    """What `/readyz` says is failing: its lines `[-]etcd failed: reason withheld`."""
    lines = answer.body[:10_000].decode(errors="replace").splitlines()
    failing = [line[3:].split(" failed")[0] for line in lines if line.startswith("[-]")]
    if failing:
        return f"not ready: {', '.join(failing[:10])} failed"
    return f"not ready: it answers {answer.status} to /readyz"
