"""What this replica does for one member: it follows what is published of it, or watches and publishes it."""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from typing import NoReturn

from nats.js.errors import NotFoundError

from fleet.aio.turns import Turns
from fleet.members.member import FleetOptions, Member
from fleet.members.watching import Watching
from fleet.ports import MemberSource
from fleet.replication.connection import Fenced, Nats, StateUnavailable, translated
from fleet.replication.following import Following
from fleet.replication.lazy import LazyConnection
from fleet.replication.lease import Lease
from fleet.replication.leases import Leases
from fleet.replication.options import NatsOptions
from fleet.replication.publisher import Publisher
from fleet.replication.subjects import Subjects

DRAIN_SECONDS = 3.0
"""How long who gives a member away tries to publish what he still has of it; its next writer finds out anyhow."""
SETTLE_SECONDS = 10.0
"""How long the stream is read before it is claimed: after a claim, whoever has not read it publishes all again."""

_REFRAIN_SECONDS = 1.0
"""For which a lease that could not be used is left to others."""

logger = logging.getLogger(__name__)


class Part:
    """`role` is what it is to the member now. Without leases it writes nothing."""

    def __init__(
        self,
        nats: Nats,
        leases: Leases | None,
        options: NatsOptions,
        on_usage: Callable[[str, str, bytes], None] | None,
        member: Member,
    ) -> None:
        self.role: Following | Publisher | None = None
        self._nats = nats
        self._leases = leases
        self._options = options
        self._on_usage = on_usage
        self._member = member
        self._subjects = Subjects(options.prefix, member.name)

    async def run(self, source: MemberSource, fleet: FleetOptions, turns: Turns) -> NoReturn:
        member = self._member
        if member.spec.credential is None:
            await asyncio.Event().wait()  # nobody can watch it until the source says something else
        member.connection = connection = LazyConnection(source, member.spec)
        watching = Watching(connection, fleet, turns)
        try:
            if self._leases is None:
                await self._build_following(turns).run()
            async with self._leases.open_lease(member.name) as lease:
                try:
                    while True:
                        if (publisher := await self._follow(self._leases, lease, turns)) is not None:
                            await self._write(watching, publisher, lease)
                        await self._leases.give_back(lease, wait=_REFRAIN_SECONDS)
                finally:
                    if member.is_closed and lease.is_held:
                        await self._delete_stream()
        finally:
            member.connection = None
            await connection.aclose()

    def _build_following(self, turns: Turns) -> Following:
        self.role = following = Following(self._nats, self._subjects, self._options, self._member, turns)
        if self._on_usage is not None:
            following.on_usage = self._on_usage
        return following

    async def _follow(self, leases: Leases, lease: Lease, turns: Turns) -> Publisher | None:
        """Until the lease is ours and nobody else can write: then all that was published has been applied here.

        None where the lease is lost meanwhile.
        """
        following = self._build_following(turns)
        async with asyncio.TaskGroup() as group:
            followed = group.create_task(following.run())
            await lease.taken.wait()
            claiming = group.create_task(self._claim(following, leases, turns))
            lost = group.create_task(lease.ends.wait())
            await asyncio.wait((claiming, lost), return_when=asyncio.FIRST_COMPLETED)
            publisher = claiming.result() if claiming.done() else None
            for task in (followed, claiming, lost):
                task.cancel()
        return publisher

    async def _claim(self, following: Following, leases: Leases, turns: Turns) -> Publisher:
        publisher = Publisher(self._nats, self._subjects, self._options, self._member, turns, lambda: leases.form)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SETTLE_SECONDS):
                await following.wait_settled()
        claimed = await publisher.claim()
        await following.wait_applied(claimed)
        if not following.committed:
            publisher.note_all()
        return publisher

    async def _write(self, watching: Watching, publisher: Publisher, lease: Lease) -> None:
        """Until the lease is lost, or to be given away: then all that the member said here has been published."""
        self.role, member = publisher, self._member
        logger.info("%s is watched by this replica", member.name)
        try:
            async with asyncio.TaskGroup() as group:
                pumping = group.create_task(publisher.run())
                watched = group.create_task(watching.run(member, publisher.target))
                try:
                    await lease.ends.wait()
                finally:
                    member.keep_standing()
                    watched.cancel()
                    if lease.is_held and not pumping.done() and self._nats.is_connected:
                        await asyncio.wait((watched,))
                        await publisher.drain(DRAIN_SECONDS)
                    pumping.cancel()
        except* Fenced:
            logger.warning("%s is written by another replica: what this one had of it is dropped", member.name)

    async def _delete_stream(self) -> None:
        with contextlib.suppress(NotFoundError, StateUnavailable), translated(self._subjects.stream):
            await self._nats.js.delete_stream(self._subjects.stream)
