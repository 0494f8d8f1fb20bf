"""Leases on a real nats-server: one holder a member, whoever comes, goes, freezes, or finds the server gone."""

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from itertools import pairwise

from fleet.aio.tasks import open_task
from fleet.replication import records
from fleet.replication.connection import Nats, open_nats
from fleet.replication.lease import Lease
from fleet.replication.leases import Leases, open_leases
from fleet.replication.options import NatsOptions
from fleet.replication.rendezvous import rank
from realfleet.nats import NatsCluster, NatsServer
from tests.fakes.faults import open_proxy
from tests.fakes.waiting import until
from tests.required import both_versions

SECONDS = 2.0
MEMBERS = tuple(f"member {number}" for number in range(12))


class Replica:
    """Writes what it has the lease of, and says when it began and ended."""

    def __init__(self, name: str, nats: Nats, leases: Leases) -> None:
        self.name, self.nats, self.leases = name, nats, leases
        self.taken: list[tuple[str, float]] = []
        self.given: list[tuple[str, float]] = []
        self.held: set[str] = set()
        self.tried: list[Lease] = []

    async def write(self, member: str) -> None:
        async with self.leases.open_lease(member) as lease:
            self.tried.append(lease)
            while True:
                await lease.taken.wait()
                self._begin(lease)
                try:
                    await lease.ends.wait()
                finally:
                    self.held.discard(member)
                    self.given.append((member, time.monotonic()))
                await self.leases.give_back(lease)

    def has_renewed(self, since: float) -> bool:
        """Whether it has renewed all that it holds."""
        return all(lease.renewed_at > since for lease in self.tried if lease.member in self.held)

    def _begin(self, lease: Lease) -> None:
        self.held.add(lease.member)
        self.taken.append((lease.member, time.monotonic()))


@asynccontextmanager
async def open_replica(
    url: str, name: str, members: Sequence[str] = MEMBERS, replicas: int = 1, seconds: float = SECONDS
) -> AsyncIterator[Replica]:
    options = NatsOptions(servers=tuple(url.split(",")), replica=name, lease_seconds=seconds, stream_replicas=replicas)
    async with open_nats(options) as nats, open_leases(nats, options) as leases, AsyncExitStack() as stack:
        replica = Replica(name, nats, leases)
        for member in members:
            await stack.enter_async_context(open_task(member, partial(replica.write, member)))
        yield replica


def spread(*replicas: Replica, members: Sequence[str] = MEMBERS) -> bool:
    """Whether each member is held by the replica that is preferred for it, and by no other."""
    preferred = {member: rank(member, [replica.name for replica in replicas])[0] for member in members}
    return all(
        replica.held == {member for member, name in preferred.items() if name == replica.name} for replica in replicas
    )


def renewed(since: float, *replicas: Replica) -> bool:
    return all(replica.has_renewed(since) for replica in replicas)


@both_versions
async def test_replicas_that_start_together_share_the_members(nats_server: NatsServer) -> None:
    async with open_replica(nats_server.url, "a") as a, open_replica(nats_server.url, "b") as b:
        await until(lambda: spread(a, b), what="each member has one holder")
        assert not a.given
        assert not b.given
        await until(lambda: len(a.leases.holders()) == len(MEMBERS))
        assert all(a.leases.holders()[member] == replica.name for replica in (a, b) for member in replica.held)


async def test_one_that_comes_gets_its_share_at_most_three_a_second(nats_server: NatsServer) -> None:
    async with open_replica(nats_server.url, "a") as a:
        await until(lambda: len(a.held) == len(MEMBERS), what="all are held by one")
        async with open_replica(nats_server.url, "b") as b:
            await until(lambda: spread(a, b), what="the other has its share")
            times = [at for _, at in a.given]
            assert [member for member, _ in b.taken] == [member for member, _ in a.given]
            assert len(times) > 1
            assert all(later - sooner > 0.3 for sooner, later in pairwise(times))
            left = time.monotonic()
        await until(lambda: len(a.held) == len(MEMBERS), what="all are held by the one that stays")
        assert time.monotonic() - left < SECONDS, "leases that were given back are taken without waiting"


async def test_members_of_a_dead_replica_are_taken_when_its_leases_have_run_out(nats_server: NatsServer) -> None:
    async with (
        open_proxy(nats_server.url) as (line, faults),
        open_replica(nats_server.url, "a") as a,
        open_replica(line.replace("http", "nats"), "b") as b,
    ):
        await until(lambda: spread(a, b))
        faults.black_hole = True
        died = time.monotonic()
        await until(lambda: len(a.held) == len(MEMBERS), what="all are held by the one that lives")
        assert time.monotonic() - died < 2 * SECONDS
        assert not a.given


async def test_a_server_that_was_gone_longer_than_leases_last_moves_nothing(nats_server: NatsServer) -> None:
    async with open_replica(nats_server.url, "a") as a, open_replica(nats_server.url, "b") as b:
        await until(lambda: spread(a, b))
        for empty in (False, True):
            await asyncio.to_thread(nats_server.stop)
            await asyncio.sleep(SECONDS + 1)  # how long it is gone is what is tested
            await asyncio.to_thread(nats_server.restart, empty=empty)
            since = asyncio.get_running_loop().time()
            await until(partial(renewed, since, a, b), what="all leases are renewed")
            await until(lambda: a.leases.list_living() == b.leases.list_living() == {"a", "b"})
        assert spread(a, b)
        assert not a.given
        assert not b.given


async def test_a_replica_whose_lease_is_anothers_ends_writing(nats_server: NatsServer) -> None:
    async with open_replica(nats_server.url, "a", ["one"]) as a:
        await until(lambda: a.held)
        await a.nats.js.publish("$KV.openmcp-leases.member.one", b"b")
        await until(lambda: not a.held)
        await until(lambda: a.leases.holders() == {"one": "b"})


async def test_leases_outlive_a_server_of_a_cluster(nats_cluster: NatsCluster) -> None:
    url = nats_cluster.url
    async with open_replica(url, "a", replicas=3) as a, open_replica(url, "b", replicas=3) as b:
        await until(lambda: spread(a, b))
        leader = await asyncio.to_thread(nats_cluster.find_leader, "KV_openmcp-leases")
        assert leader is not None
        await asyncio.to_thread(leader.kill)
        since = asyncio.get_running_loop().time()
        await until(partial(renewed, since + 1, a, b), what="all leases are renewed")
        assert spread(a, b)


async def test_what_is_written_is_what_the_oldest_that_lives_can_read(nats_server: NatsServer) -> None:
    async with open_replica(nats_server.url, "new") as new, open_replica(nats_server.url, "other", ()) as other:
        await until(lambda: new.leases.list_living() == {"new", "other"}, what="both")
        assert new.leases.form == other.leases.form == records.NEWEST
        bucket = await new.nats.js.key_value("openmcp-leases")
        await bucket.put("replica.old", f"{records.NEWEST - 1} old".encode())
        await until(lambda: new.leases.form == other.leases.form == records.NEWEST - 1, what="the older form")
        await until(lambda: new.leases.form == records.NEWEST, what="the newest form, once the old one is gone")
        assert new.leases.list_living() == {"new", "other"}
