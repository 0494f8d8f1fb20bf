"""Waiting for a snapshot that shows something, without polling."""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping

from fleet.ports import MemberSource, MemberSpec
from tests.fakes.waiting import PATIENCE

Picture = Mapping[str, MemberSpec]


class Follower:
    """Reads a source's snapshots one after the other."""

    def __init__(self, source: MemberSource) -> None:
        self._snapshots: AsyncIterator[Picture] = source.snapshots()

    async def until(self, shows: Callable[[Picture], bool] = lambda _: True) -> Picture:
        """The next snapshot that shows it."""
        picture: Picture = {}
        try:
            async with asyncio.timeout(PATIENCE):
                async for picture in self._snapshots:
                    if shows(picture):
                        return picture
        except TimeoutError as error:
            raise AssertionError(f"not within {PATIENCE:g} s; the last snapshot is {picture}") from error
        raise AssertionError("the snapshots ended")
