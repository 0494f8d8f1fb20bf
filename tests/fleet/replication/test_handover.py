"""What a writer publishes is what a follower serves, whatever happens between them, and while one takes over."""

import asyncio
import random
from typing import Any

from nats.aio.client import Client

from fleet.aio.tasks import open_task
from fleet.members.member import Member
from fleet.members.signs import now
from fleet.model.kinds import ResourceName
from fleet.model.objects import ClusterHealth, Owner
from fleet.ports import Answer
from fleet.replication.following import LISTING
from realfleet.nats import NatsServer
from tests.fakes.records import build_node_record, build_pod_record, build_workload_record
from tests.fakes.shared_state import open_following
from tests.fakes.waiting import until
from tests.fleet.replication.test_publisher import build_event
from tests.fleet.replication.writing import (
    CLUSTER,
    SUBJECTS,
    build_member,
    build_pods,
    fill,
    fill_all,
    open_client,
    open_writer,
)
from tests.required import both_versions

DISTURBANCES = (
    "nothing",
    "the consumers are deleted",
    "the server restarts",
    "the stream is deleted",
    "the server restarts empty",
)
STORES: tuple[ResourceName, ...] = ("pods", "nodes", "namespaces", "workloads")


def held(member: Member) -> dict[str, Any]:
    """All that is served of a member."""
    found: dict[str, Any] = {kind: member.stores.named(kind).all() for kind in STORES}
    return {**found, "events": list(member.stores.events.newest())}


class Life:
    """Of a member that its writer watches."""

    def __init__(self, member: Member, chance: random.Random) -> None:
        self._stores = member.stores
        self._chance = chance
        self._version = 1

    def change(self) -> None:
        acts = [self.put_pod] * 6 + [self.drop_pod] * 3
        acts += [self.put_other, self.drop_other, self.happen, self.list_again]
        self._chance.choice(acts)()

    def _next(self) -> str:
        self._version += 1
        return str(self._version)

    def put_pod(self) -> None:
        owner = Owner("apps/v1", "ReplicaSet", f"web{self._chance.randrange(5)}", f"u{self._chance.randrange(5)}")
        name = f"p{self._chance.randrange(50)}"
        self._stores.pods.put(build_pod_record(CLUSTER, "shop", name, version=self._next(), owner=owner))

    def drop_pod(self) -> None:
        self._stores.pods.drop(("shop", f"p{self._chance.randrange(50)}"))

    def put_other(self) -> None:
        number = self._chance.randrange(5)
        workload = build_workload_record(CLUSTER, "shop", f"web{number}", "StatefulSet", version=self._next())
        self._stores.workloads.part("StatefulSet", "apps/v1").put(workload)
        self._stores.nodes.put(build_node_record(CLUSTER, f"n{number}"))

    def drop_other(self) -> None:
        number = self._chance.randrange(5)
        self._stores.workloads.part("StatefulSet", "apps/v1").drop(("shop", f"web{number}"))
        self._stores.nodes.drop(("", f"n{number}"))

    def happen(self) -> None:
        self._stores.events.put(build_event(self._version))
        self._next()

    def list_again(self) -> None:
        fill(self._stores.pods, [pod for pod in self._stores.pods if self._chance.random() < 0.9])


async def be_well(member: Member) -> None:
    while True:
        member.health.note_answer(Answer(200, {}, b"ok"))
        await asyncio.sleep(0.2)


async def disturb(server: NatsServer, client: Client, how: str) -> None:
    if how == "the server restarts":
        await asyncio.to_thread(server.restart)
    elif how == "the server restarts empty":
        await asyncio.to_thread(server.restart, empty=True)
    elif how == "the stream is deleted":
        await until(lambda: client.is_connected)
        await client.jetstream().delete_stream(SUBJECTS.stream)
    elif how == "the consumers are deleted":
        await until(lambda: client.is_connected)
        for consumer in await client.jetstream().consumers_info(SUBJECTS.stream):
            await client.jetstream().delete_consumer(SUBJECTS.stream, consumer.name)


@both_versions
async def test_a_follower_serves_what_its_writer_serves(nats_server: NatsServer) -> None:
    chance = random.Random(18)
    async with (
        open_client(nats_server.url) as client,
        open_writer(nats_server.url) as writer,
        open_task("sign of life", lambda: be_well(writer.member)),
    ):
        life = Life(writer.member, chance)
        fill_all(writer.member, build_pods(100))
        fill(writer.member.stores.events)
        async with open_following(nats_server.url, cluster=CLUSTER, events_kept=10) as (member, follower):
            for how in DISTURBANCES:
                for _ in range(20):
                    for _ in range(10):
                        life.change()
                    await asyncio.sleep(0.002)
                await disturb(nats_server, client, how)
                for _ in range(100):
                    life.change()
                await until(
                    lambda: held(member) == held(writer.member),
                    what=f"the same state after {how}",
                )
                await until(lambda: member.health.summary()[0] is ClusterHealth.READY)
            assert follower.snapshots == 3, "nothing is read again whose difference can be had"


async def test_who_takes_over_vouches_for_nothing_before_its_own_lists(nats_server: NatsServer) -> None:
    taking = build_member()
    reflectors = taking.health.followed
    fill_all(taking, build_pods(3))
    standing = taking.standing()
    taking.report(standing, now() - 10.0, now() - 10.0)
    async with (
        open_writer(nats_server.url, taking) as writer,
        open_following(nats_server.url, cluster=CLUSTER) as (member, follower),
    ):
        writer.publisher.note_all()
        taking.health.note_answer(Answer(200, {}, b"ok"))
        assert await writer.publisher.drain(10.0)
        await until(lambda: str(member.health.summary()[1]).endswith(LISTING))
        assert (follower.committed, taking.health.is_reported) == (False, True)
        taking.health.follow(reflectors)
        taking.note_following()
        await until(lambda: follower.committed)
        assert held(member)["pods"] == held(taking)["pods"]
        assert not taking.health.is_reported
