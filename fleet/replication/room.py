"""Room for what a server sends ahead on one connection: it cuts off who has more than 64 MiB to come."""

import asyncio

MOST = 48 * 1024 * 1024
"""Bytes of all streams that are read up to their end."""
MOST_AHEAD = 32 * 1024 * 1024
"""Bytes of one stream that a server sends before it waits for an answer."""


class Room:
    """Whoever begins to read a stream takes as much as there is to come, and gives it back once that has."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._held = 0
        self._turn = asyncio.Lock()
        self._freed = asyncio.Event()

    async def take(self, size: int) -> "Taken":
        """Waits until so many bytes fit, in the order of the calls; what is larger than all the room has it alone."""
        size = min(size, MOST_AHEAD)
        if size:
            async with self._turn:
                while self._held and self._held + size > self._most:
                    self._freed.clear()
                    await self._freed.wait()
                self._held += size
        return Taken(self, size)

    def give_back(self, size: int) -> None:
        self._held -= size
        self._freed.set()


class Taken:
    """A part of the room. Ended as often as one likes."""

    def __init__(self, room: Room, size: int) -> None:
        self._room = room
        self._size = size

    def end(self) -> None:
        if self._size:
            self._room.give_back(self._size)
            self._size = 0
