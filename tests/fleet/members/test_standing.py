"""What one process tells another of a member lets that one answer as the first does, or say that it can't know."""

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

import msgspec
import pytest

from fleet.cache.reflector import Reflector
from fleet.kubernetes.codec.codec import EVENTS, NAMESPACES, NODES, PODS, WORKLOADS, Codec
from fleet.members.member import FleetOptions, Member
from fleet.members.roster import Roster
from fleet.members.signs import FollowedWorkloads, now
from fleet.members.standing import Standing
from fleet.members.watching import Watching
from fleet.model.errors import (
    ClusterAnswerInvalid,
    ClusterAnswerTooLarge,
    ClusterError,
    ClusterForbidden,
    ClusterTimeout,
    ClusterUnauthorized,
    ClusterUnreachable,
)
from fleet.model.kinds import ResourceName
from fleet.model.objects import ClusterHealth, OnUnavailable, OutcomeState
from fleet.model.told import detail_of, foreign, tell
from fleet.model.visibility import Role, Scope
from fleet.ports import Answer
from fleet.reads.availability import Availability
from fleet.reads.availability_cache import Participants
from fleet.reads.liveness import require_live
from tests.fakes.clock import Loop
from tests.fakes.kubernetes import FakeCluster, FakeConnection, FakeSource, build_spec

OPTIONS = FleetOptions(fresh_seconds=2.0, member_timeout=0.05)
KINDS: tuple[ResourceName, ...] = ("pods", "nodes", "namespaces", "events", "workloads")
WELL = Answer(200, {}, b"ok")


class Watched:
    """A member that nobody runs: it is told what a process that watches it would have seen."""

    def __init__(self, unlisted: str = "") -> None:
        source = FakeSource(FakeCluster("east"))
        connection = FakeConnection(source.clusters["east"])
        self.member = member = Member(build_spec("east"), Watching(source, OPTIONS), OPTIONS)
        codecs: dict[str, Codec[Any]] = {"pods": PODS, "nodes": NODES, "namespaces": NAMESPACES, "events": EVENTS}
        codecs["deployments"] = WORKLOADS["Deployment", "apps/v1"]
        self.reflectors = {
            name: Reflector(connection, codec, member.pods, on_seen=lambda: None) for name, codec in codecs.items()
        }
        for name, reflector in self.reflectors.items():
            reflector.live = True
            if name not in ("deployments", unlisted):
                getattr(member.stores, name).stage().commit()
        self.follow()
        member.health.note_answer(WELL)

    def follow(self) -> None:
        reflectors: dict[ResourceName, Any] = {kind: self.reflectors[kind] for kind in KINDS if kind != "workloads"}
        workloads = FollowedWorkloads(self.reflectors["pods"], [self.reflectors["deployments"]], 3)
        self.member.health.follow({**reflectors, "workloads": workloads})


def build_follower() -> Member:
    follower = Member(build_spec("east"), Watching(FakeSource(), OPTIONS), OPTIONS)
    for kind in ("pods", "nodes", "namespaces", "events"):
        getattr(follower.stores, kind).stage().commit()
    return follower


def report(watched: Member, follower: Member) -> None:
    """As over the wire."""
    standing = msgspec.msgpack.decode(msgspec.msgpack.encode(watched.standing()), type=Standing)
    follower.report(standing, now(), watched.health.signs.last_seen)


def told(member: Member) -> list[Any]:
    """All that is said of a member, in both wordings, but for the age, which is of the moment."""
    said: list[Any] = []
    for kind in KINDS:
        verdict = member.health.verdict(kind, asked=0.0)
        said += [verdict and verdict.state, verdict and verdict.message, member.health.explain_wait(kind, 5.0)]
    said += [member.health.cut_off(), *member.health.summary(), member.version]
    return [(each, detail_of(each)) for each in said]


REASON = tell("{} can't be reached: {}", "east", foreign("dial https://10.0.0.7:6443: refused"))
ERRORS = (
    ClusterUnreachable,
    ClusterTimeout,
    ClusterUnauthorized,
    ClusterForbidden,
    ClusterAnswerInvalid,
    ClusterAnswerTooLarge,
)


def fail(watched: Watched, error: type[ClusterError], times: int = 1) -> None:
    for _ in range(times):
        watched.member.health.note_failure(error("east", REASON))


