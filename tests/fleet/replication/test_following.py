"""A replica that follows a member's stream, on real servers: what it serves, and what it says where it can't know."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from fleet.members.member import Member
from fleet.members.signs import now
from fleet.members.standing import NO_WORD, KindStanding, Problem, Standing, Words
from fleet.model.kinds import ResourceName
from fleet.model.kube_objects import Event, Subject
from fleet.model.objects import Namespace, Outcome, OutcomeState, Pod
from fleet.model.told import plain
from fleet.replication.connection import UNREACHABLE
from fleet.replication.following import LAGGING, LISTING, NO_STREAM, Following
from fleet.replication.records import NEWEST
from realfleet.nats import NatsServer
from tests.fakes.records import build_node_record, build_pod_record, build_workload_record
from tests.fakes.shared_state import EAST, WELL, HandWriter, SlowTurns, open_following, open_writer
from tests.fakes.waiting import PATIENCE, until
from tests.required import both_versions

Changes = list[tuple[Any, Any]]
NAMESPACE = Namespace(
    cluster="east", name="shop", uid="u", resource_version="1", phase="Active", created_at=0.0, labels=()
)


def build_pod(name: str, version: str = "1") -> Pod:
    return build_pod_record("east", "shop", name, version=version)


def build_event(name: str, last_seen: float) -> Event:
    return Event(
        namespace="shop",
        name=name,
        type="Normal",
        reason="Pulled",
        message="done",
        count=1,
        first_seen=last_seen,
        last_seen=last_seen,
        source="kubelet",
        regarding=Subject("east", "v1", "Pod", "shop", "p"),
    )


def names(member: Member) -> list[str]:
    return [pod.name for pod in member.pods]


def verdict(member: Member, resource: ResourceName = "pods") -> Outcome | None:
    return member.health.verdict(resource, now())


def said(member: Member) -> tuple[OutcomeState | None, str | None]:
    found = verdict(member)
    return (None, None) if found is None else (found.state, found.message and plain(found.message))


async def until_state(member: Member, state: OutcomeState) -> None:
    await until(lambda: said(member)[0] is state, what=f"{state} ({said(member)})")


async def until_silence(member: Member, reason: str) -> None:
    """Waits until it is stale, and says that it is for this."""
    await until(
        lambda: (found := said(member))[0] is OutcomeState.STALE and str(found[1]).endswith(f" s: {reason}"),
        what=f"stale for {reason!r}",
    )


def note_changes(member: Member) -> Changes:
    changes: Changes = []
    member.pods.listen(lambda old, new: changes.append((old and old.resource_version, new and new.resource_version)))
    return changes


@asynccontextmanager
async def following(
    server: NatsServer, *pods: str, **options: Any
) -> AsyncIterator[tuple[HandWriter, Member, Following]]:
    """A writer that is well, and a replica that has its snapshot."""
    async with open_writer(server.url) as writer:
        await writer.make_stream()
        await writer.put_pods(*map(build_pod, pods))
        await writer.mark()
        async with open_following(server.url, **options) as (member, follower):
            await until(lambda: follower.committed)
            yield writer, member, follower


@both_versions
async def test_a_replica_serves_what_the_stream_holds_and_what_changes(nats_server: NatsServer) -> None:
    node, workload = build_node_record("east", "n1"), build_workload_record("east", "shop", "web")
    async with open_writer(nats_server.url) as writer:
        await writer.make_stream()
        await writer.put_pods(build_pod("a"), build_pod("b"))
        await writer.put("nodes", ("", "n1"), node)
        await writer.put("namespaces", ("", "shop"), NAMESPACE)
        await writer.put("workloads", ("shop", workload.entry), workload)
        await writer.put("events", ("shop", "e"), build_event("e", 1.0))
        await writer.drop("pods", ("shop", "b"))
        await writer.mark()
        async with open_following(nats_server.url) as (member, follower):
            await until(lambda: follower.committed)
            stores = member.stores
            assert (names(member), stores.nodes.all(), stores.namespaces.all()) == (["a"], (node,), (NAMESPACE,))
            assert stores.workloads.all() == (workload,)
            assert [event.name for event in stores.events.newest()] == ["e"]
            assert (said(member), member.version) == ((OutcomeState.OK, None), "v1.36.0")
            changes = note_changes(member)
            await writer.put_pods(build_pod("a"), build_pod("a", "2"), build_pod("c"))
            await writer.drop("workloads", ("shop", workload.entry))
            await writer.put("events", ("shop", "f"), build_event("f", 2.0))
            await follower.wait_applied(await writer.drop("pods", ("shop", "a")))
            assert changes == [("1", "2"), (None, "1"), ("2", None)], "what is as before is no change"
            assert [event.name for event in stores.events.newest()] == ["f", "e"]
            assert (stores.workloads.all(), follower.snapshots, follower.messages) == ((), 1, 12)


async def test_a_stream_that_is_not_complete_is_not_served(nats_server: NatsServer) -> None:
    async with open_writer(nats_server.url) as writer, open_following(nats_server.url) as (member, follower):
        await until(lambda: member.health.summary()[1] == f"nothing was heard of east yet: {NO_STREAM}")
        await writer.make_stream()
        await writer.put_pods(build_pod("a"))
        await follower.wait_applied(await writer.mark(complete=False))
        assert (names(member), verdict(member), follower.committed) == ([], None, False)
        await follower.wait_applied(await writer.mark())
        assert (names(member), said(member)[0], follower.committed) == (["a"], OutcomeState.OK, True)


async def test_kinds_that_were_never_listed_stay_unknown(nats_server: NatsServer) -> None:
    refused = KindStanding(lasting=True, problem=Problem("ClusterForbidden", Words("no rights to nodes")))
    standing = Standing(kinds={**WELL.kinds, "nodes": refused})
    async with open_writer(nats_server.url) as writer:
        await writer.make_stream()
        await writer.mark(standing=standing)
        async with open_following(nats_server.url) as (member, follower):
            await until(lambda: follower.committed)
            found = verdict(member, "nodes")
            assert found is not None
            assert (found.state, found.message) == (OutcomeState.FORBIDDEN, "no rights to nodes")
            assert [member.has_listed(kind) for kind in ("pods", "nodes", "namespaces")] == [True, False, True]
            await follower.wait_applied(await writer.mark())
            assert (member.has_listed("nodes"), (verdict(member, "nodes") or found).state) == (True, OutcomeState.OK)


@both_versions
async def test_what_a_server_that_is_away_missed_is_caught_up_with(nats_server: NatsServer) -> None:
    async with following(nats_server, "a", "b") as (writer, member, follower):
        changes = note_changes(member)
        await asyncio.to_thread(nats_server.stop)
        await until_silence(member, UNREACHABLE)
        assert names(member) == ["a", "b"]
        await asyncio.to_thread(nats_server.start)
        begun = now()
        await until(lambda: writer.client.is_connected)
        await writer.put_pods(build_pod("c"))
        await writer.drop("pods", ("shop", "a"))
        await writer.mark()
        await until_state(member, OutcomeState.OK)
        assert (names(member), changes, follower.snapshots) == (["b", "c"], [(None, "1"), ("1", None)], 1)
        logging.getLogger(__name__).info("well after %.1f s", now() - begun)


@both_versions
async def test_a_server_that_comes_back_empty_empties_no_replica(nats_server: NatsServer) -> None:
    async with following(nats_server, "a", "b") as (writer, member, follower):
        before, changes = member.pods.all(), note_changes(member)
        await asyncio.to_thread(nats_server.restart, empty=True)
        await until_silence(member, NO_STREAM)
        await until(lambda: writer.client.is_connected)
        await writer.make_stream()
        await writer.mark(complete=False)
        await writer.put_pods(build_pod("b"))
        await writer.mark(complete=False)
        await until_silence(member, LISTING)
        assert member.pods.all() == before
        await writer.put_pods(build_pod("c"))
        await writer.mark()
        await until_state(member, OutcomeState.OK)
        assert (names(member), member.pods.all()[0] is before[1], follower.snapshots) == (["b", "c"], True, 2)
        assert changes == [("1", None), (None, "1")]


async def test_a_stream_that_is_made_anew_is_read_from_its_beginning(nats_server: NatsServer) -> None:
    async with following(nats_server, *"abc") as (writer, member, follower):
        last = follower.applied
        await writer.js.delete_stream(EAST.stream)
        await writer.make_stream()
        await writer.put_pods(build_pod("d"))
        assert await writer.mark() < last
        await until(lambda: names(member) == ["d"])
        await writer.mark()
        await until_state(member, OutcomeState.OK)
        assert follower.snapshots == 2


async def test_a_consumer_that_is_gone_is_made_anew(nats_server: NatsServer) -> None:
    async with following(nats_server, "a") as (writer, member, follower):
        for consumer in await writer.js.consumers_info(EAST.stream):
            await writer.js.delete_consumer(EAST.stream, consumer.name)
        await follower.wait_applied(await writer.put("pods", ("shop", "b"), build_pod("b")))
        assert (names(member), follower.snapshots) == (["a", "b"], 1)


async def test_a_replica_that_missed_tombstones_reads_all_again(nats_server: NatsServer) -> None:
    async with following(nats_server, "a", "b", marker_seconds=4.0) as (writer, member, follower):
        await writer.js.purge_stream(EAST.stream, subject=EAST.of("pods", ("shop", "a")))
        await follower.wait_applied(await writer.mark())
        assert names(member) == ["a", "b"], "nobody told"
        nats_server.stop()
        time.sleep(2.5)  # noqa: ASYNC251 - a process that is frozen notices nothing of it
        nats_server.start()
        await until(lambda: names(member) == ["b"])
        assert follower.snapshots == 2


async def test_a_replica_that_lags_for_longer_than_tombstones_live_reads_all_again(nats_server: NatsServer) -> None:
    slow = SlowTurns(0.0)
    async with following(nats_server, "a", turns=slow, marker_seconds=2.0) as (writer, member, follower):
        slow.seconds = 0.3
        for start in range(0, 5_000, 1000):
            await writer.put_pods(*(build_pod(f"p{number}") for number in range(start, start + 1000)))
        await writer.js.purge_stream(EAST.stream, subject=EAST.of("pods", ("shop", "a")))
        last, sent = await writer.mark(), now()
        await until(lambda: now() > sent + 1.2)
        assert follower.applied < last
        slow.seconds = 0.0
        await until(lambda: follower.snapshots == 2 and follower.committed)
        assert len(member.pods) == 5_000


async def test_a_writer_that_says_nothing_is_named_and_nothing_is_read_again(nats_server: NatsServer) -> None:
    async with following(nats_server, "a") as (writer, member, follower):
        told: list[object] = []
        member.on_change = lambda: told.append(said(member)[0])
        await until_silence(member, NO_WORD)
        await until(lambda: told, what="whoever follows the clusters is told")
        (consumer,) = await writer.js.consumers_info(EAST.stream)
        await until(lambda: (member.health.age_seconds or 0) > 4.5)
        assert [each.name for each in await writer.js.consumers_info(EAST.stream)] == [consumer.name]
        assert (follower.snapshots, told[-1]) == (1, OutcomeState.STALE)
        await writer.mark()
        await until_state(member, OutcomeState.OK)


async def test_a_replica_that_starts_long_after_the_last_word_says_how_old_it_is(nats_server: NatsServer) -> None:
    async with open_writer(nats_server.url) as writer:
        await writer.make_stream()
        await writer.put_pods(build_pod("a"))
        await writer.mark(age=1.0)
        sent = now()
        await until(lambda: now() > sent + 2.5)
        async with open_following(nats_server.url) as (member, follower):
            await until(lambda: follower.committed)
            found = verdict(member)
            assert found is not None
            assert (found.state, names(member)) == (OutcomeState.STALE, ["a"])
            assert abs((found.age_seconds or 0.0) - (now() - sent + 1.0)) < 0.5


async def test_a_replica_waits_for_a_server_that_comes_later(nats_server: NatsServer) -> None:
    await asyncio.to_thread(nats_server.stop)
    async with open_following(nats_server.url) as (member, _):
        outcome = await member.ensure_fresh("pods")
        assert (outcome.state, outcome.message and plain(outcome.message)) == (
            OutcomeState.TIMEOUT,
            f"nothing was heard of east within 0.2 s: {UNREACHABLE}",
        )
        await asyncio.to_thread(nats_server.start)
        async with open_writer(nats_server.url) as writer:
            await writer.make_stream()
            await writer.put_pods(build_pod("a"))
            await writer.mark()
            await until_state(member, OutcomeState.OK)
            assert names(member) == ["a"]


async def test_what_cant_be_read_is_left_out_and_told_once(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with following(nats_server, "a", "b") as (writer, member, follower):
        for name in ("a", "c", "d"):
            await writer.send(EAST.of("pods", ("shop", name)), bytes((NEWEST + 1,)) + b"later")
        await writer.send(EAST.of("nodes", ("", "n")), bytes((NEWEST,)) + b"\xc1")
        await writer.send(f"{EAST.all[:-1]}moons.=.luna", b"of a version that knows moons")
        await follower.wait_applied(await writer.mark())
        assert (names(member), said(member)[0], follower.snapshots) == (["b"], OutcomeState.OK, 1)
        complaints = [record.getMessage() for record in caplog.records if "are left out" in record.getMessage()]
        assert ["upgrade this replica" in each for each in complaints] == [True, False]
        await follower.wait_applied(await writer.send(EAST.mark, bytes((NEWEST + 1,)) + b"later"))
        await until(lambda: "upgrade this replica" in str(said(member)[1]), what="the silence is explained")


async def test_usage_is_passed_on_as_it_came(nats_server: NatsServer) -> None:
    async with following(nats_server) as (writer, _, follower):
        measured: list[tuple[str, str, bytes]] = []
        follower.on_usage = lambda *each: measured.append(each)
        await follower.wait_applied(await writer.send(EAST.usage(1), b"columns"))
        assert measured == [("east", EAST.usage(1), b"columns")]


async def test_events_are_not_read_where_none_are_kept(nats_server: NatsServer) -> None:
    async with following(nats_server, events_kept=0) as (writer, member, follower):
        await follower.wait_applied(await writer.send(EAST.of("events", ("shop", "e")), b"\xffunreadable"))
        assert len(member.stores.events) == 0


async def test_a_replica_that_lags_says_how_old_its_state_is(nats_server: NatsServer) -> None:
    slow = SlowTurns(0.0)
    async with following(nats_server, turns=slow) as (writer, member, follower):
        slow.seconds = 0.3
        count = 20_000
        for start in range(0, count, 1000):
            await writer.put_pods(*(build_pod(f"p{number}") for number in range(start, start + 1000)))
        sent = now()
        last = await writer.mark()
        await until(lambda: now() > sent + 2.5)
        assert follower.applied < last, "it is far behind"
        await until_silence(member, LAGGING)
        slow.seconds = 0.0
        await follower.wait_applied(last)
        found = verdict(member)
        assert found is not None
        assert (found.state, len(member.pods)) == (OutcomeState.STALE, count)
        assert (found.age_seconds or 0.0) > 2.0
        await follower.wait_applied(await writer.mark())
        assert (said(member)[0], follower.snapshots) == (OutcomeState.OK, 1)


async def test_others_have_their_turns_while_a_snapshot_is_read(nats_server: NatsServer) -> None:
    async with open_writer(nats_server.url) as writer:
        await writer.make_stream()
        for start in range(0, 20_000, 1000):
            await writer.put_pods(*(build_pod(f"p{number}") for number in range(start, start + 1000)))
        await writer.mark()
        turns = 0
        async with open_following(nats_server.url) as (member, follower):
            async with asyncio.timeout(PATIENCE):
                while not follower.committed:
                    await asyncio.sleep(0)
                    turns += follower.messages > 0
            assert len(member.pods) == 20_000
        assert turns > 100
