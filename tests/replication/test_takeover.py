"""A writer that is killed, or stopped for longer than its leases last: others take over, and it writes nothing more.

`STOPPED_SECONDS=30 NATS_LEASE=6s` asks for the full length.
"""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator
from itertools import pairwise
from pathlib import Path

import nats
import pytest
from nats.aio.msg import Msg

from demo.simulator import SimulatedFleet, open_simulated_fleet
from fleet.replication.marks import decode_mark
from fleet.replication.subjects import Subjects
from realfleet.nats import NatsServer
from tests.fakes.waiting import until
from tests.replication.replicas import (
    ReplicaProcess,
    are_equal,
    are_watched_once,
    are_written,
    count_lists,
    count_watches,
    open_replicas,
)

TAKEN_OVER_SECONDS = 15.0
STOPPED_SECONDS = float(os.environ.get("STOPPED_SECONDS", "5"))
"""How long a writer is stopped: more than its leases last."""


@pytest.fixture
async def fleet() -> AsyncIterator[SimulatedFleet]:
    """Changes all the time."""
    async with open_simulated_fleet(clusters=5, pods=40, churn_seconds=2.0, bookmark_seconds=1.0) as fleet:
        yield fleet


async def order_by_written(*replicas: ReplicaProcess) -> list[ReplicaProcess]:
    """Who writes least first."""
    written = [len(await replica.written()) for replica in replicas]
    return [replicas[number] for number in sorted(range(len(replicas)), key=written.__getitem__)]


async def test_a_killed_and_a_stopped_writer_are_replaced_and_write_nothing(
    fleet: SimulatedFleet, nats_server: NatsServer, tmp_path: Path
) -> None:
    async with open_replicas(fleet.kubeconfig, [nats_server.url] * 3, tmp_path) as replicas:
        await until(lambda: are_written(fleet, *replicas), what="each cluster is written", every=0.2)
        await until(lambda: are_equal(fleet, *replicas), what="all show the same", every=0.2)
        *rest, killed = await order_by_written(*replicas)
        await until(lambda: are_watched_once(fleet), what="each member is watched once")
        lists = count_lists(fleet)

        theirs = await killed.written()
        killed.send(signal.SIGKILL)
        began = time.monotonic()
        await until(lambda: are_written(fleet, *rest), what="others have taken over", every=0.2)
        await until(lambda: are_equal(fleet, *rest), what="both show what is there", every=0.2)
        assert time.monotonic() - began < TAKEN_OVER_SECONDS
        await until(lambda: are_watched_once(fleet), what="each member is watched once")
        relisted = {name for name, count in count_lists(fleet).items() if count > lists[name]}
        assert theirs <= relisted

        other, stopped = await order_by_written(*rest)
        theirs = await stopped.written()
        written_by: list[tuple[str, str, bool]] = []
        listening = await nats.connect(nats_server.url)
        for cluster in theirs:
            subjects = Subjects("openmcp", cluster)

            async def note(message: Msg, cluster: str = cluster) -> None:
                mark = decode_mark(message.data)
                written_by.append((cluster, mark.writer, mark.complete))

            await listening.jetstream().subscribe(subjects.mark, ordered_consumer=True, cb=note)
        await until(lambda: {cluster for cluster, *_ in written_by} == theirs)
        stopped.send(signal.SIGSTOP)
        began = time.monotonic()
        await until(lambda: are_written(fleet, other), what="the other writes all", every=0.2)
        await until(lambda: are_equal(fleet, other), what="the other shows what is there", every=0.2)
        assert time.monotonic() - began < TAKEN_OVER_SECONDS
        await asyncio.sleep(max(0.0, began + STOPPED_SECONDS - time.monotonic()))
        stopped.send(signal.SIGCONT)
        await until(lambda: are_equal(fleet, *rest), what="both show what is there", every=0.2)
        await until(lambda: are_written(fleet, *rest), what="each cluster is written once", every=0.2)
        await listening.close()
        for cluster in theirs:
            check_writers([(writer, complete) for name, writer, complete in written_by if name == cluster])


def check_writers(marks: list[tuple[str, bool]]) -> None:
    """That whoever writes after another has claimed the stream before."""
    for (before, _), (writer, complete) in pairwise(marks):
        assert writer == before or not complete, "written without a claim"


async def test_a_replica_that_is_restarted_lists_nothing_that_others_write(
    fleet: SimulatedFleet, nats_server: NatsServer, tmp_path: Path
) -> None:
    async with open_replicas(fleet.kubeconfig, nats_server.url, tmp_path) as (a,):
        await until(lambda: are_equal(fleet, a), what="it shows what is there", every=0.2)
        await until(lambda: are_watched_once(fleet), what="each member is watched once")
        lists, watches = count_lists(fleet), count_watches(fleet)
        folder = tmp_path / "b"
        folder.mkdir()
        async with open_replicas(fleet.kubeconfig, nats_server.url, folder, OPENMCP_NATS_WRITES="false") as (b,):
            await until(lambda: are_equal(fleet, a, b), what="the follower shows the same", every=0.2)
            assert not await b.written()
            assert (count_lists(fleet), count_watches(fleet)) == (lists, watches)
        folder = tmp_path / "c"
        folder.mkdir()
        async with open_replicas(fleet.kubeconfig, nats_server.url, folder) as (c,):
            await until(lambda: are_written(fleet, a, c), what="each cluster is written once", every=0.2)
            left = time.monotonic()
        await until(lambda: are_written(fleet, a), what="the one that stays writes all", every=0.2)
        assert time.monotonic() - left < TAKEN_OVER_SECONDS
        await until(lambda: are_equal(fleet, a), what="it shows what is there", every=0.2)
