"""Hands the newest picture of all clusters to whoever follows it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Mapping

from fleet.ports import MemberSpec


class Snapshots:
    """The last published mapping. A slow follower misses what was overtaken, never the newest."""

    def __init__(self) -> None:
        self._latest: Mapping[str, MemberSpec] | None = None
        self._version = 0
        self._changed = asyncio.Condition()

    @property
    def latest(self) -> Mapping[str, MemberSpec]:
        """What was published last; empty before the first time."""
        return self._latest or {}

    async def publish(self, specs: Mapping[str, MemberSpec]) -> None:
        """Publishes a picture; one equal to the last wakes nobody."""
        if specs == self._latest:
            return
        async with self._changed:
            self._latest = dict(specs)
            self._version += 1
            self._changed.notify_all()

    async def follow(self) -> AsyncIterator[Mapping[str, MemberSpec]]:
        """The picture now (once there is one), and each newer one."""
        followed = 0
        while True:
            async with self._changed:
                while self._version == followed:
                    await self._changed.wait()
                followed, latest = self._version, self.latest
            yield latest


def fingerprint(*parts: str | bytes | None) -> str:
    """A digest that is the same exactly for the same parts, and from which no secret can be read."""
    digest = hashlib.sha256()
    for part in parts:
        data = part.encode() if isinstance(part, str) else part
        digest.update(b"-" if data is None else b"%d:" % len(data) + data)
    return digest.hexdigest()
