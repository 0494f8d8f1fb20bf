"""This process among all that share one state: each member is followed, or watched and published while it is ours."""

import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import NoReturn

from fleet.aio.turns import Turns
from fleet.members.member import FleetOptions, Member
from fleet.ports import MemberSource
from fleet.replication.connection import Nats, open_nats
from fleet.replication.figures import MemberFigures
from fleet.replication.leases import Leases, open_leases
from fleet.replication.options import NatsOptions
from fleet.replication.part import Part
from fleet.replication.publisher import Publisher


class Replica:
    """Made by `open_replica`. `on_usage` gets what the writers of other members measured."""

    def __init__(self, nats: Nats, leases: Leases | None, options: NatsOptions) -> None:
        self.nats = nats
        self.leases = leases
        self.options = options
        self.on_usage: Callable[[str, str, bytes], None] | None = None
        self.parts: dict[str, Part] = {}

    def fill(self, source: MemberSource, fleet: FleetOptions, turns: Turns) -> "Filling":
        """What fills the stores of members, from the shared state or for it."""
        return Filling(self, source, fleet, turns)

    def is_written(self, cluster: str) -> bool:
        """Whether it is this replica that watches the member."""
        return self._find_publisher(cluster) is not None

    def publish_usage(self, cluster: str, bodies: list[bytes]) -> None:
        """Nothing where another replica writes the member."""
        if (publisher := self._find_publisher(cluster)) is not None:
            publisher.publish_usage(bodies)

    def figures(self) -> Iterator[MemberFigures]:
        for cluster, part in self.parts.items():
            if (role := part.role) is None:
                continue
            if isinstance(role, Publisher):
                yield MemberFigures(
                    cluster=cluster,
                    writes=True,
                    last_sequence=role.last_sequence,
                    pending=role.pending,
                    published=role.published,
                    published_bytes=role.published_bytes,
                    refused=role.refused,
                    lists=role.lists,
                )
            else:
                yield MemberFigures(
                    cluster=cluster,
                    writes=False,
                    last_sequence=role.applied,
                    lag_seconds=role.lag_seconds,
                    received=role.messages,
                    received_bytes=role.bytes,
                    snapshots=role.snapshots,
                )

    def _find_publisher(self, cluster: str) -> Publisher | None:
        part = self.parts.get(cluster)
        return part.role if part is not None and isinstance(part.role, Publisher) else None


class Filling:
    """Fills the stores of the members that a source has."""

    def __init__(self, replica: Replica, source: MemberSource, fleet: FleetOptions, turns: Turns) -> None:
        self._replica = replica
        self._source = source
        self._fleet = fleet
        self._turns = turns

    async def run(self, member: Member) -> NoReturn:
        replica = self._replica
        part = Part(replica.nats, replica.leases, replica.options, replica.on_usage, member)
        replica.parts[member.name] = part
        try:
            await part.run(self._source, self._fleet, self._turns)
        finally:
            # One of the same name may be there already.
            if replica.parts.get(member.name) is part:
                del replica.parts[member.name]


@contextlib.asynccontextmanager
async def open_replica(options: NatsOptions) -> AsyncIterator[Replica]:
    """Takes part until the `with` is left, before which all members were. Connects, and does so anew, by itself."""
    async with open_nats(options) as nats, contextlib.AsyncExitStack() as stack:
        leases = await stack.enter_async_context(open_leases(nats, options)) if options.writes else None
        yield Replica(nats, leases, options)
