"""Whether members stand behind what is in memory of them: asked at once, and what becomes of those that do not."""

import asyncio
from collections.abc import Collection

import msgspec

from fleet.members.member import Member
from fleet.members.signs import error_of
from fleet.model.kinds import ResourceName
from fleet.model.objects import OnUnavailable, Outcome, OutcomeState

ANSWERED = (OutcomeState.OK, OutcomeState.STALE)


def check_now(members: Collection[Member], resource: ResourceName) -> dict[str, Outcome] | None:
    """The outcome of each as it is known at this moment; None where one of them has to be waited for."""
    now = asyncio.get_running_loop().time()
    outcomes: dict[str, Outcome] = {}
    for member in members:
        outcome = member.health.verdict(resource, now)
        if outcome is None:
            return None
        outcomes[member.name] = outcome
    return outcomes


async def wait_until_live(members: Collection[Member], resource: ResourceName) -> dict[str, Outcome]:
    """The outcome of each, all asked at once; the usual ones, that need no waiting, cost no task."""
    now = asyncio.get_running_loop().time()
    outcomes = {member.name: member.health.verdict(resource, now, now) for member in members}
    waiting = [member for member in members if outcomes[member.name] is None]
    if waiting:  # an empty gather would give the event loop a turn
        for outcome in await asyncio.gather(*(member.ensure_fresh(resource) for member in waiting)):
            outcomes[outcome.cluster] = outcome
    return {name: outcome for name, outcome in outcomes.items() if outcome is not None}


def apply_mode(outcome: Outcome, member: Member, resource: ResourceName, mode: OnUnavailable) -> Outcome:
    """What becomes of a member that is not live. Raises its ClusterError with STRICT."""
    if outcome.state is OutcomeState.OK:
        return outcome
    if mode is OnUnavailable.STRICT:
        raise error_of(outcome)
    if mode is OnUnavailable.STALE and member.has_listed(resource):
        return msgspec.structs.replace(outcome, state=OutcomeState.STALE)
    return outcome


async def require_live(member: Member, resource: ResourceName) -> None:
    """That a member answers, be it by what is known of it, for a question about it alone. Raises its ClusterError."""
    outcome = await member.ensure_fresh(resource)
    if outcome.state not in ANSWERED:
        raise error_of(outcome)
