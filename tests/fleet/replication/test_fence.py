"""Who claimed a stream last writes it, and nobody else, whatever they had sent before."""

import asyncio
import contextlib
from typing import Any

from nats.aio.msg import Msg

from realfleet.nats import NatsCluster, NatsServer
from tests.fakes.faults import open_proxy
from tests.fakes.waiting import PATIENCE, until
from tests.fleet.replication.writing import (
    build_member,
    build_pods,
    fill,
    fill_all,
    open_client,
    open_writer,
    read_stream,
)
from tests.required import both_versions


async def freeze(url: str, line_to: str, **options: Any) -> None:
    """What a frozen writer had sent arrives while the new one writes, and names sequences that there are by then."""
    async with (
        open_client(url) as client,
        open_proxy(line_to) as (frozen_url, line),
        open_writer(frozen_url, replica="a", **options) as frozen,
    ):
        fill_all(frozen.member, build_pods(5))
        assert await frozen.publisher.drain(PATIENCE)
        line.black_hole = True
        fill(frozen.member.pods, build_pods(900, "frozen"))
        await until(lambda: line.waiting)
        async with open_writer(url, replica="b", **options) as writer:
            fill_all(writer.member, build_pods(300, "new"))
            assert await writer.publisher.drain(PATIENCE)
            line.black_hole = False
            await until(frozen.fenced.is_set)
            assert frozen.publisher.refused > 0
            assert (await read_stream(client)).equals(writer.member)
            fill_all(writer.member, build_pods(301, "new"))
            assert await writer.publisher.drain(PATIENCE)
            assert (await read_stream(client)).equals(writer.member)
            assert not writer.fenced.is_set()


@both_versions
async def test_a_writer_that_was_frozen_writes_nothing(nats_server: NatsServer) -> None:
    await freeze(nats_server.url, nats_server.url)


@both_versions
async def test_three_servers_refuse_a_writer_that_was_frozen_as_one_does(nats_cluster: NatsCluster) -> None:
    await freeze(nats_cluster.url, nats_cluster.servers[0].url, stream_replicas=3)


async def test_a_claim_between_two_looks_of_a_former_writer_fences_it(nats_server: NatsServer) -> None:
    """It begins anew after an error, and has just read that nobody else had claimed the stream."""

    looked = asyncio.Event()

    async def note(_: Msg) -> None:
        looked.set()

    async with (
        open_client(nats_server.url) as client,
        open_proxy(nats_server.url) as (slow_url, line),
        open_writer(slow_url, replica="a") as former,
    ):
        fill_all(former.member, build_pods(5))
        assert await former.publisher.drain(PATIENCE)
        await client.subscribe("$JS.API.STREAM.MSG.GET.>", cb=note)
        line.latency = 0.3
        line.reset()
        await until(looked.is_set)
        async with open_writer(nats_server.url, replica="b") as writer:
            fill_all(writer.member, build_pods(20, "new"))
            assert await writer.publisher.drain(PATIENCE)
            fill(former.member.pods, build_pods(9, "former"))
            await until(former.fenced.is_set)
            assert not writer.fenced.is_set()
            assert (await read_stream(client)).equals(writer.member)


async def test_of_replicas_that_claim_at_once_one_writes(nats_server: NatsServer) -> None:
    members = [build_member() for _ in range(4)]
    for number, member in enumerate(members):
        fill_all(member, build_pods(100 + number, f"{number}"))
    async with contextlib.AsyncExitStack() as stack:
        client = await stack.enter_async_context(open_client(nats_server.url))
        opened = [open_writer(nats_server.url, member, f"r{number}") for number, member in enumerate(members)]
        writers = await asyncio.gather(*map(stack.enter_async_context, opened))
        for writer in writers:
            writer.publisher.note_all()
        await until(lambda: sum(writer.fenced.is_set() for writer in writers) == 3)
        left = next(writer for writer in writers if not writer.fenced.is_set())
        assert await left.publisher.drain(PATIENCE)
        mark = (await read_stream(client)).mark
        assert mark is not None
        assert members[int(mark.writer[1:])] is left.member


async def test_no_sequence_of_a_former_stream_comes_again(nats_server: NatsServer) -> None:
    async with open_client(nats_server.url) as client:
        async with open_writer(nats_server.url, replica="a") as former:
            fill_all(former.member, build_pods(500))
            assert await former.publisher.drain(PATIENCE)
            last = former.publisher.last_sequence
        await client.jetstream().delete_stream("openmcp-c1")
        async with open_writer(nats_server.url, replica="b") as writer:
            assert writer.claimed > last
