"""How a member stands, as who watches it tells others, and what these say of the member by it."""

import sys
from typing import Self, cast

from msgspec import Struct

from fleet.members.signs import NEVER, Signs, lasting, missing_of, now, state_of
from fleet.model.errors import (
    ClusterAnswerInvalid,
    ClusterAnswerTooLarge,
    ClusterError,
    ClusterForbidden,
    ClusterTimeout,
    ClusterUnauthorized,
    ClusterUnreachable,
)
from fleet.model.kinds import ResourceName
from fleet.model.objects import ClusterHealth, Outcome, OutcomeState
from fleet.model.told import Told, plain, tell

_ERRORS: dict[str, type[ClusterError]] = {
    error.__name__: error
    for error in (
        ClusterUnreachable,
        ClusterTimeout,
        ClusterUnauthorized,
        ClusterForbidden,
        ClusterAnswerInvalid,
        ClusterAnswerTooLarge,
    )
}
NO_WORD = "its writer says nothing"
"""Why nothing is heard of a member where all else is well."""


class Words(Struct, frozen=True, omit_defaults=True):
    """A text; `detail` is its other wording, None where there is one alone."""

    public: str
    detail: str | None = None

    @classmethod
    def from_text(cls, text: str) -> Self:
        return cls(plain(text), text.detail) if isinstance(text, Told) else cls(text)

    def as_text(self) -> str:
        return self.public if self.detail is None else Told(self.public, self.detail)


class Problem(Struct, frozen=True):
    """An error by the name of its class. One that is not known here is as if the member could not be reached."""

    error: str
    words: Words

    @classmethod
    def from_error(cls, error: ClusterError) -> Self:
        return cls(type(error).__name__, Words.from_text(str(error)))

    def as_error(self, cluster: str) -> ClusterError:
        return _ERRORS.get(self.error, ClusterUnreachable)(cluster, self.words.as_text())


class KindStanding(Struct, frozen=True, omit_defaults=True):
    """A kind: whether it was ever `listed`, is followed (`live`), and whether its problem is `lasting`."""

    listed: bool = False
    live: bool = False
    lasting: bool = False
    problem: Problem | None = None
    missing: Words | None = None


class Standing(Struct, frozen=True, omit_defaults=True):
    """All that verdicts on a member are made of, but for its last sign of life; `cut_off` is why it is not asked."""

    failure: Problem | None = None
    unready: Words | None = None
    cut_off: Words | None = None
    version: str | None = None
    kinds: dict[str, KindStanding] = {}


class ReportedKind(Struct, frozen=True):
    """A `Followed` as it was reported."""

    listed: bool
    live: bool
    problem: ClusterError | None
    failures: int
    missing: str | None

    @classmethod
    def from_standing(cls, kind: KindStanding, cluster: str) -> Self:
        problem = None if kind.problem is None else kind.problem.as_error(cluster)
        missing = None if kind.missing is None else kind.missing.as_text()
        return cls(kind.listed, kind.live, problem, sys.maxsize if kind.lasting else 0, missing)


class Reported(Signs):
    """What is known of a member that another process watches.

    `heard_at` is the time of the newest report, `reason` why there may be none since. What is older than
    `fresh_seconds` is STALE, whatever it said.
    """

    def __init__(self, name: str, fresh_seconds: float, limit: int) -> None:
        super().__init__(name, fresh_seconds, limit)
        self.heard_at = NEVER
        self.reason = NO_WORD
        self.standing = Standing()
        self.cut_off: str | None = None

    def is_stale(self, at: float) -> bool:
        return at - self.heard_at > self.fresh_seconds

    def take_in(self, standing: Standing, heard_at: float, last_seen: float) -> bool:
        """Whether verdicts may be others, but for the age of its last sign of life."""
        changed = self.is_stale(now()) or standing != self.standing
        self.heard_at, self.last_seen = max(heard_at, self.heard_at), last_seen
        if standing != self.standing:
            self.standing = standing
            self.failure = None if standing.failure is None else standing.failure.as_error(self.name)
            self.failed_at = -NEVER  # who asks now needs not wait for what its writer finds next
            self.unready = None if standing.unready is None else standing.unready.as_text()
            self.cut_off = None if standing.cut_off is None else standing.cut_off.as_text()
            self.followed = {
                cast("ResourceName", resource): ReportedKind.from_standing(kind, self.name)
                for resource, kind in standing.kinds.items()
            }
        return changed

    def judge(self, resource: ResourceName, asked: float, at: float) -> Outcome | None:
        if not self.is_stale(at):
            return super().judge(resource, asked, at)
        kind = self.followed.get(resource)
        if not isinstance(kind, ReportedKind):
            return None
        if kind.listed:
            return self.build_outcome(OutcomeState.STALE, self._silence(at))
        return None if kind.problem is None else self.build_outcome(state_of(kind.problem), str(kind.problem))

    def explain_wait(self, resource: ResourceName, seconds: float) -> str:
        if self.is_stale(now()):
            return tell("nothing was heard of {} within {:g} s: {}", self.name, seconds, self.reason)
        return super().explain_wait(resource, seconds)

    def summarize(self) -> tuple[ClusterHealth, str | None]:
        at = now()
        return (ClusterHealth.UNKNOWN, self._silence(at)) if self.is_stale(at) else super().summarize()

    def _silence(self, at: float) -> str:
        if self.heard_at == NEVER:
            return tell("nothing was heard of {} yet: {}", self.name, self.reason)
        return tell("nothing was heard of {} for {:.0f} s: {}", self.name, at - self.heard_at, self.reason)


def standing_of(signs: Signs, cut_off: str | None, version: str | None, listed: frozenset[ResourceName]) -> Standing:
    """What is told others. `listed` are the kinds of which there is a last known state."""
    return Standing(
        failure=None if signs.failure is None else Problem.from_error(signs.failure),
        unready=None if signs.unready is None else Words.from_text(signs.unready),
        cut_off=None if cut_off is None else Words.from_text(cut_off),
        version=version,
        kinds={
            resource: KindStanding(
                listed=resource in listed,
                live=followed.live,
                lasting=lasting(followed, signs.limit),
                problem=None if followed.problem is None else Problem.from_error(followed.problem),
                missing=None if (missing := missing_of(followed)) is None else Words.from_text(missing),
            )
            for resource, followed in signs.followed.items()
        },
    )
