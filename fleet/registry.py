"""Which clusters belong to the federation now: follows the source, and opens, changes and closes members."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping
from types import MappingProxyType

from fleet.aio.tasks import open_task
from fleet.aio.turns import Turns
from fleet.federation import Federation
from fleet.live.changes import ChangeFeed
from fleet.members.member import FleetOptions, Member
from fleet.ports import MemberSource, MemberSpec

__all__ = ["FleetOptions", "open_federation"]

logger = logging.getLogger(__name__)


@contextlib.asynccontextmanager
async def open_federation(source: MemberSource, options: FleetOptions) -> AsyncIterator[Federation]:
    """Follows the source and all its members; on leaving the `with` every task has ended and every pool is closed."""
    registry = _Membership(source, options)
    async with contextlib.aclosing(registry), open_task("member source", registry.follow):
        yield Federation(
            registry.members,
            registry.known,
            member_timeout=options.member_timeout,
            feed=registry.feed,
            turns=registry.turns,
        )


class _Membership:
    """The members of the last snapshot, each with the task that keeps it going."""

    def __init__(self, source: MemberSource, options: FleetOptions) -> None:
        self.known = asyncio.Event()
        self.feed = ChangeFeed()
        self.turns = Turns()
        self._source = source
        self._options = options
        self._members: dict[str, Member] = {}
        self._lives: dict[str, contextlib.AsyncExitStack] = {}

    @property
    def members(self) -> Mapping[str, Member]:
        return MappingProxyType(self._members)

    async def follow(self) -> None:
        async for snapshot in self._source.snapshots():
            await self._apply(snapshot)
            self.known.set()

    async def aclose(self) -> None:
        await asyncio.gather(*(self._end(name) for name in tuple(self._members)))

    async def _apply(self, snapshot: Mapping[str, MemberSpec]) -> None:
        gone = {name: member for name, member in self._members.items() if _differs(member.spec, snapshot.get(name))}
        await asyncio.gather(*(self._end(name) for name in gone))
        for name, spec in snapshot.items():
            if (member := self._members.get(name)) is not None:
                member.health.note_spec(spec)
                self.feed.touch(name)
            else:
                await self._begin(spec, gone.get(name))
        for name in gone:
            if name not in self._members:  # one that is only reached in another way keeps its objects
                self.feed.leave(name)

    async def _begin(self, spec: MemberSpec, before: Member | None) -> None:
        stores = before.stores if before is not None and _is_same_place(before.spec, spec) else None
        member = Member(spec, self._source, self._options, stores, self.turns)
        life = contextlib.AsyncExitStack()
        await life.enter_async_context(open_task(f"member {spec.name}", member.run))
        self._members[spec.name] = member
        self.feed.join(member)
        self._lives[spec.name] = life
        logger.info("cluster %s: %s", spec.name, spec.problem or "joined")

    async def _end(self, name: str) -> None:
        del self._members[name]
        await self._lives.pop(name).aclose()
        logger.info("cluster %s: closed", name)


def _differs(old: MemberSpec, new: MemberSpec | None) -> bool:
    """Whether a member has to be closed: it is gone, or is to be reached in another way."""
    return new is None or new.credential != old.credential or new.role is not old.role


def _is_same_place(old: MemberSpec, new: MemberSpec) -> bool:
    """Whether only the proof of identity is another: then what was known stays the last known state."""
    return (
        old.credential is not None and new.credential is not None and old.credential.endpoint == new.credential.endpoint
    )