def refuse(watched: Watched, kind: str, error: type[ClusterError] = ClusterForbidden, failures: int = 1) -> None:
    reflector = watched.reflectors[kind]
    reflector.live, reflector.problem, reflector.failures = False, error("east", REASON), failures
    watched.member.note_following()


def answer_unready(watched: Watched) -> None:
    watched.member.health.note_answer(Answer(500, {}, b"[-]etcd failed: reason withheld"))


CASES: dict[str, Callable[[Watched], None]] = {
    "well": lambda watched: None,
    **{f"fails with {each.__name__}": partial(fail, error=each) for each in ERRORS},
    **{
        f"its nodes failed {times} times with {each.__name__}": partial(
            refuse, kind="nodes", error=each, failures=times
        )
        for each in ERRORS
        for times in (1, 3)
    },
    "breaker open": partial(fail, error=ClusterTimeout, times=3),
    "unready": answer_unready,
    "a kind of workloads is refused": partial(refuse, kind="deployments"),
    "pods are not listed yet": partial(refuse, kind="pods", error=ClusterTimeout),
    "its events are refused": partial(refuse, kind="events"),
}


@pytest.mark.parametrize("case", CASES)
def test_a_follower_says_what_the_writer_says(case: str) -> None:
    async def act(_: Loop) -> None:
        watched, follower = Watched(), build_follower()
        CASES[case](watched)
        report(watched.member, follower)
        assert told(follower) == told(watched.member)
        assert follower.standing() == watched.member.standing(), "it may be passed on"

    run(act)


def build_availability(member: Member) -> Availability:
    known = asyncio.Event()
    known.set()
    return Availability(Roster({"east": member}), known, 5.0)


def ask(availability: Availability, mode: OnUnavailable = OnUnavailable.PARTIAL) -> Participants:
    asked = availability.participants_now(Scope(Role.VIEW), "pods", None, mode)
    assert asked is not None
    return asked


def run(act: Callable[[Loop], Awaitable[None]]) -> None:
    with asyncio.Runner(loop_factory=Loop) as runner:

        async def main() -> None:
            loop = asyncio.get_running_loop()
            assert isinstance(loop, Loop)
            await act(loop)

        runner.run(main())


def test_what_was_reported_ends_where_the_writer_says_otherwise() -> None:
    async def act(_: Loop) -> None:
        watched, follower = Watched(), build_follower()
        for case in CASES.values():
            case(watched)
            report(watched.member, follower)
        assert told(follower) == told(watched.member)
        watched = Watched()
        report(watched.member, follower)
        assert told(follower) == told(watched.member)

    run(act)


@pytest.mark.parametrize("case", CASES)
def test_a_member_of_which_nothing_more_is_heard_is_stale_whatever_was_said(case: str) -> None:
    async def act(loop: Loop) -> None:
        watched, follower = Watched(), build_follower()
        CASES[case](watched)
        report(watched.member, follower)
        follower.health.expect_reports("the shared state can't be reached")
        loop.ahead += 4
        verdict = follower.health.verdict("pods", now())
        reason = "nothing was heard of east for 4 s: the shared state can't be reached"
        assert verdict is not None
        assert (verdict.state, verdict.message) == (OutcomeState.STALE, reason)
        assert (round(verdict.age_seconds or 0), follower.health.cut_off()) == (4, None)
        assert follower.health.summary() == (ClusterHealth.UNKNOWN, reason)

    run(act)


def test_stale_members_answer_in_each_mode_but_strict_and_single_objects_too() -> None:
    async def act(loop: Loop) -> None:
        watched, follower = Watched(), build_follower()
        availability = build_availability(follower)
        report(watched.member, follower)
        asked = ask(availability)
        assert [each.state for each in asked.outcomes] == [OutcomeState.OK]
        loop.ahead += 2.1
        for mode in (OnUnavailable.PARTIAL, OnUnavailable.STALE):
            asked = ask(availability, mode)
            assert (asked.members, [each.state for each in asked.outcomes]) == ([follower], [OutcomeState.STALE])
        with pytest.raises(ClusterUnreachable, match="nothing was heard of east for 2 s: its writer says nothing"):
            ask(availability, OnUnavailable.STRICT)
        await require_live(follower, "pods")

    run(act)


