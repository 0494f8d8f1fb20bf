"""Members that took part lately, and do so in the same way until one of them changes or is silent for too long."""

from collections.abc import Sequence
from math import inf
from operator import attrgetter
from typing import NamedTuple

from msgspec.structs import replace

from fleet.members.health import CHANGES
from fleet.members.member import Member
from fleet.members.signs import NEVER, age_between
from fleet.model.objects import OnUnavailable, Outcome, OutcomeState
from fleet.model.ordered import DeferredSequence

_LAST_SEEN = attrgetter("last_seen")
_HEARD_AT = attrgetter("heard_at")
_CHANGES = attrgetter("changes")


class Participants(NamedTuple):
    """The members that answer, by name, and the outcomes of all, host first. Under one `mark` they are the same."""

    members: list[Member]
    outcomes: Sequence[Outcome]
    mark: object


class CachedParticipants:
    """What came of asking without waiting, and what has to stay as it is for the same to come of it again."""

    def __init__(self, present: list[Member], participants: Participants, forbidden: frozenset[str]) -> None:
        healths = {member.name: member.health for member in present}
        self._last = CHANGES.last
        self._mark = participants.mark
        self._present = present
        self._healths = list(healths.values())
        self._changes = list(map(_CHANGES, self._healths))
        self._members = participants.members
        self._outcomes = tuple(participants.outcomes)
        self._reported = [healths[each.cluster].signs for each in self._outcomes if each.cluster not in forbidden]
        self._answering = [healths[member.name].signs for member in participants.members]
        self._fresh_until = NEVER

    def is_unchanged(self, present: list[Member]) -> bool:
        """Whether the same members are there, and none has changed."""
        last = CHANGES.last
        if self._last != last and list(map(_CHANGES, self._healths)) != self._changes:
            return False
        self._last = last
        return present == self._present

    def read(self, at: float) -> Participants | None:
        """Who answers a question that is asked at a time; None where somebody has been silent for too long."""
        if at > self._fresh_until:
            proofs = list(map(_LAST_SEEN, self._answering))
            proofs += map(_HEARD_AT, self._reported)
            self._fresh_until = min(proofs) + self._reported[0].fresh_seconds if proofs else inf
            if at > self._fresh_until:
                return None
        return Participants(
            self._members, DeferredSequence(len(self._outcomes), lambda: self._build_outcomes(at)), self._mark
        )

    def _build_outcomes(self, at: float) -> tuple[Outcome, ...]:
        ages = {signs.name: age_between(signs.last_seen, at) for signs in self._reported}
        return tuple(
            replace(each, age_seconds=ages[each.cluster]) if each.cluster in ages else each for each in self._outcomes
        )


def is_cacheable(
    participants: Participants, present: list[Member], forbidden: frozenset[str], mode: OnUnavailable
) -> bool:
    """Whether what was found of members lasts: they gave a sign of life, are cut off, or out of reach."""
    healths = {member.name: member.health for member in present}
    return all(
        outcome.cluster in forbidden
        or outcome.state is OutcomeState.OK
        or (mode is OnUnavailable.PARTIAL and healths[outcome.cluster].cut_off() is not None)
        for outcome in participants.outcomes
    )
