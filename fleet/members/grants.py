"""What members let callers see, asked of them as the callers and kept for seconds: all reads hold against it.

What is older than `max_age` does not count: who can't be asked shows nothing. It is asked again, for whoever wants it,
well before, so that who comes again does not wait.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from math import inf
from weakref import WeakKeyDictionary

from msgspec import Struct
from msgspec.structs import replace

from fleet.aio.complaints import Complaints
from fleet.aio.lru import Lru
from fleet.kubernetes.access_reviews import load_rights, may
from fleet.kubernetes.impersonation import check_subject
from fleet.members.member import Member
from fleet.members.roster import Roster
from fleet.model.errors import ClusterError, FleetError, Forbidden
from fleet.model.objects import OutcomeState
from fleet.model.request_info import RequestInfo
from fleet.model.rights import ClusterRights, Granted, Rules, Subject
from fleet.model.visibility import Scope

MOST_CALLERS = 2_000
"""Callers whose rights are kept: a set of rules takes some KiB, and equal ones are one."""

AGAIN = 0.4
"""The part of `max_age` after which a member is asked again."""

RETRY_SECONDS = 1.0
"""After which a member that could not be asked is asked again, for whoever comes meanwhile."""

CALLERS_AT_ONCE = 4
"""Callers about whom a member is asked at a time, so that many who come at once leave it its other work."""

_MOST_RULES = 4_096

_log = logging.getLogger(__name__)


class _Told(Struct, frozen=True):
    """What a member said last, and when it was asked (the loop's time, seconds); at `tried_at` that failed."""

    at: float = -inf
    rights: ClusterRights | None = None
    tried_at: float = -inf
    problem: str = "it was not asked yet"

    def is_due(self, now: float, max_age: float) -> bool:
        """Whether to ask it again."""
        return now >= max(self.at + max_age * AGAIN, self.tried_at + RETRY_SECONDS)


class _Caller:
    """One caller's rights by member, and what is being asked."""

    def __init__(self, subject: Subject) -> None:
        self.told: dict[str, _Told] = {}
        self.asking: dict[str, asyncio.Task[None]] = {}
        self._problems: dict[str, str] = {}
        self._granted = Granted(subject, problems=self._problems)

    async def wait(self, oldest: float, cluster: str | None) -> None:
        """Waits for the members, or the one, that said nothing since, and are being asked."""
        waiting = [
            task
            for name, task in self.asking.items()
            if cluster in (None, name) and max((told := self.told[name]).at, told.tried_at) < oldest
        ]
        if waiting:
            await asyncio.wait(waiting)

    def build(self, now: float, max_age: float) -> Granted:
        """What counts at this moment; the same object for as long as it says the same."""
        clusters: dict[str, ClusterRights] = {}
        self._problems.clear()
        for name, told in self.told.items():
            if told.rights is not None and now - told.at <= max_age:
                clusters[name] = told.rights
            else:
                self._problems[name] = told.problem
        if clusters != self._granted.clusters:
            self._granted = replace(self._granted, clusters=clusters)
        return self._granted


class Grants:
    """Asks members on behalf of callers. `max_age` and `timeout` (of all that a member is asked at a time): seconds."""

    def __init__(self, roster: Roster, *, max_age: float, timeout: float) -> None:
        self._roster = roster
        self.max_age = max_age
        self._timeout = timeout
        self._callers: Lru[tuple[Subject, Scope], _Caller] = Lru(MOST_CALLERS)
        self._rules: Lru[Rules, Rules] = Lru(_MOST_RULES)
        self._tasks: set[asyncio.Task[None]] = set()
        self._complaints = Complaints()
        self._turns: WeakKeyDictionary[Member, asyncio.Semaphore] = WeakKeyDictionary()

    async def load(self, scope: Scope, cluster: str | None = None) -> Scope:
        """The scope with what members grant by now, waiting for those not asked lately, or for the named one alone.

        Raises Forbidden for a caller who can't be named to a member.
        """
        began, caller = asyncio.get_running_loop().time(), self._ask(scope)
        await caller.wait(began - self.max_age, cluster)
        # What counted when the caller came does so when the slowest member has answered, or has not.
        granted = caller.build(began, self.max_age)
        if cluster is not None and (cluster not in caller.told or not granted.reaches(cluster)):
            # One that is not to be heard of takes as long as one that is not there.
            await caller.wait(began - self.max_age, None)
            granted = caller.build(began, self.max_age)
        return replace(scope, granted=granted)

    def find(self, scope: Scope) -> Scope:
        """The same at once, with what is known already; what is not is being asked. Raises as `load`."""
        caller = self._ask(scope)
        return replace(scope, granted=caller.build(asyncio.get_running_loop().time(), self.max_age))

    async def aclose(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def follow(self, scope: Scope, cluster: str, info: RequestInfo) -> Callable[[], Awaitable[None]]:
        """What raises Forbidden once the member would not carry a request out any more that it has just begun."""
        return _Followed(self, self._subject(scope), cluster, info).check

    async def may(self, subject: Subject, cluster: str, info: RequestInfo) -> bool:
        """Raises ClusterError."""
        member = self._roster.find(cluster)
        if member is None:
            return False
        return await may(member.check_reachable(), subject, info, self._timeout)

    def _subject(self, scope: Scope) -> Subject:
        if scope.granted is None:
            raise Forbidden("members decide what a caller may see, and nobody said who this one is to them")
        return check_subject(scope.granted.subject)

    def _ask(self, scope: Scope) -> _Caller:
        """The caller of a scope, after it was begun to ask for whatever is missing or about to be outdated."""
        key = (self._subject(scope), replace(scope, granted=None))
        caller = self._callers.get(key)
        if caller is None:
            caller = _Caller(key[0])
            self._callers.put(key, caller)
        now = asyncio.get_running_loop().time()
        members = [member for member in self._roster.present() if scope.names_cluster(member.name)]
        for gone in caller.told.keys() - {member.name for member in members} - caller.asking.keys():
            del caller.told[gone]
        for member in members:
            told = caller.told.setdefault(member.name, _Told())
            if member.name not in caller.asking and told.is_due(now, self.max_age):
                task = asyncio.create_task(self._ask_member(caller, *key, member), name="reviews of a caller's rights")
                caller.asking[member.name] = task
                self._tasks.add(task)
                task.add_done_callback(self._tasks.discard)
        return caller

    async def _ask_member(self, caller: _Caller, subject: Subject, scope: Scope, member: Member) -> None:
        at = asyncio.get_running_loop().time()
        try:
            caller.told[member.name] = await self._tell(caller.told[member.name], at, subject, scope, member)
        finally:
            del caller.asking[member.name]

    async def _tell(self, known: _Told, at: float, subject: Subject, scope: Scope, member: Member) -> _Told:
        try:
            turn = self._turns.setdefault(member, asyncio.Semaphore(CALLERS_AT_ONCE))
            async with asyncio.timeout(self._timeout), turn:
                told = _Told(at, await self._load(subject, scope, member))
        except TimeoutError:
            problem = f"it did not say so within {self._timeout:g} s"
        except FleetError as error:
            problem = str(error)
        else:
            self._complaints.settle(member.name)
            return told
        if self._complaints.is_due(member.name, problem):
            _log.warning("what %s lets user %s see is not known: %s", member.name, subject.user, problem)
        return replace(known, tried_at=asyncio.get_running_loop().time(), problem=problem)

    async def _load(self, subject: Subject, scope: Scope, member: Member) -> ClusterRights:
        outcome = await member.ensure_fresh("namespaces")
        connection = member.check_reachable()
        known = () if outcome.state is OutcomeState.FORBIDDEN else member.namespaces
        names = sorted(entry.name for entry in known if scope.names_namespace(member.name, entry.name))
        rights = await load_rights(connection, subject, names, self._timeout)
        namespaces = {name: self._share(rules) for name, rules in rights.namespaces.items()}
        return ClusterRights(self._share(rights.everywhere), namespaces)

    def _share(self, rules: Rules) -> Rules:
        """The one that says the same, for all callers."""
        known = self._rules.get(rules)
        if known is None:
            self._rules.put(rules, rules)
        return known or rules


class _Followed:
    """A request that goes on, which the member has allowed at its begin."""

    def __init__(self, grants: Grants, subject: Subject, cluster: str, info: RequestInfo) -> None:
        self._grants = grants
        self._subject = subject
        self._cluster = cluster
        self._info = info
        self._allowed_at = asyncio.get_running_loop().time()

    async def check(self) -> None:
        at, cluster = asyncio.get_running_loop().time(), self._cluster
        if at - self._allowed_at < self._grants.max_age * AGAIN:
            return
        try:
            allowed = await self._grants.may(self._subject, cluster, self._info)
        except ClusterError as error:
            if at - self._allowed_at > self._grants.max_age:
                raise Forbidden(f"whether {cluster} still allows this is not known: {error}") from error
            return
        if not allowed:
            raise Forbidden(f"{cluster} does not let user {self._subject.user[:100]!r} do this any more")
        self._allowed_at = at
