"""What a replica that follows makes of a stream in which anything may be."""

import asyncio
import logging
from math import inf, nan
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from fleet.aio.tasks import open_task
from fleet.members.signs import now
from fleet.members.standing import KindStanding, Standing
from fleet.model.kinds import ResourceName
from fleet.model.objects import OutcomeState, Unwell
from fleet.replication.following import LAGGING
from fleet.replication.marks import Mark, encode_mark
from fleet.replication.records import NEWEST, encode
from realfleet.nats import NatsServer
from tests.fakes.faults import Faults, open_proxy
from tests.fakes.records import build_node_record, build_workload_record
from tests.fakes.shared_state import EAST, WELL, open_following, open_writer
from tests.fakes.waiting import until
from tests.fleet.replication.test_following import (
    NAMESPACE,
    build_event,
    build_pod,
    following,
    names,
    said,
    until_silence,
)

HEAD = bytes((NEWEST,))
POD = build_pod("evil")
WORKLOAD = build_workload_record("east", "shop", "web")
OTHERS: list[tuple[ResourceName, tuple[str, str], Any]] = [
    ("pods", ("shop", "a"), POD),
    ("pods", ("kube-system", "evil"), POD),
    ("pods", ("shop", "\ud800"), POD),
    ("nodes", ("", "n"), build_node_record("east", "evil")),
    ("nodes", ("shop", "evil"), build_node_record("east", "evil")),
    ("namespaces", ("", "evil"), NAMESPACE),
    ("events", ("shop", "e"), build_event("evil", 1.0)),
    ("workloads", ("shop", f"x{WORKLOAD.entry}"), WORKLOAD),
]
"""Records under what is another object's subject."""
TIMES: list[tuple[ResourceName, tuple[str, str], Any]] = [
    found
    for time in (nan, inf, -1e300, 1e300)
    for found in (
        ("pods", ("shop", "evil"), replace(POD, created_at=time)),
        ("pods", ("shop", "evil"), replace(POD, unwell=Unwell(time, None, None, None, False))),
        ("nodes", ("", "evil"), build_node_record("east", "evil", created_at=time)),
        ("namespaces", ("", "shop"), replace(NAMESPACE, created_at=time)),
        ("events", ("shop", "evil"), build_event("evil", time)),
        ("workloads", ("shop", WORKLOAD.entry), replace(WORKLOAD, created_at=time)),
    )
]
"""Which no answer could write."""
DEEP = b"\x91" * 100_000
MARKS = [
    *(encode_mark(Mark(writer="w", complete=True, age=age, standing=WELL)) for age in (nan, -1e9)),
    HEAD + DEEP,
    HEAD + msgspec.msgpack.encode({"writer": "w" * 500_000}),
]


async def test_what_is_no_record_of_its_object_is_left_out(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with following(nats_server, "a") as (writer, member, follower):
        for kind, key, record in (*OTHERS, *TIMES):
            await writer.send(EAST.of(kind, key), encode(kind, record, manifests=True))
        for kind in ("pods", "nodes", "namespaces", "events", "workloads"):
            await writer.send(EAST.of(kind, ("shop", "evil")), HEAD + DEEP)
        await writer.put("pods", ("shop", "b"), build_pod("b"))
        await follower.wait_applied(await writer.mark())
        assert names(member) == ["b"], "what was known of `a` is not what is there"
        stores = member.stores
        assert [len(each) for each in (stores.nodes, stores.namespaces, stores.events, stores.workloads)] == [0] * 4
        assert (said(member)[0], follower.snapshots) == (OutcomeState.OK, 1)
        assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_a_mark_that_cant_be_true_says_nothing(nats_server: NatsServer) -> None:
    async with following(nats_server, "a") as (writer, member, follower):
        for body in MARKS:
            seen = member.health.signs.last_seen
            await follower.wait_applied(await writer.send(EAST.mark, body))
            assert member.health.signs.last_seen == seen, body[:100]
        await follower.wait_applied(await writer.mark())
        assert said(member)[0] is OutcomeState.OK


async def test_kinds_that_only_newer_versions_know_are_none_of_ours(nats_server: NatsServer) -> None:
    newer = Standing(kinds={**WELL.kinds, "moons": KindStanding(listed=True, live=True)}, version="v1.36.0")
    async with following(nats_server, "a") as (writer, member, follower):
        await follower.wait_applied(await writer.mark(standing=newer))
        seen = member.health.signs.last_seen
        await until(lambda: now() > seen + 0.1)
        await follower.wait_applied(await writer.mark(standing=newer))
        assert (said(member)[0], member.health.signs.last_seen > seen) == (OutcomeState.OK, True)


async def test_a_line_that_slows_down_is_not_taken_for_another_clock(nats_server: NatsServer) -> None:
    async def slow_down(faults: Faults) -> None:
        while True:
            await asyncio.sleep(0.1)
            faults.latency = min(faults.latency + 0.05, 2.5)

    async with open_writer(nats_server.url) as writer, open_proxy(nats_server.url) as (url, faults):
        await writer.make_stream()
        await writer.mark()
        async with open_following(url) as (member, follower), open_task("marks", writer.keep_marking):
            await until(lambda: follower.committed)
            async with open_task("slower", lambda: slow_down(faults)):
                await until_silence(member, LAGGING)
                await until(lambda: faults.latency == 2.5 and (member.health.age_seconds or 0.0) > 2.5)
                since, states = now(), list[object]()
                while now() < since + 25.0:
                    states.append(said(member)[0])
                    await asyncio.sleep(0.1)
            assert (set(states), follower.snapshots) == ({OutcomeState.STALE}, 1)
