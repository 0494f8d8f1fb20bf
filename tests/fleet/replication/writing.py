"""A member whose stores a test fills by hand, its writer, and what a stream holds."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Iterable
from typing import Any, NoReturn

import nats
from nats.aio.client import Client
from nats.js.errors import NotFoundError

from fleet.cache.filling import Target
from fleet.cache.rows import StoreKey
from fleet.members.member import FleetOptions, Member
from fleet.model.kinds import ResourceName
from fleet.model.objects import ClusterRole, Pod
from fleet.ports import MemberSpec
from fleet.replication import records
from fleet.replication.connection import Fenced, Nats, open_nats
from fleet.replication.marks import Mark, decode_mark
from fleet.replication.options import NatsOptions
from fleet.replication.publisher import Publisher
from fleet.replication.records import decode
from fleet.replication.subjects import Subjects
from tests.fakes.records import build_node_record, build_pod_record

CLUSTER = "c1"
SUBJECTS = Subjects("openmcp", CLUSTER)


class _Live:
    live, problem, failures = True, None, 0


class _ByHand:
    async def run(self, member: Member) -> NoReturn:
        raise NotImplementedError


def build_member(events_kept: int = 10) -> Member:
    spec = MemberSpec(CLUSTER, ClusterRole.MEMBER, None)
    member = Member(spec, _ByHand(), FleetOptions(events_kept=events_kept))
    member.health.follow(dict.fromkeys(("pods", "nodes", "namespaces", "workloads"), _Live()))
    return member


def build_pods(count: int, version: str = "1", namespace: str = "shop") -> list[Pod]:
    return [build_pod_record(CLUSTER, namespace, f"p{number}", version=version) for number in range(count)]


def fill(target: Target[Any], records: Iterable[Any] = ()) -> None:
    """As a reflector takes in a list."""
    staged = target.stage()
    staged.add(list(records))
    staged.commit()


def fill_all(member: Member, pods: Iterable[Any] = ()) -> None:
    fill(member.nodes, [build_node_record(CLUSTER, "n1")])
    fill(member.namespaces)
    fill(member.pods, pods)


class Writer:
    """A replica that writes the member. `run` has ended where `fenced` is set."""

    def __init__(self, connection: Nats, options: NatsOptions, member: Member) -> None:
        self.member = member
        self.form = records.NEWEST
        self.publisher = Publisher(connection, SUBJECTS, options, member, ask_form=lambda: self.form)
        self.fenced = asyncio.Event()
        self.claimed = 0

    async def run(self) -> None:
        try:
            await self.publisher.run()
        except Fenced:
            self.fenced.set()


@contextlib.asynccontextmanager
async def open_writer(
    url: str, member: Member | None = None, replica: str = "a", form: int = records.NEWEST, **options: Any
) -> AsyncIterator[Writer]:
    """One that has claimed the stream and publishes."""
    nats_options = NatsOptions(servers=tuple(url.split(",")), replica=replica, **options)
    async with open_nats(nats_options) as connection:
        writer = Writer(connection, nats_options, member or build_member())
        writer.form = form
        await connection.wait_connected()
        writer.claimed = await writer.publisher.claim()
        task = asyncio.create_task(writer.run())
        await asyncio.sleep(0)
        try:
            yield writer
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task


@contextlib.asynccontextmanager
async def open_client(url: str) -> AsyncIterator[Client]:
    async def ignore(_: Exception) -> None:
        """Servers come and go."""

    client = await nats.connect(url.split(","), error_cb=ignore, max_reconnect_attempts=-1, reconnect_time_wait=0.1)
    try:
        yield client
    finally:
        await client.close()


class Held:
    """What a stream holds."""

    def __init__(self, bodies: dict[str, bytes]) -> None:
        self.bodies = bodies

    def records(self, kind: ResourceName) -> dict[StoreKey, Any]:
        """By key; None for tombstones."""
        found = {}
        for subject, body in self.bodies.items():
            if (parsed := SUBJECTS.parse(subject)) is not None and parsed[0] == kind:
                found[parsed[1]] = decode(kind, body, CLUSTER) if body else None
        return found

    def of(self, kind: ResourceName) -> dict[str, Any]:
        """By name, where all are of one namespace."""
        return {key[1]: record for key, record in self.records(kind).items()}

    @property
    def mark(self) -> Mark | None:
        body = self.bodies.get(SUBJECTS.mark)
        return None if body is None else decode_mark(body)

    def equals(self, member: Member) -> bool:
        """Whether it holds what the member's stores hold, but for tombstones."""
        return all(
            {key: record for key, record in self.records(kind).items() if record is not None}
            == member.stores.named(kind).records
            for kind in ("pods", "nodes", "namespaces")
        )


async def read_stream(client: Client) -> Held:
    """All of it; nothing where there is no stream."""
    js = client.jetstream(timeout=2)
    try:
        state = (await js.stream_info(SUBJECTS.stream)).state
    except NotFoundError:
        return Held({})
    bodies: dict[str, bytes] = {}
    if not state.messages:
        return Held(bodies)
    subscription = await js.subscribe(SUBJECTS.all, stream=SUBJECTS.stream, ordered_consumer=True)
    while True:
        message = await subscription.next_msg(5)
        bodies[message.subject] = message.data
        if message.metadata.sequence.stream >= state.last_seq:
            break
    await subscription.unsubscribe()
    return Held(bodies)
