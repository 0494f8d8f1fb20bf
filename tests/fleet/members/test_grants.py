"""When members are asked what a caller may see, and for how long their word counts."""

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import msgspec
import pytest

from fleet.federation import Federation
from fleet.kubernetes.codec.codec import EVENTS, NAMESPACES, NODES, PODS, WORKLOADS, Codec
from fleet.members.grants import CALLERS_AT_ONCE
from fleet.members.member import FleetOptions
from fleet.model.errors import ClusterUnreachable, Forbidden
from fleet.model.objects import ClusterRole
from fleet.model.rights import Granted, Subject
from fleet.model.visibility import Role, Scope
from fleet.ports import Answer, Call, Credential, MemberSpec, StreamedAnswer, Upgraded
from fleet.registry import open_federation
from tests.fakes.waiting import until

MAX_AGE = 0.6
"""Seconds: what is tested here."""

_CODECS: tuple[Codec[Any], ...] = (EVENTS, NAMESPACES, NODES, PODS, *WORKLOADS.values())
LISTS = {codec.path: codec.kind for codec in _CODECS}
SELF = "selfsubjectrulesreviews"


class Member:
    """A member without objects. `verbs` are what its users may do with pods; it answers reviews while `open`."""

    def __init__(self, cluster: str) -> None:
        self.cluster = cluster
        self.verbs = ["list"]
        self.reviews: list[Subject | None] = []
        self.at_once = self.most_at_once = 0
        self.open = asyncio.Event()
        self.open.set()
        self.broken = False

    async def request(self, call: Call) -> Answer:
        if (kind := LISTS.get(call.path)) is not None:
            return Answer(200, {}, b'{"kind":"%sList","metadata":{"resourceVersion":"9"},"items":[]}' % kind.encode())
        if call.path.endswith(SELF):
            return await self._review(call)
        return Answer(200, {}, b'{"gitVersion":"v1.36.3"}')

    async def _review(self, call: Call) -> Answer:
        self.reviews.append(call.acting_for)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        await self.open.wait()
        self.at_once -= 1
        if self.broken:
            raise ClusterUnreachable(self.cluster, f"{self.cluster} is gone")
        rules = [{"verbs": self.verbs, "apiGroups": [""], "resources": ["pods"]}] if self.verbs else []
        return Answer(201, {}, msgspec.json.encode({"status": {"resourceRules": rules, "incomplete": False}}))

    @asynccontextmanager
    async def open_stream(self, call: Call) -> AsyncIterator[StreamedAnswer]:
        await asyncio.Event().wait()
        yield NotImplemented

    def open_upgrade(self, call: Call) -> AbstractAsyncContextManager[Upgraded]:
        raise NotImplementedError

    async def close(self) -> None: ...


class Source:
    def __init__(self, *members: Member) -> None:
        self.members = {member.cluster: member for member in members}

    async def snapshots(self) -> AsyncIterator[Mapping[str, MemberSpec]]:
        yield {name: MemberSpec(name, ClusterRole.MEMBER, Credential(name, "")) for name in self.members}
        await asyncio.Event().wait()

    async def open_connection(self, spec: MemberSpec) -> Member:
        return self.members[spec.name]


@pytest.fixture
def members() -> list[Member]:
    return [Member("c1"), Member("c2")]


@asynccontextmanager
async def open_granting(members: list[Member], max_age: float = 300.0) -> AsyncIterator[Federation]:
    async with open_federation(Source(*members), FleetOptions(grants_max_age=max_age)) as federation:
        yield federation


def scope_of(user: str, clusters: tuple[str, ...] = ("*",)) -> Scope:
    return Scope(Role.ADMIN, clusters, granted=Granted(Subject(user)))


def sees(scope: Scope) -> list[bool]:
    return [scope.sees_all_namespaces(name, "pods") for name in ("c1", "c2")]


