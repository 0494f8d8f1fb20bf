"""Turns of the event loop: of what takes long, one piece is worked on in each."""

import asyncio


class Turns:
    """Those of a process. A piece is some milliseconds; several in one turn would make others wait for all of them."""

    def __init__(self) -> None:
        self._waiting = asyncio.Lock()

    async def wait(self) -> None:
        """Until it is the caller's turn, in the order of the calls; what arrived before is begun before.

        One turn of the loop reads what has arrived, the next one begins it.
        """
        async with self._waiting:
            await asyncio.sleep(0)
            await asyncio.sleep(0)
