"""Members that were asked lately, and answer in the same way until one of them changes or is silent for too long."""

from collections.abc import Sequence
from math import inf
from operator import attrgetter
from typing import NamedTuple

from msgspec.structs import replace

from fleet.members.health import CHANGES, NEVER, age_between
from fleet.members.member import Member
from fleet.model.objects import OnUnavailable, Outcome, OutcomeState
from fleet.model.ordered import DeferredSequence

_PROVED_AT = attrgetter("proved_at")
_CHANGES = attrgetter("changes")


class Asked(NamedTuple):
    """The members that answer, by name, and the outcomes of all, host first. Under one `mark` they are the same."""

    members: list[Member]
    outcomes: Sequence[Outcome]
    mark: object


class Steady:
    """What came of asking without waiting, and what has to stay as it is for the same to come of it again."""

    def __init__(self, present: list[Member], asked: Asked, forbidden: frozenset[str]) -> None:
        standings = {member.name: member.standing for member in present}
        self._last = CHANGES.last
        self._mark = asked.mark
        self._present = present
        self._standings = list(standings.values())
        self._changes = list(map(_CHANGES, self._standings))
        self._members = asked.members
        self._outcomes = tuple(asked.outcomes)
        self._told = [standings[each.cluster] for each in self._outcomes if each.cluster not in forbidden]
        self._proving = [standings[member.name] for member in asked.members]
        self._fresh_until = NEVER

    def is_unchanged(self, present: list[Member]) -> bool:
        """Whether the same members are there, and none has changed."""
        last = CHANGES.last
        if self._last != last and list(map(_CHANGES, self._standings)) != self._changes:
            return False
        self._last = last
        return present == self._present

    def read(self, at: float) -> Asked | None:
        """Who answers a question that is asked at a time; None where somebody has been silent for too long."""
        if at > self._fresh_until:
            proofs = list(map(_PROVED_AT, self._proving))
            self._fresh_until = min(proofs) + self._proving[0].fresh_seconds if proofs else inf
            if at > self._fresh_until:
                return None
        return Asked(self._members, DeferredSequence(len(self._outcomes), lambda: self._build_outcomes(at)), self._mark)

    def _build_outcomes(self, at: float) -> tuple[Outcome, ...]:
        ages = {standing.name: age_between(standing.proved_at, at) for standing in self._told}
        return tuple(
            replace(each, age_seconds=ages[each.cluster]) if each.cluster in ages else each for each in self._outcomes
        )


def is_steady(asked: Asked, present: list[Member], forbidden: frozenset[str], mode: OnUnavailable) -> bool:
    """Whether all that was told of members a moment ago lasts: they proved themselves, are cut off, or out of reach."""
    standings = {member.name: member.standing for member in present}
    return all(
        outcome.cluster in forbidden
        or outcome.state is OutcomeState.OK
        or (mode is OnUnavailable.PARTIAL and standings[outcome.cluster].cut_off() is not None)
        for outcome in asked.outcomes
    )
