"""The health of one member: what its answers, failures and watches say of it, and what follows for a question."""

from collections.abc import Mapping

from fleet.aio.generations import GenerationCounter
from fleet.members.breaker import Breaker
from fleet.members.signs import NEVER, Followed, Signs, age_between, because, now
from fleet.members.standing import NO_WORD, Reported, Standing, standing_of
from fleet.model.errors import ClusterError, ClusterUnauthorized
from fleet.model.kinds import ResourceName
from fleet.model.objects import ClusterHealth, Outcome, OutcomeState
from fleet.model.told import MISCONFIGURED, Told, foreign, tell
from fleet.ports import Answer, MemberSpec

CHANGES = GenerationCounter()
"""Of the health of all members. One for the process, as it holds nothing but the number of the last change: whoever
keeps verdicts on many members compares it before it looks at each of them."""

_SETTLED_BY: frozenset[ResourceName] = frozenset(("pods", "nodes", "namespaces"))


class MemberHealth(Signs):
    """What this process knows of a member by itself, and what was reported to it.

    `changes` grows whenever a verdict may be another than before though its sign of life is as young as it has to be:
    whoever keeps verdicts looks at both.
    What was reported answers until the member's own signs say something of each kind.
    """

    def __init__(self, spec: MemberSpec, breaker: Breaker, fresh_seconds: float) -> None:
        super().__init__(spec.name, fresh_seconds, breaker.limit)
        self.breaker = breaker
        self.changes = CHANGES.next()
        self.spec = spec
        self._reported: Reported | None = None

    @property
    def signs(self) -> Signs:
        """Those that verdicts are made of."""
        return self._reported or self

    @property
    def is_reported(self) -> bool:
        """Whether others say how it is, or did so last."""
        return self._reported is not None

    @property
    def age_seconds(self) -> float | None:
        """Seconds since it last proved itself; None where it never did."""
        return age_between(self.signs.last_seen, now())

    def follow(self, reflectors: Mapping[ResourceName, Followed]) -> None:
        """From now on these say whether a resource is followed."""
        self.followed = reflectors
        self.note_change()

    def note_spec(self, spec: MemberSpec) -> None:
        self.spec = spec
        self.note_change()

    def renew(self, spec: MemberSpec) -> None:
        """It is reached with another credential: what failed says nothing now, and who waits for it goes on waiting."""
        self.breaker.record_success()
        self.failure = None
        self.followed = {}
        self.note_spec(spec)

    def note_change(self) -> None:
        """A verdict may be another than before."""
        self.changes = CHANGES.next()
        if self._reported is not None:
            at = now()
            if all(self.judge(resource, NEVER, at) is not None for resource in {*_SETTLED_BY, *self.followed}):
                self._reported = None

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
        changed = self.failure is not None or unready != self.unready
        self.breaker.record_success()
        self.failure, self.unready = None, unready
        self.note_seen()
        if changed:
            self.note_change()

    def note_failure(self, error: ClusterError) -> None:
        """It did not answer, or refused the credential."""
        if isinstance(error, ClusterUnauthorized):
            self.breaker.record_success()
        else:
            self.breaker.record_failure()
        self.note_end(error)

    def note_end(self, error: ClusterError) -> None:
        """It is not asked any more, which is no failure of its own."""
        self.failure, self.failed_at = error, now()
        self.note_change()

    def expect_reports(self, reason: str = NO_WORD) -> None:
        """Others say from now on how it is; the reason is why they may not."""
        if self._reported is None:
            self._reported = Reported(self.name, self.fresh_seconds, self.limit)
            self.breaker.record_success()
            self.failure, self.unready, self.followed, self.last_seen = None, None, {}, NEVER
            self.note_change()
        self._reported.reason = reason

    def report(self, standing: Standing, at: float, last_seen: float) -> bool:
        """What its writer said of it at a time, and when it last gave a sign of life. Whether that is news."""
        self.expect_reports()
        reported = self._reported
        assert reported is not None  # noqa: S101 - it was just made
        is_news = now() - reported.last_seen > self.fresh_seconds
        if reported.take_in(standing, at, last_seen):
            self.note_change()
            return True
        return is_news

    def standing(self, version: str | None, listed: frozenset[ResourceName]) -> Standing:
        """What others are told of it."""
        return standing_of(self.signs, self._breaker_reason(), version, listed)

    def cut_off(self) -> str | None:
        """Why the member is not to be asked, None where it may be."""
        if self.spec.credential is None:
            problem = self.spec.problem or f"{self.name} can't be reached: its source gives no credential"
            return Told(f"{self.name} can't be reached: {MISCONFIGURED}", problem)
        if self.spec.offline is not None:
            return tell("the platform reports {} as offline: {}", self.name, foreign(self.spec.offline))
        return self._breaker_reason()

    def _breaker_reason(self) -> str | None:
        if (reported := self._reported) is not None:
            return None if reported.cut_off is None or reported.is_stale(now()) else reported.cut_off
        if self.breaker.refuses:
            attempts = self.breaker.failures
            return tell("{} is cut off after {} failed attempts{}", self.name, attempts, because(self.failure))
        return None

    def verdict(self, resource: ResourceName, asked: float, read_at: float | None = None) -> Outcome | None:
        """How the member is for a question asked at a time; None while that is not known.

        Who has just read the clock for many members gives that as `read_at`.
        """
        if (reason := self.cut_off()) is not None:
            return self.signs.build_outcome(OutcomeState.UNREACHABLE, reason)
        return (self._reported or self).judge(resource, asked, now() if read_at is None else read_at)

    def is_known(self, resource: ResourceName, asked: float) -> bool:
        """Whether there is a verdict: what is asked here says so before that counts in the place of reports."""
        return self.verdict(resource, asked) is not None or self.judge(resource, asked, now()) is not None

    def explain_wait(self, resource: ResourceName, seconds: float) -> str:
        reported = self._reported
        return super().explain_wait(resource, seconds) if reported is None else reported.explain_wait(resource, seconds)

    def summary(self) -> tuple[ClusterHealth, str | None]:
        """What is said of it where nobody asks a question, and why."""
        reason = self.cut_off()
        return self.signs.summarize() if reason is None else (ClusterHealth.OFFLINE, reason)


def unready_message(answer: Answer) -> str:
    """What `/readyz` says is failing: its lines `[-]etcd failed: reason withheld`."""
    lines = answer.body[:10_000].decode(errors="replace").splitlines()
    failing = [line[3:].split(" failed")[0] for line in lines if line.startswith("[-]")]
    if failing:
        return f"not ready: {', '.join(failing[:10])} failed"
    return f"not ready: it answers {answer.status} to /readyz"
