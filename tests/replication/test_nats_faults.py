"""NATS ill in each way: no query fails, what is old is named STALE, and all is well soon after it is.

`NATS_DOWN_SECONDS=60 NATS_LEASE=6s` asks for the full length.
"""

import asyncio
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path

import nats
import pytest
from nats.js.errors import ServiceUnavailableError

from demo.simulator import SimulatedFleet, open_simulated_fleet
from realfleet.nats import NatsCluster, NatsServer
from tests.fakes.faults import open_proxy
from tests.fakes.waiting import until
from tests.replication.replicas import ReplicaProcess, are_equal, are_watched_once, count_lists, open_replicas

DOWN_SECONDS = float(os.environ.get("NATS_DOWN_SECONDS", "5"))
"""How long all servers are gone: more than a lease lasts."""
WELL_SECONDS = 5.0
STALE_SECONDS = 3.0
PROMPT_SECONDS = 5.0
"""For so long a page would wait for a member that is silent: whatever NATS is like, none does."""


@pytest.fixture
async def fleet() -> AsyncIterator[SimulatedFleet]:
    async with open_simulated_fleet(clusters=3, pods=60, churn_seconds=2.0, bookmark_seconds=1.0) as fleet:
        yield fleet


async def test_servers_of_a_cluster_go_and_come(
    fleet: SimulatedFleet, nats_cluster: NatsCluster, tmp_path: Path
) -> None:
    settings = {"OPENMCP_NATS_STREAM_REPLICAS": "3"}
    async with open_replicas(fleet.kubeconfig, [nats_cluster.url] * 2, tmp_path, **settings) as replicas:
        await until(lambda: are_equal(fleet, *replicas), what="both show the same", every=0.2)
        await until(lambda: are_watched_once(fleet), what="each member is watched once")
        lists = count_lists(fleet)
        one = await asyncio.to_thread(nats_cluster.find_leader, "openmcp-cluster1")
        assert one is not None
        await asyncio.to_thread(one.kill)
        await until(lambda: are_equal(fleet, *replicas), what="both go on without one server", every=0.2)
        await asyncio.to_thread(one.start)
        await until(lambda: are_equal(fleet, *replicas), what="all three are back", every=0.2)

        await asyncio.gather(*(asyncio.to_thread(server.stop) for server in nats_cluster.servers))
        await stay_stale(replicas, DOWN_SECONDS)
        await asyncio.gather(*(asyncio.to_thread(server.process.start) for server in nats_cluster.servers))
        await asyncio.to_thread(nats_cluster.wait_ready)
        await be_well(fleet, replicas)
        assert count_lists(fleet) == lists, "no member was listed for a fault of NATS"
        await until(lambda: are_watched_once(fleet))
        assert max(answer.took for replica in replicas for answer in replica.answers) < PROMPT_SECONDS


async def test_a_server_restarted_empty_is_filled_without_a_list(
    fleet: SimulatedFleet, nats_server: NatsServer, tmp_path: Path
) -> None:
    async with open_replicas(fleet.kubeconfig, [nats_server.url] * 2, tmp_path) as replicas:
        await until(lambda: are_equal(fleet, *replicas), what="both show the same", every=0.2)
        lists = count_lists(fleet)
        await asyncio.to_thread(nats_server.restart, empty=True)
        await be_well(fleet, replicas)
        assert count_lists(fleet) == lists
        assert max(answer.took for replica in replicas for answer in replica.answers) < PROMPT_SECONDS


async def test_a_full_disk_fails_nothing_and_what_waited_is_written_when_there_is_room(
    fleet: SimulatedFleet, start_nats_server: Callable[..., NatsServer], tmp_path: Path
) -> None:
    nats_server = await asyncio.to_thread(lambda: start_nats_server(max_file_store=20_000_000))
    async with open_replicas(fleet.kubeconfig, [nats_server.url] * 2, tmp_path) as replicas:
        await until(lambda: are_equal(fleet, *replicas), what="both show the same", every=0.2)
        lists = count_lists(fleet)
        client = await nats.connect(nats_server.url)
        stream = client.jetstream()
        await stream.add_stream(name="filler", subjects=["filler"])
        with suppress(ServiceUnavailableError):
            while True:
                await stream.publish("filler", bytes(500_000))
        await stay_stale(replicas, DOWN_SECONDS)
        await stream.delete_stream("filler")
        await client.close()
        await be_well(fleet, replicas)
        assert count_lists(fleet) == lists


async def test_a_slow_line_makes_nothing_stale(fleet: SimulatedFleet, nats_server: NatsServer, tmp_path: Path) -> None:
    async with (
        open_proxy(nats_server.url) as (slow, line),
        open_replicas(fleet.kubeconfig, [slow] * 2, tmp_path) as replicas,
    ):
        await until(lambda: are_equal(fleet, *replicas), what="both show the same", every=0.2)
        line.latency = 0.2
        since = time.monotonic()
        while time.monotonic() < since + DOWN_SECONDS:
            assert all([await replica.is_ok() for replica in replicas])
            await asyncio.sleep(0.1)
        await until(lambda: are_equal(fleet, *replicas), what="both show the same", every=0.2)


async def stay_stale(replicas: list[ReplicaProcess], seconds: float) -> None:
    """What others write is STALE soon, and stays so; nothing fails."""
    since = time.monotonic()
    while (passed := time.monotonic() - since) < seconds:
        for replica in replicas:
            answer, writes = await replica.ask(), await replica.written()
            for cluster, state in answer.states.items():
                if cluster in writes:
                    assert state == "OK", answer
                elif passed > STALE_SECONDS:
                    assert state == "STALE", answer
                    assert f"nothing was heard of {cluster} for" in answer.messages[cluster]
                    assert answer.pods[cluster]
        await asyncio.sleep(0.1)


async def be_well(fleet: SimulatedFleet, replicas: list[ReplicaProcess]) -> None:
    since = time.monotonic()
    await until(lambda: are_equal(fleet, *replicas), what="both show the same again", every=0.1)
    assert time.monotonic() - since < WELL_SECONDS
