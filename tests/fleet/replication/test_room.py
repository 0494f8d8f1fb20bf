"""Streams are read as far as a server's patience with one connection goes, and all of them in the end."""

import asyncio
import time
from contextlib import AsyncExitStack

from fleet.aio.tasks import open_task
from fleet.members.member import FleetOptions, Member
from fleet.members.watching import Watching
from fleet.replication.connection import Nats, open_nats
from fleet.replication.following import Following
from fleet.replication.options import NatsOptions
from fleet.replication.room import Room
from fleet.replication.subjects import Subjects
from realfleet.nats import NatsServer
from tests.fakes.kubernetes import FakeSource, build_spec
from tests.fakes.shared_state import open_writer
from tests.fakes.waiting import until

MEMBERS, BODIES = 24, 5
BODY = b"x" * 900_000


async def test_what_does_not_fit_waits_in_the_order_of_the_calls() -> None:
    room, order = Room(most=10), []

    async def take(size: int) -> None:
        taken = await room.take(size)
        order.append(size)
        await asyncio.sleep(0)
        taken.end()
        taken.end()

    await asyncio.gather(*(take(size) for size in (6, 5, 4, 20, 1)))
    assert order == [6, 5, 4, 20, 1]
    assert (await room.take(0)) is not None


async def test_who_is_cancelled_while_waiting_takes_nothing() -> None:
    room = Room(most=10)
    first = await room.take(8)
    waiting = asyncio.create_task(room.take(8))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait((waiting,))
    first.end()
    (await asyncio.wait_for(room.take(10), 5)).end()


async def test_a_server_does_not_cut_off_who_begins_to_follow_many_and_is_slow(nats_server: NatsServer) -> None:
    options = NatsOptions(servers=(nats_server.url,), replica="a")
    every = [Subjects("openmcp", f"c{number}") for number in range(MEMBERS)]
    async with open_writer(nats_server.url) as writer, open_nats(options) as nats, AsyncExitStack() as stack:
        for subjects in every:
            await writer.js.add_stream(name=subjects.stream, subjects=[subjects.all], max_msgs_per_subject=1)
            for number in range(BODIES):
                await writer.send(subjects.usage(number), BODY)
        followed = [build_following(nats, subjects, options) for subjects in every]
        for following in followed:
            await stack.enter_async_context(open_task("following", following.run))
        await until(lambda: all(following.applied == BODIES for following in followed))
        assert sum(following.bytes for following in followed) == MEMBERS * BODIES * len(BODY)
        assert nats_server.ask("/varz")["slow_consumers"] == 0


def build_following(nats: Nats, subjects: Subjects, options: NatsOptions) -> Following:
    fleet_options = FleetOptions()
    member = Member(build_spec("c"), Watching(FakeSource(), fleet_options), fleet_options)
    following = Following(nats, subjects, options, member)
    following.on_usage = lambda *_: time.sleep(0.02)
    return following
