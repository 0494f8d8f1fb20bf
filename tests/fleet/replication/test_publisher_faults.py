"""A writer through faults of NATS: nothing is lost, and the members are not asked again."""

import asyncio
import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from nats.aio.msg import Msg
from nats.errors import Error as NatsError

from fleet.members.member import Member
from fleet.replication.pipeline import WINDOW
from realfleet.nats import NatsCluster, NatsServer
from tests.fakes.faults import open_proxy
from tests.fakes.records import build_pod_record
from tests.fakes.waiting import PATIENCE, until
from tests.fleet.replication.writing import (
    CLUSTER,
    SUBJECTS,
    Writer,
    build_pods,
    fill,
    fill_all,
    open_client,
    open_writer,
    read_stream,
)
from tests.required import both_versions


async def churn(member: Member, rounds: int, version: str) -> None:
    """Changes, and pods that come and go."""
    for number in range(rounds):
        for pod in build_pods(60, f"{version}.{number}", f"ns{number % 7}"):
            member.pods.put(pod)
        member.pods.drop((f"ns{number % 7}", f"p{number % 60}"))
        await asyncio.sleep(0.003)


async def holds_all(url: str, writer: Writer) -> None:
    async with open_client(url) as client:

        async def is_equal() -> bool:
            with contextlib.suppress(NatsError):  # servers that have no leader answer nothing
                return not writer.publisher.pending and (await read_stream(client)).equals(writer.member)
            return False

        await until(is_equal, what="the stream being equal to the stores", every=0.1)


@both_versions
async def test_a_line_that_is_cut_while_much_changes_loses_nothing(nats_server: NatsServer) -> None:
    async with open_proxy(nats_server.url) as (url, line), open_writer(url) as writer:
        fill_all(writer.member, build_pods(2_000))
        for cut in range(3):
            await churn(writer.member, 10, f"{cut}")
            line.black_hole = True
            fill(writer.member.pods, [*writer.member.pods, *build_pods(300, namespace=f"lost{cut}")])
            await until(lambda: line.waiting)
            line.reset()
            line.black_hole = False
            assert await writer.publisher.drain(PATIENCE)
        await churn(writer.member, 5, "last")
        await holds_all(nats_server.url, writer)


@both_versions
async def test_what_changes_while_nats_is_away_is_published_when_it_is_back(nats_server: NatsServer) -> None:
    async with open_writer(nats_server.url) as writer:
        fill_all(writer.member, build_pods(300))
        assert await writer.publisher.drain(PATIENCE)
        last = writer.publisher.last_sequence
        await asyncio.to_thread(nats_server.kill)
        await churn(writer.member, 20, "away")
        await until(lambda: writer.publisher.problem)
        await asyncio.to_thread(nats_server.start)
        await holds_all(nats_server.url, writer)
        assert writer.publisher.last_sequence < last + 600 + WINDOW  # as few marks as messages were lost
        assert (writer.publisher.problem, writer.fenced.is_set()) == (None, False)


@pytest.mark.parametrize("way", ["restarted empty", "deleted", "purged"])
async def test_a_stream_that_lost_everything_is_filled_from_the_stores(nats_server: NatsServer, way: str) -> None:
    async with open_writer(nats_server.url) as writer:
        fill_all(writer.member, build_pods(300))
        assert await writer.publisher.drain(PATIENCE)
        if way == "restarted empty":
            await asyncio.to_thread(nats_server.restart, empty=True)
        else:
            async with open_client(nats_server.url) as client:
                js = client.jetstream()
                await (js.delete_stream if way == "deleted" else js.purge_stream)(SUBJECTS.stream)
        await holds_all(nats_server.url, writer)


async def test_what_a_server_forgot_is_published_again(nats_server: NatsServer, tmp_path: Path) -> None:
    """It was restored from a backup, or lost its newest with the power."""
    async with open_writer(nats_server.url) as writer:
        fill_all(writer.member, build_pods(300))
        assert await writer.publisher.drain(PATIENCE)
        await asyncio.to_thread(nats_server.stop)
        shutil.copytree(nats_server.folder / "store", tmp_path / "backup")
        await asyncio.to_thread(nats_server.start)
        fill(writer.member.pods, build_pods(200, "2"))
        await holds_all(nats_server.url, writer)
        await asyncio.to_thread(nats_server.stop)
        shutil.rmtree(nats_server.folder / "store")
        shutil.move(tmp_path / "backup", nats_server.folder / "store")
        await asyncio.to_thread(nats_server.start)
        await holds_all(nats_server.url, writer)


async def test_a_full_disk_is_named_and_nothing_is_lost(start_nats_server: Callable[..., NatsServer]) -> None:
    """It is tried again without the many marks of a claim: everything that was sent has been answered."""
    server = start_nats_server(max_file_store=400_000)
    marks: list[bytes] = []

    async def note(message: Msg) -> None:
        marks.append(message.data)

    async with open_client(server.url) as client, open_writer(server.url) as writer:
        await client.subscribe(SUBJECTS.mark, cb=note)
        fill_all(writer.member, build_pods(3_000))
        await until(lambda: writer.publisher.problem is not None and "resource" in writer.publisher.problem)
        assert (writer.publisher.pending > 0, len(marks) < WINDOW) == (True, True)
        await asyncio.to_thread(server.restart, max_file_store=100_000_000)
        await holds_all(server.url, writer)


