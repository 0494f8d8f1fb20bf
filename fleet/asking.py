"""Which members a list is asked of: those in reach that prove themselves, and how each of them took part."""

from collections.abc import Callable, Mapping, Sequence
from operator import attrgetter
from typing import NamedTuple, TypeVar

from fleet.errors import Forbidden
from fleet.member import Kind, Member
from fleet.models import Node, OnUnavailable, Outcome, OutcomeState, Pod
from fleet.ordered import Ordered
from fleet.proofs import prove, read_proofs, settle
from fleet.queries import Selection
from fleet.recorder import note_cached
from fleet.roster import Roster, refusal
from fleet.scope import Scope

T = TypeVar("T", Pod, Node)

_ANSWERED = (OutcomeState.OK, OutcomeState.STALE)


class Asked(NamedTuple):
    """The members that answer, and the outcomes of all."""

    members: list[Member]
    outcomes: tuple[Outcome, ...]


class Asking(NamedTuple):
    """The members that a question is about, and why some of them are out of reach, by name."""

    kind: Kind | None
    members: list[Member]
    refusals: Mapping[str, str]
    on_unavailable: OnUnavailable

    def read(self) -> Asked | None:
        """Who answers, as far as it is known at this moment; None where somebody has to be waited for.

        Raises the ClusterError of the first member that is missing with STRICT.
        """
        proofs = read_proofs(self._in_reach, self.kind)
        return None if proofs is None else self._settle(proofs)

    async def wait(self) -> Asked:
        """Who answers, once all have proved themselves or failed to. Raises as `read`."""
        return self._settle(await prove(self._in_reach, self.kind))

    @property
    def _in_reach(self) -> list[Member]:
        if not self.refusals:
            return self.members
        return [member for member in self.members if member.name not in self.refusals]

    def _settle(self, proofs: Mapping[str, Outcome]) -> Asked:
        answering: list[Member] = []
        outcomes: list[Outcome] = []
        for member in self.members:
            if reason := self.refusals.get(member.name):
                outcomes.append(Outcome(member.name, OutcomeState.FORBIDDEN, reason))
                continue
            outcome = settle(proofs[member.name], member, self.kind, self.on_unavailable)
            outcomes.append(outcome)
            if outcome.state in _ANSWERED:
                answering.append(member)
        return Asked(answering, tuple(outcomes))


def build_asking(
    roster: Roster, scope: Scope, kind: Kind | None, names: frozenset[str] | None, on_unavailable: OnUnavailable
) -> Asking:
    """Of the named members, of all for None.

    Raises ClusterNotFound, and Forbidden where every named cluster is out of reach, with STRICT where one is.
    """
    members = roster.named(scope, names)
    refusals = {member.name: reason for member in members if (reason := refusal(scope, kind, member.name))}
    if names and (len(refusals) == len(members) or (refusals and on_unavailable is OnUnavailable.STRICT)):
        raise Forbidden(next(iter(refusals.values())))
    return Asking(kind, members, refusals, on_unavailable)


def gather(asked: Asked, select: Callable[[Member], Sequence[T]]) -> Selection[T]:
    """What is selected of the members that answer, in order: each member's part is, and members are taken by name."""
    parts: list[Sequence[T]] = []
    for member in sorted(asked.members, key=attrgetter("name")):
        part = select(member)
        note_cached(member.name, len(part))
        parts.append(part)
    return Selection(Ordered(parts), asked.outcomes)
