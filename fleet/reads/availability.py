"""Which members a list is asked of: those in reach that prove themselves, and how each of them took part."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from operator import attrgetter
from typing import NamedTuple

from fleet.members.health import Kind
from fleet.members.member import Member
from fleet.members.roster import Roster, refusal
from fleet.model.errors import ClusterTimeout, Forbidden
from fleet.model.objects import OnUnavailable, Outcome, OutcomeState
from fleet.model.scope import Scope
from fleet.reads.availability_cache import Asked, Steady, is_steady
from fleet.reads.liveness import prove, read_proofs, settle

_ANSWERED = (OutcomeState.OK, OutcomeState.STALE)
_MOST_KNOWN = 64

_Question = tuple[Scope, Kind | None, OnUnavailable]


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
        return Asked(sorted(answering, key=attrgetter("name")), tuple(outcomes), object())


class Asker:
    """Asks members on behalf of lists. `known` is set once it is known who they are.

    Who answered a question to all members is remembered, and is found again by a look at each of them.
    """

    def __init__(self, roster: Roster, known: asyncio.Event, member_timeout: float) -> None:
        self._roster = roster
        self._known = known
        self._member_timeout = member_timeout
        self._steady: OrderedDict[_Question, Steady] = OrderedDict()

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

    async def ask(
        self, scope: Scope, kind: Kind | None, names: frozenset[str] | None, on_unavailable: OnUnavailable
    ) -> Asked:
        """Who answers of the named members, of all for None, once all have proved themselves or failed to.

        Raises ClusterNotFound; Forbidden where every named cluster is out of reach, with STRICT where one is; with
        STRICT the ClusterError of the first member that is missing; ClusterTimeout while the members are not known.
        """
        await self.wait_known()
        asked = self.ask_now(scope, kind, names, on_unavailable)
        return asked or await self._build(scope, kind, names, on_unavailable).wait()

    def ask_now(
        self, scope: Scope, kind: Kind | None, names: frozenset[str] | None, on_unavailable: OnUnavailable
    ) -> Asked | None:
        """As `ask`; None where something has to be waited for."""
        if not self._known.is_set():
            return None
        if names is not None:
            return self._build(scope, kind, names, on_unavailable).read()
        question, present = (scope, kind, on_unavailable), self._roster.present()
        steady = self._steady.get(question)
        if steady is not None:
            if steady.is_unchanged(present):
                return steady.read(asyncio.get_running_loop().time())
            self._steady.clear()  # they all hold the same members, some of which may be gone
        asking = self._build(scope, kind, names, on_unavailable)
        asked = asking.read()
        forbidden = frozenset(asking.refusals)
        if asked is not None and is_steady(asked, present, forbidden, on_unavailable):
            self._steady[question] = Steady(present, asked, forbidden)
            if len(self._steady) > _MOST_KNOWN:
                self._steady.popitem(last=False)
        return asked

    def _build(
        self, scope: Scope, kind: Kind | None, names: frozenset[str] | None, on_unavailable: OnUnavailable
    ) -> Asking:
        members = self._roster.named(scope, names)
        refusals = {member.name: reason for member in members if (reason := refusal(scope, kind, member.name))}
        if names and (len(refusals) == len(members) or (refusals and on_unavailable is OnUnavailable.STRICT)):
            raise Forbidden(next(iter(refusals.values())))
        return Asking(kind, members, refusals, on_unavailable)
