"""A connection to a member that is opened when it is first used: who follows a member seldom asks it anything."""

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager

from fleet.ports import Answer, Call, Connection, MemberSpec, Opening, StreamedAnswer, Upgraded


class LazyConnection:
    """It outlives who uses it: `close` does nothing, and `aclose` closes what was opened. Raises as `Connection`.

    Also a source of itself, for who watches the member.
    """

    def __init__(self, source: Opening, spec: MemberSpec) -> None:
        self.cluster = spec.name
        self._source = source
        self._spec = spec
        self._opened: Connection | None = None
        self._opening = asyncio.Lock()

    async def open_connection(self, _: MemberSpec) -> Connection:
        """Opens it where it is not. Raises ClusterUnreachable: no readable credential."""
        await self._open()
        return self

    async def request(self, call: Call) -> Answer:
        return await (self._opened or await self._open()).request(call)

    def open_stream(self, call: Call) -> AbstractAsyncContextManager[StreamedAnswer]:
        return self._open_stream(call) if self._opened is None else self._opened.open_stream(call)

    def open_upgrade(self, call: Call) -> AbstractAsyncContextManager[Upgraded]:
        return self._open_upgrade(call) if self._opened is None else self._opened.open_upgrade(call)

    async def close(self) -> None:
        """Who used it needs it no more."""

    async def aclose(self) -> None:
        if self._opened is not None:
            await self._opened.close()

    async def _open(self) -> Connection:
        async with self._opening:
            if self._opened is None:
                self._opened = await self._source.open_connection(self._spec)
            return self._opened

    @contextlib.asynccontextmanager
    async def _open_stream(self, call: Call) -> AsyncIterator[StreamedAnswer]:
        async with (await self._open()).open_stream(call) as answer:
            yield answer

    @contextlib.asynccontextmanager
    async def _open_upgrade(self, call: Call) -> AsyncIterator[Upgraded]:
        async with (await self._open()).open_upgrade(call) as upgraded:
            yield upgraded