async def test_a_slow_line_takes_many_at_once(nats_server: NatsServer) -> None:
    """One at a time would take half an hour."""
    async with open_proxy(nats_server.url) as (url, line), open_writer(url) as writer:
        line.latency = 0.2
        fill_all(writer.member, build_pods(5_000))
        assert await writer.publisher.drain(PATIENCE)
        await holds_all(nats_server.url, writer)


@both_versions
async def test_tombstones_age_out(nats_server: NatsServer) -> None:
    async with open_client(nats_server.url) as client:
        async with open_writer(nats_server.url, replica="a") as former:
            fill_all(former.member, build_pods(5))
            former.member.pods.drop(("shop", "p0"))
            assert await former.publisher.drain(PATIENCE)
            assert (await read_stream(client)).of("pods")["p0"] is None
        async with open_writer(nats_server.url, former.member, "b", marker_seconds=1.0) as writer:
            for name in ("p1", "p2"):
                writer.member.pods.drop(("shop", name))
            assert await writer.publisher.drain(PATIENCE)
            assert (await read_stream(client)).of("pods")["p1"] is None
            writer.member.pods.put(back := build_pod_record(CLUSTER, "shop", "p2", version="2"))

            async def is_clean() -> bool:
                return sorted((await read_stream(client)).of("pods")) == ["p2", "p3", "p4"]

            await until(is_clean)
            assert (await read_stream(client)).of("pods")["p2"] == back
            fill(writer.member.pods, build_pods(7, "3"))
            await holds_all(nats_server.url, writer)


async def test_what_a_former_writer_left_of_objects_that_are_gone_gets_tombstones(nats_server: NatsServer) -> None:
    async with open_writer(nats_server.url, replica="a") as former:
        fill_all(former.member, build_pods(50))
        assert await former.publisher.drain(PATIENCE)
    async with open_writer(nats_server.url, replica="b") as writer:  # which had not read what was there
        fill_all(writer.member, build_pods(10))
        await holds_all(nats_server.url, writer)


@both_versions
async def test_a_stream_on_three_servers_survives_the_loss_of_its_leader(nats_cluster: NatsCluster) -> None:
    async with open_writer(nats_cluster.url, stream_replicas=3) as writer:
        fill_all(writer.member, build_pods(500))
        assert await writer.publisher.drain(PATIENCE)
        leader = await asyncio.to_thread(nats_cluster.find_leader, SUBJECTS.stream)
        assert leader is not None
        changing = asyncio.create_task(churn(writer.member, 100, "2"))
        await asyncio.to_thread(leader.kill)
        await changing
        await holds_all(nats_cluster.url, writer)
        assert not writer.fenced.is_set()


async def two_marks(writer: Writer) -> None:
    """Which come a second apart."""
    last = writer.publisher.last_sequence
    await until(lambda: writer.publisher.last_sequence > last + 2)


async def test_who_goes_on_after_an_outage_reads_nothing_again(nats_server: NatsServer) -> None:
    consumers: list[str] = []

    async def note(message: Msg) -> None:
        consumers.append(message.subject)

    async with (
        open_client(nats_server.url) as client,
        open_proxy(nats_server.url) as (url, line),
        open_writer(url, replica="former") as former,
    ):
        fill_all(former.member, build_pods(3))
        assert await former.publisher.drain(PATIENCE)
        await client.subscribe("$JS.API.CONSUMER.CREATE.>", cb=note)
        async with open_writer(url, former.member) as writer:
            await until(lambda: consumers)
            await two_marks(writer)
            line.reset()
            writer.member.pods.drop(("shop", "p1"))
            await until(lambda: line.connections > 2)
            assert await writer.publisher.drain(PATIENCE)
            await two_marks(writer)
            assert len(consumers) == 1


async def test_a_stream_gets_the_replicas_that_are_set_now(nats_cluster: NatsCluster) -> None:
    async with open_client(nats_cluster.url) as client:
        for replicas in (1, 3):
            async with open_writer(nats_cluster.url, stream_replicas=replicas):
                info = await client.jetstream().stream_info(SUBJECTS.stream)
                assert info.config.num_replicas == replicas


async def test_copies_without_servers_for_them_are_named_and_what_is_there_goes_on(
    nats_server: NatsServer, caplog: pytest.LogCaptureFixture
) -> None:
    async with open_writer(nats_server.url):
        pass
    async with open_writer(nats_server.url, replica="b", stream_replicas=3) as writer:
        fill_all(writer.member, build_pods(3))
        await holds_all(nats_server.url, writer)
    assert [record.message for record in caplog.records if "3 servers" in record.message] != []