async def test_who_asks_many_times_at_once_is_asked_about_once(members: list[Member]) -> None:
    async with open_granting(members) as federation:
        scopes = await asyncio.gather(*(federation.grant(scope_of("ann")) for _ in range(20)))
        assert all(sees(scope) == [True, True] for scope in scopes)
        assert len({id(scope.granted) for scope in scopes}) == 1
        assert [member.reviews for member in members] == [[Subject("ann")]] * 2


async def test_clusters_beyond_the_callers_reach_are_not_asked(members: list[Member]) -> None:
    async with open_granting(members) as federation:
        assert sees(await federation.grant(scope_of("ann", ("c1",)))) == [True, False]
        assert members[1].reviews == []


async def test_a_request_for_one_cluster_waits_for_no_other(members: list[Member]) -> None:
    members[1].open.clear()
    async with open_granting(members) as federation:
        scope = await federation.grant(scope_of("ann"), "c1")
        assert sees(scope) == [True, False]
        members[1].open.set()
        assert sees(await federation.grant(scope_of("ann"))) == [True, True]


async def test_a_cluster_out_of_reach_takes_as_long_as_one_that_is_not_there(members: list[Member]) -> None:
    members[0].verbs = []
    members[1].open.clear()
    async with open_granting(members) as federation:
        hidden = asyncio.create_task(federation.grant(scope_of("ann"), "c1"))
        none = asyncio.create_task(federation.grant(scope_of("ann"), "nope"))
        await until(lambda: members[0].at_once == 0 and members[0].reviews and members[1].reviews)
        for _ in range(20):
            await asyncio.sleep(0)
        assert (hidden.done(), none.done()) == (False, False)
        members[1].open.set()
        assert [(await each).sees_cluster("c1") for each in (hidden, none)] == [False, False]


async def test_many_callers_take_turns_at_a_member(members: list[Member]) -> None:
    async with open_granting(members) as federation:
        members[0].open.clear()
        asking = asyncio.gather(*(federation.grant(scope_of(f"user-{number}")) for number in range(20)))
        await until(lambda: members[0].at_once == CALLERS_AT_ONCE)
        members[0].open.set()
        assert all(sees(scope) == [True, True] for scope in await asking)
        assert members[0].most_at_once == CALLERS_AT_ONCE


async def test_rights_are_the_same_object_until_they_are_others(members: list[Member]) -> None:
    async with open_granting(members, MAX_AGE) as federation:
        first = await federation.grant(scope_of("ann"))
        await until(lambda: federation.grant_now(scope_of("ann")) and len(members[0].reviews) > 2)
        assert federation.grant_now(scope_of("ann")).granted is first.granted
        members[0].verbs = ["watch"]
        await until(lambda: sees(federation.grant_now(scope_of("ann"))) == [False, True])
        assert federation.grant_now(scope_of("ann")).granted is not first.granted


async def test_a_word_that_is_too_old_does_not_count(members: list[Member]) -> None:
    async with open_granting(members, MAX_AGE) as federation:
        loop = asyncio.get_running_loop()
        await federation.grant(scope_of("ann"))
        members[0].broken = True
        since = loop.time()
        await until(lambda: sees(federation.grant_now(scope_of("ann"))) == [False, True])
        granted = federation.grant_now(scope_of("ann")).granted
        assert loop.time() - since <= MAX_AGE + 5.0  # of a machine that has other work
        assert granted is not None
        assert granted.explain_refusal("c1", "list", "pods") == "what c1 lets you see is not known: c1 is gone"
        members[0].broken = False
        await until(lambda: sees(federation.grant_now(scope_of("ann"))) == [True, True])


async def test_whom_nobody_named_to_members_sees_nothing(members: list[Member]) -> None:
    async with open_granting(members) as federation:
        with pytest.raises(Forbidden, match="nobody said who this one is"):
            await federation.grant(Scope(Role.ADMIN))
        with pytest.raises(Forbidden, match="can't be named to a cluster"):
            await federation.grant(scope_of("system:admin"))
