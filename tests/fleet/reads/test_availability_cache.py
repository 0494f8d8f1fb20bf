"""Who answers is remembered, and is always what asking each member anew would tell."""

import asyncio
import random
from collections.abc import Callable
from itertools import product
from typing import Any

import pytest

from fleet.cache.reflector import Reflector
from fleet.kubernetes.codec.codec import NAMESPACES, NODES, PODS
from fleet.members.member import FleetOptions, Member
from fleet.members.roster import Roster
from fleet.members.watching import Watching
from fleet.model.errors import ClusterError, ClusterForbidden, ClusterTimeout, ClusterUnauthorized
from fleet.model.kinds import ResourceName
from fleet.model.objects import OnUnavailable
from fleet.model.visibility import Role, Scope
from fleet.ports import Answer
from fleet.reads.availability import Availability
from tests.fakes.clock import Loop
from tests.fakes.kubernetes import FakeCluster, FakeConnection, FakeSource, build_spec
from tests.fakes.records import build_pod_record

NAMES = ("openmcp", "c1", "c2", "c3")
FRESH = 60.0
OPTIONS = FleetOptions(fresh_seconds=FRESH)
SCOPES = (Scope(Role.VIEW), Scope(Role.VIEW, clusters=("c*",)), Scope(Role.VIEW, namespaces=("shop",)))
RESOURCES: tuple[ResourceName, ...] = ("pods", "nodes", "namespaces")


class Fleet:
    """Members that nobody runs: they are told what they would have seen."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, Loop)
        self.loop = loop
        self.source = FakeSource(*map(FakeCluster, NAMES))
        self.members: dict[str, Member] = {}
        self.reflectors: dict[str, dict[ResourceName, Reflector[Any]]] = {}
        for name in NAMES:
            self.join(name)
        known = asyncio.Event()
        known.set()
        self.build_availability: Callable[[], Availability] = lambda: Availability(Roster(self.members), known, 5.0)

    def join(self, name: str) -> None:
        member = self.members[name] = Member(build_spec(name), Watching(self.source, OPTIONS), OPTIONS)
        if name != "c3":  # nothing of it was ever listed
            member.pods.put(build_pod_record(name, "shop", "p"))
        connection = FakeConnection(self.source.clusters[name])
        self.reflectors[name] = {
            "pods": Reflector(connection, PODS, member.pods, on_seen=_ignore),
            "nodes": Reflector(connection, NODES, member.nodes, on_seen=_ignore),
            "namespaces": Reflector(connection, NAMESPACES, member.namespaces, on_seen=_ignore),
        }
        member.health.follow(self.reflectors[name])

    def heal(self) -> None:
        for name, member in self.members.items():
            for reflector in self.reflectors[name].values():
                reflector.live, reflector.problem = True, None
            member.note_following()
            member.health.note_spec(build_spec(name))
            member.health.note_answer(Answer(200, {}, b"ok"))

    def change(self, chance: random.Random) -> str:
        """Lets something happen to one of the members."""
        name = chance.choice(NAMES)
        if name not in self.members:
            self.join(name)
            return f"{name} joins"
        event = chance.choice(
            (self.answer, self.fail, self.fall_silent, self.follow, self.refuse, self.tell, self.leave, self.report)
        )
        event(name, chance)
        return f"{event.__name__} {name}"

    def answer(self, name: str, chance: random.Random) -> None:
        status = chance.choice((200, 200, 200, 500))
        self.members[name].health.note_answer(Answer(status, {}, b"[-]etcd failed: reason withheld"))

    def fail(self, name: str, chance: random.Random) -> None:
        kind: type[ClusterError] = chance.choice((ClusterTimeout, ClusterTimeout, ClusterTimeout, ClusterUnauthorized))
        for _ in range(chance.choice((1, 3))):  # three in a row cut it off
            self.members[name].health.note_failure(kind(name, f"failure {chance.random()}"))

    def refuse(self, name: str, chance: random.Random) -> None:
        reflector = self.reflectors[name]["pods"]
        reflector.live, reflector.problem = False, ClusterForbidden(name, f"refusal {chance.random()}")
        self.members[name].note_following()

    def fall_silent(self, name: str, chance: random.Random) -> None:
        """Time goes by, and all others give a sign of life."""
        self.loop.ahead += chance.choice((FRESH / 2, FRESH * 2))
        for other in self.members.keys() - {name}:
            self.members[other].health.note_seen()

    def follow(self, name: str, chance: random.Random) -> None:
        reflector = self.reflectors[name][chance.choice(RESOURCES)]
        reflector.live, reflector.problem = chance.random() < 0.8, None
        self.members[name].note_following()

    def tell(self, name: str, chance: random.Random) -> None:
        offline = None if chance.random() < 0.8 else f"gone {chance.random()}"
        self.members[name].health.note_spec(build_spec(name, offline=offline))

    def report(self, name: str, chance: random.Random) -> None:
        """It is followed from now on, until its own reflectors are live."""
        at = self.loop.time()
        member, reports = self.members[name], self.members[chance.choice([*self.members])]
        member.report(reports.standing(), at - chance.choice((0, FRESH / 4)), at - chance.choice((0, FRESH / 2)))

    def leave(self, name: str, chance: random.Random) -> None:
        if chance.random() < 0.3:
            del self.members[name]


def _ignore() -> None:
    """Proofs are told to members, since nobody runs their watches."""


def tell(availability: Availability, scope: Scope, kind: ResourceName, mode: OnUnavailable) -> Any:
    """What is told, but for the age, which is of the moment."""
    try:
        asked = availability.participants_now(scope, kind, None, mode)
    except ClusterError as error:
        return type(error), str(error)
    if asked is None:
        return None
    outcomes = [(each.cluster, each.state, each.message, each.took_ms) for each in asked.outcomes]
    ages = [None if each.age_seconds is None else round(each.age_seconds / FRESH, 1) for each in asked.outcomes]
    return asked.members, outcomes, ages


@pytest.mark.parametrize("seed", range(40))
def test_what_is_remembered_is_what_asking_anew_tells(seed: int) -> None:
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(compare(seed))


async def compare(seed: int) -> None:
    chance, fleet = random.Random(seed), Fleet()
    availability, done = fleet.build_availability(), ["all join"]
    for _ in range(100):
        if chance.random() < 0.3:
            fleet.heal()
            done.append("all are well")
        done += [fleet.change(chance) for _ in range(chance.randrange(3))]
        for question in product(SCOPES, RESOURCES, OnUnavailable):
            assert tell(availability, *question) == tell(fleet.build_availability(), *question), (question, done[-5:])


def test_who_has_proved_itself_is_not_asked_again_until_something_changes() -> None:
    with asyncio.Runner(loop_factory=Loop) as runner:
        runner.run(ask_in_a_row())


async def ask_in_a_row() -> None:
    fleet = Fleet()
    availability, scope = fleet.build_availability(), SCOPES[0]
    fleet.heal()
    first = availability.participants_now(scope, "pods", None, OnUnavailable.PARTIAL)
    fleet.members["c1"].health.note_answer(Answer(200, {}, b"ok"))
    again = availability.participants_now(scope, "pods", None, OnUnavailable.PARTIAL)
    fleet.members["c1"].health.note_answer(Answer(500, {}, b"[-]etcd failed: reason withheld"))
    last = availability.participants_now(scope, "pods", None, OnUnavailable.PARTIAL)
    assert first is not None
    assert again is not None
    assert last is not None
    assert again.members is first.members, "an answer like the one before is no change"
    assert [each.message for each in last.outcomes] == [None, "not ready: etcd failed", None, None]
