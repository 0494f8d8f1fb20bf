"""A member's stream as its writer makes it, but by hand; and a replica that follows it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import nats
from nats.aio.client import Client
from nats.js import JetStreamContext
from nats.js.api import StreamConfig

from fleet.aio.tasks import end_tasks
from fleet.aio.turns import Turns
from fleet.cache.rows import StoreKey
from fleet.members.member import FleetOptions, Member
from fleet.members.standing import KindStanding, Standing
from fleet.members.watching import Watching
from fleet.model.kinds import ResourceName
from fleet.replication.connection import open_nats
from fleet.replication.following import Following
from fleet.replication.marks import Mark, encode_mark
from fleet.replication.options import NatsOptions
from fleet.replication.records import encode
from fleet.replication.subjects import Subjects
from tests.fakes.kubernetes import FakeSource, build_spec

EAST = Subjects("openmcp", "east")
KINDS: tuple[ResourceName, ...] = ("pods", "nodes", "namespaces", "workloads", "events")
WELL = Standing(kinds={kind: KindStanding(listed=True, live=True) for kind in KINDS}, version="v1.36.0")
FRESH = 2.0


class SlowTurns(Turns):
    """Those of a process that has much else to do."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.seconds = seconds

    async def wait(self) -> None:
        await asyncio.sleep(self.seconds)


class HandWriter:
    """Publishes of the member `east` what it is told to."""

    def __init__(self, client: Client) -> None:
        self.client = client
        self.js: JetStreamContext = client.jetstream()

    async def make_stream(self) -> None:
        await self.js.add_stream(
            StreamConfig(name=EAST.stream, subjects=[EAST.all], max_msgs_per_subject=1, allow_direct=True)
        )

    async def put(self, kind: ResourceName, key: StoreKey, record: Any) -> int:
        return await self.send(EAST.of(kind, key), encode(kind, record, manifests=True))

    async def put_pods(self, *pods: Any) -> None:
        """Many at a time; returns once the server has them all."""
        for pod in pods:
            await self.client.publish(EAST.of("pods", (pod.namespace, pod.name)), encode("pods", pod, manifests=True))
        await self.client.flush()

    async def drop(self, kind: ResourceName, key: StoreKey) -> int:
        return await self.send(EAST.of(kind, key), b"")

    async def mark(self, *, complete: bool = True, age: float | None = 0.0, standing: Standing = WELL) -> int:
        return await self.send(EAST.mark, encode_mark(Mark(writer="w", complete=complete, age=age, standing=standing)))

    async def send(self, subject: str, body: bytes) -> int:
        return (await self.js.publish(subject, body)).seq

    async def keep_marking(self) -> None:
        """As a writer that is well, until cancelled."""
        while True:
            await self.mark()
            await asyncio.sleep(0.5)


@asynccontextmanager
async def open_writer(url: str) -> AsyncIterator[HandWriter]:
    client = await nats.connect(url)
    try:
        yield HandWriter(client)
    finally:
        await client.close()


@asynccontextmanager
async def open_following(
    url: str, *, cluster: str = "east", turns: Turns | None = None, events_kept: int = 100, **options: Any
) -> AsyncIterator[tuple[Member, Following]]:
    """A replica's member, which is followed over a connection of its own."""
    nats_options = NatsOptions(servers=tuple(url.split(",")), replica="a", **options)
    fleet_options = FleetOptions(member_timeout=0.2, fresh_seconds=FRESH, events_kept=events_kept)
    member = Member(build_spec(cluster), Watching(FakeSource(), fleet_options), fleet_options)
    async with open_nats(nats_options) as connection:
        following = Following(connection, Subjects(nats_options.prefix, cluster), nats_options, member, turns)
        task = asyncio.create_task(following.run())
        try:
            yield member, following
        finally:
            await end_tasks(task)
        if not task.cancelled():
            task.result()
