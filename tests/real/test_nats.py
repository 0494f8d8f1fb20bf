"""The nats-servers of the real fleet do what tests of replicas ask of them."""

import asyncio
from collections.abc import Callable

import nats
import pytest
from nats.js.api import StreamConfig
from nats.js.errors import APIError, NotFoundError

from realfleet.nats import NatsCluster, NatsServer
from tests.required import both_versions


@both_versions
async def test_a_server_keeps_what_it_stored_until_it_starts_empty(nats_server: NatsServer) -> None:
    async with await nats.connect(nats_server.url) as client:
        await client.jetstream().add_stream(name="s", subjects=["s.>"])
        await client.jetstream().publish("s.a", b"x")
    await asyncio.to_thread(nats_server.restart)
    async with await nats.connect(nats_server.url) as client:
        assert (await client.jetstream().stream_info("s")).state.messages == 1
    await asyncio.to_thread(nats_server.restart, empty=True)
    async with await nats.connect(nats_server.url) as client:
        with pytest.raises(NotFoundError):
            await client.jetstream().stream_info("s")


@both_versions
async def test_a_server_has_the_room_it_is_given(start_nats_server: Callable[..., NatsServer]) -> None:
    server = start_nats_server(max_file_store=150_000)
    async with await nats.connect(server.url) as client:
        await client.jetstream().add_stream(name="s", subjects=["s.>"])
        for _ in range(2):
            await client.jetstream().publish("s.large", bytes(100_000))
        with pytest.raises(APIError, match="insufficient"):
            await client.jetstream().publish("s.more", b"x")
        await asyncio.to_thread(server.restart, max_file_store=10_000_000)
        await client.jetstream().publish("s.more", bytes(10_000), timeout=30)


@both_versions
async def test_two_servers_of_a_cluster_go_on_without_the_third(nats_cluster: NatsCluster) -> None:
    async with await nats.connect(nats_cluster.url.split(",")) as client:
        await client.jetstream().add_stream(StreamConfig(name="s", subjects=["s.>"], num_replicas=3))
        leader = await asyncio.to_thread(nats_cluster.find_leader, "s")
        assert leader is not None
        leader.kill()
        async with asyncio.timeout(60):
            while True:
                try:
                    await client.jetstream().publish("s.a", b"x", timeout=1)
                    break
                except (nats.errors.Error, TimeoutError):
                    await asyncio.sleep(0.1)
        await asyncio.to_thread(leader.start)
        assert (await client.jetstream().stream_info("s")).state.messages >= 1
