"""A question to several members at once: who is in reach, who answers, and what is selected of those in order."""

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import NamedTuple, TypeVar

from fleet.errors import Forbidden
from fleet.member import Kind, Member
from fleet.models import Node, OnUnavailable, Outcome, OutcomeState, Pod
from fleet.ordered import Ordered
from fleet.proofs import prove, settle
from fleet.queries import Selection
from fleet.recorder import note_cached
from fleet.roster import Roster, refusal
from fleet.scope import Scope

T = TypeVar("T", Pod, Node)

_ANSWERED = (OutcomeState.OK, OutcomeState.STALE)


class Asked(NamedTuple):
    """The members whose memory answers, and the outcome of every one that was asked."""

    members: list[Member]
    outcomes: tuple[Outcome, ...]


async def ask_members(
    roster: Roster, scope: Scope, kind: Kind | None, names: frozenset[str] | None, on_unavailable: OnUnavailable
) -> Asked:
    """Asks the named members, or all, to prove themselves.

    Raises ClusterNotFound, Forbidden where every named one is out of reach (with STRICT: where any is), and with STRICT
    the ClusterError of the first that is missing.
    """
    members = roster.named(scope, names)
    refusals = {member.name: reason for member in members if (reason := refusal(scope, kind, member.name))}
    if names and (len(refusals) == len(members) or (refusals and on_unavailable is OnUnavailable.STRICT)):
        raise Forbidden(next(iter(refusals.values())))
    proofs = await prove([member for member in members if member.name not in refusals], kind)
    answering: list[Member] = []
    outcomes: list[Outcome] = []
    for member in members:
        if reason := refusals.get(member.name):
            outcomes.append(Outcome(member.name, OutcomeState.FORBIDDEN, reason))
            continue
        outcome = settle(proofs[member.name], member, kind, on_unavailable)
        outcomes.append(outcome)
        if outcome.state in _ANSWERED:
            answering.append(member)
    return Asked(answering, tuple(outcomes))


def gather(asked: Asked, select: Callable[[Member], Sequence[T]]) -> Selection[T]:
    """What is selected of the members that answer, in order: each member's part is, and members are taken by name."""
    parts: list[Sequence[T]] = []
    for member in sorted(asked.members, key=attrgetter("name")):
        part = select(member)
        note_cached(member.name, len(part))
        parts.append(part)
    return Selection(Ordered(parts), asked.outcomes)