def test_a_cut_off_is_not_remembered_for_longer_than_it_was_heard() -> None:
    async def act(loop: Loop) -> None:
        watched, follower = Watched(), build_follower()
        availability = build_availability(follower)
        fail(watched, ClusterTimeout, times=3)
        report(watched.member, follower)
        states = []
        for seconds in (0, 1, 2):
            loop.ahead += seconds
            asked = ask(availability)
            states.append(asked.outcomes[0].state)
        assert states == [OutcomeState.UNREACHABLE, OutcomeState.UNREACHABLE, OutcomeState.STALE]

    run(act)


def test_a_kind_that_was_never_listed_is_not_stale() -> None:
    async def act(loop: Loop) -> None:
        watched, follower = Watched(unlisted="nodes"), build_follower()
        refuse(watched, "nodes")
        report(watched.member, follower)
        loop.ahead += 4
        verdict = follower.health.verdict("nodes", now())
        assert verdict is not None
        assert (verdict.state, verdict.message) == (OutcomeState.FORBIDDEN, REASON)

    run(act)


def test_a_member_that_is_silent_while_its_writer_speaks_is_waited_for() -> None:
    async def act(loop: Loop) -> None:
        watched, follower = Watched(), build_follower()
        loop.ahead += 4
        report(watched.member, follower)
        waiting = asyncio.ensure_future(follower.ensure_fresh("pods"))
        await asyncio.sleep(0)
        watched.member.health.note_answer(WELL)
        report(watched.member, follower)
        assert (await waiting).state is OutcomeState.OK
        loop.ahead += 4
        report(watched.member, follower)
        outcome = await follower.ensure_fresh("pods")
        assert (outcome.state, outcome.message) == (OutcomeState.TIMEOUT, "east gave no sign of life within 0.05 s")

    run(act)


def test_a_member_of_which_nothing_was_heard_yet_says_why() -> None:
    async def act(_: Loop) -> None:
        follower = build_follower()
        follower.health.expect_reports("the shared state can't be reached")
        outcome = await follower.ensure_fresh("pods")
        reason = "nothing was heard of east within 0.05 s: the shared state can't be reached"
        assert (outcome.state, outcome.message, outcome.age_seconds) == (OutcomeState.TIMEOUT, reason, None)
        told_yet = "nothing was heard of east yet: the shared state can't be reached"
        assert follower.health.summary() == (ClusterHealth.UNKNOWN, told_yet)

    run(act)


def test_what_was_reported_answers_until_the_own_watches_are_live() -> None:
    async def act(loop: Loop) -> None:
        watched, taking = Watched(), Watched()
        answer_unready(watched)
        for reflector in taking.reflectors.values():
            reflector.live = False
        report(watched.member, taking.member)
        taking.follow()
        said: list[object] = []
        for kind in ("pods", "nodes", "namespaces", "events", "deployments", ""):
            loop.ahead += 0.6
            taking.member.health.note_answer(WELL)
            verdict = taking.member.health.verdict("pods", now())
            said.append(verdict and (verdict.state.name, verdict.message, round(verdict.age_seconds or 0.0, 1)))
            if kind:
                taking.reflectors[kind].live = True
                taking.member.note_following()
        silence = "nothing was heard of east for {} s: its writer says nothing"
        assert said[:3] == [("OK", "not ready: etcd failed", age) for age in (0.6, 1.2, 1.8)]
        assert said[3:] == [
            ("STALE", silence.format(2), 2.4),
            ("STALE", silence.format(3), 3.0),
            ("OK", None, 0.0),
        ]

    run(act)


def test_who_follows_what_it_watched_forgets_what_it_found_itself() -> None:
    async def act(_: Loop) -> None:
        watched, other = Watched(), Watched()
        fail(watched, ClusterUnauthorized)
        report(other.member, watched.member)
        watched.member.note_following()
        assert told(watched.member) == told(other.member)

    run(act)


def test_an_error_of_a_later_version_is_a_member_that_is_not_reached() -> None:
    async def act(_: Loop) -> None:
        follower = build_follower()
        body = {"failure": {"error": "ClusterMoved", "words": {"public": "it moved"}}, "later": 1}
        follower.report(msgspec.convert(body, Standing), now(), now())
        verdict = follower.health.verdict("pods", now())
        assert verdict is not None
        assert (verdict.state, verdict.message) == (OutcomeState.UNREACHABLE, "it moved")

    run(act)
