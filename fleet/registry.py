"""Which clusters belong to the federation now: follows the source, and opens, changes and closes members."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from types import MappingProxyType

from fleet.aio.tasks import open_task
from fleet.aio.turns import Turns
from fleet.federation import Federation
from fleet.live.changes import ChangeFeed
from fleet.members.member import Filler, FleetOptions, Member
from fleet.members.watching import Watching
from fleet.ports import MemberSource, MemberSpec

__all__ = ["FleetOptions", "open_federation"]

logger = logging.getLogger(__name__)

BuildFiller = Callable[[MemberSource, FleetOptions, Turns], Filler]
"""Gives what fills the stores of all members."""


@contextlib.asynccontextmanager
async def open_federation(
    source: MemberSource, options: FleetOptions, build_filler: BuildFiller = Watching
) -> AsyncIterator[Federation]:
    """Follows the source and all its members; on leaving the `with` every task has ended and every pool is closed."""
    registry = _Membership(source, options, build_filler)
    async with contextlib.AsyncExitStack() as stack:
        await stack.enter_async_context(contextlib.aclosing(registry))
        await stack.enter_async_context(open_task("member source", registry.follow))
        federation = Federation(
            registry.members,
            registry.known,
            member_timeout=options.member_timeout,
            feed=registry.feed,
            turns=registry.turns,
            grants_max_age=options.grants_max_age,
        )
        if federation.grants is not None:
            await stack.enter_async_context(contextlib.aclosing(federation.grants))
        yield federation


class _Membership:
    """The members of the last snapshot, each with the task that keeps it going."""

    def __init__(self, source: MemberSource, options: FleetOptions, build_filler: BuildFiller) -> None:
        self.known = asyncio.Event()
        self.feed = ChangeFeed()
        self.turns = Turns()
        self._source = source
        self._options = options
        self._filler = build_filler(source, options, self.turns)
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
        await asyncio.gather(*(life.aclose() for life in self._lives.values()))

    async def _apply(self, snapshot: Mapping[str, MemberSpec]) -> None:
        """A cluster that stays is there all the time, however long what ends takes to close."""
        ending, renewing = [], []
        for name in self._members.keys() - snapshot.keys():
            self._members.pop(name).note_closed()
            self.feed.leave(name)
            ending.append(self._end(name))
        for name, spec in snapshot.items():
            member = self._members.get(name)
            if member is None:
                await self._begin(spec)
            elif not _differs(member.spec, spec):
                member.health.note_spec(spec)
                self.feed.touch(name)
            elif _is_same_place(member.spec, spec):
                renewing.append(self._renew(member, spec))
            else:
                member.note_closed()
                ending.append(self._end(name))
                await self._begin(spec)
        await asyncio.gather(*renewing, *ending)

    async def _begin(self, spec: MemberSpec) -> None:
        member = Member(spec, self._filler, self._options)
        self._members[spec.name] = member
        self.feed.join(member)
        await self._run(member)
        logger.info("cluster %s: %s", spec.name, spec.problem or "joined")

    async def _renew(self, member: Member, spec: MemberSpec) -> None:
        await self._end(member.name)
        member.health.renew(spec)
        await self._run(member)
        self.feed.touch(member.name)

    async def _run(self, member: Member) -> None:
        life = contextlib.AsyncExitStack()
        await life.enter_async_context(open_task(f"member {member.name}", member.run))
        self._lives[member.name] = life

    def _end(self, name: str) -> Awaitable[None]:
        logger.info("cluster %s: closed", name)
        return self._lives.pop(name).aclose()


def _differs(old: MemberSpec, new: MemberSpec) -> bool:
    """Whether a member is to be reached in another way."""
    return new.credential != old.credential or new.role is not old.role


def _is_same_place(old: MemberSpec, new: MemberSpec) -> bool:
    """Whether only the proof of identity is another: then what was known stays the last known state."""
    return (
        old.credential is not None and new.credential is not None and old.credential.endpoint == new.credential.endpoint
    )
