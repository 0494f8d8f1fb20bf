"""How a process says that it ends: first that new work should go elsewhere, then that what has no end is to end."""

import asyncio


class Stopping:
    """`begun` says that no new work should come here; `wait_streams_end`, when what would go on for ever is to end."""

    def __init__(self) -> None:
        self.begun = False
        self._streams_end = asyncio.Event()

    def begin(self) -> None:
        self.begun = True

    def end_streams(self) -> None:
        self.begun = True
        self._streams_end.set()

    async def wait_streams_end(self) -> None:
        await self._streams_end.wait()
