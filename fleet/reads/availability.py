"""Which members a list is asked of: those in reach that prove themselves, and how each of them took part."""

import asyncio
from collections.abc import Mapping
from operator import attrgetter
from typing import NamedTuple

from fleet.aio.lru import Lru
from fleet.members.member import Member
from fleet.members.roster import Roster, refusal
from fleet.model.errors import ClusterTimeout, Forbidden
from fleet.model.kinds import ResourceName
from fleet.model.objects import OnUnavailable, Outcome, OutcomeState
from fleet.model.visibility import Scope
from fleet.reads.availability_cache import CachedParticipants, Participants, is_cacheable
from fleet.reads.liveness import ANSWERED, apply_mode, check_now, wait_until_live

_MOST_KNOWN = 64

_Question = tuple[Scope, ResourceName, OnUnavailable, tuple[ResourceName, ...], frozenset[str] | None]


class _Candidates(NamedTuple):
    """The members that a question is about, and why the objects of some are out of reach, by name."""

    resource: ResourceName
    members: list[Member]
    refusals: Mapping[str, str]
    on_unavailable: OnUnavailable

    def read(self) -> Participants | None:
        """Who answers, as far as it is known at this moment; None where somebody has to be waited for.

        Raises the ClusterError of the first member that is missing with STRICT.
        """
        proofs = check_now(self._in_reach, self.resource)
        return None if proofs is None else self._build_participants(proofs)

    async def wait(self) -> Participants:
        """Who answers, once all have proved themselves or failed to. Raises as `read`."""
        return self._build_participants(await wait_until_live(self._in_reach, self.resource))

    @property
    def _in_reach(self) -> list[Member]:
        if not self.refusals:
            return self.members
        return [member for member in self.members if member.name not in self.refusals]

    def _build_participants(self, proofs: Mapping[str, Outcome]) -> Participants:
        answering: list[Member] = []
        outcomes: list[Outcome] = []
        for member in self.members:
            if reason := self.refusals.get(member.name):
                outcomes.append(Outcome(member.name, OutcomeState.FORBIDDEN, reason))
                continue
            outcome = apply_mode(proofs[member.name], member, self.resource, self.on_unavailable)
            outcomes.append(outcome)
            if outcome.state in ANSWERED:
                answering.append(member)
        return Participants(sorted(answering, key=attrgetter("name")), tuple(outcomes), object())


class Availability:
    """Asks members on behalf of lists. `known` is set once it is known who they are.

    Who answered a question to all members is remembered, and is found again by a look at each of them.
    """

    def __init__(self, roster: Roster, known: asyncio.Event, member_timeout: float) -> None:
        self._roster = roster
        self._known = known
        self._member_timeout = member_timeout
        self._cache: Lru[_Question, CachedParticipants] = Lru(_MOST_KNOWN)

    async def wait_known(self) -> None:
        """Waits until the source has said which clusters exist. Raises ClusterTimeout."""
        if self._known.is_set():
            return
        try:
            async with asyncio.timeout(self._member_timeout):
                await self._known.wait()
        except TimeoutError:
            raise ClusterTimeout(
                "", "it is not known yet which clusters exist: their source has not answered"
            ) from None

    async def participants(
        self,
        scope: Scope,
        resource: ResourceName,
        names: frozenset[str] | None,
        on_unavailable: OnUnavailable,
        others: tuple[ResourceName, ...] = (),
        labelled: frozenset[str] | None = None,
    ) -> Participants:
        """Who answers of the named members, of all for None, once all have proved themselves or failed to.

        Of them only those that are `labelled` are asked, where that is given.

        A member is out of reach where nothing of the resource is, nor of the `others` that are read besides.
        Raises ClusterNotFound; Forbidden where nothing of the named clusters is in reach, with STRICT of one; with
        STRICT the ClusterError of the first member that is missing; ClusterTimeout while the members are not known.
        """
        await self.wait_known()
        found = self.participants_now(scope, resource, names, on_unavailable, others, labelled)
        return found or await self._build(scope, resource, names, on_unavailable, others, labelled).wait()

    def participants_now(
        self,
        scope: Scope,
        resource: ResourceName,
        names: frozenset[str] | None,
        on_unavailable: OnUnavailable,
        others: tuple[ResourceName, ...] = (),
        labelled: frozenset[str] | None = None,
    ) -> Participants | None:
        """As `participants`; None where something has to be waited for."""
        if not self._known.is_set():
            return None
        if names is not None:
            return self._build(scope, resource, names, on_unavailable, others, labelled).read()
        question, present = (scope, resource, on_unavailable, others, labelled), self._roster.present()
        cached = self._cache.get(question)
        if cached is not None:
            if not cached.is_unchanged(present):
                self._cache.clear()  # they all hold the same members, some of which may be gone
            elif (found := cached.read(asyncio.get_running_loop().time())) is not None:
                return found
        candidates = self._build(scope, resource, names, on_unavailable, others, labelled)
        found = candidates.read()
        forbidden = frozenset(candidates.refusals)
        if found is not None and is_cacheable(found, present, forbidden, on_unavailable):
            self._cache.put(question, CachedParticipants(present, found, forbidden))
        return found

    def _build(
        self,
        scope: Scope,
        resource: ResourceName,
        names: frozenset[str] | None,
        on_unavailable: OnUnavailable,
        others: tuple[ResourceName, ...],
        labelled: frozenset[str] | None,
    ) -> _Candidates:
        members = self._roster.named(scope, names)
        if labelled is not None:
            members = [member for member in members if member.name in labelled]
        refusals: dict[str, str] = {}
        for member in members:
            reasons = [refusal(scope, each, member.name) for each in (resource, *others)]
            if all(reasons):
                refusals[member.name] = reasons[0] or ""
        if names and refusals and (len(refusals) == len(members) or on_unavailable is OnUnavailable.STRICT):
            raise Forbidden(next(iter(refusals.values())))
        return _Candidates(resource, members, refusals, on_unavailable)
