"""A few places for dear work, given to callers by turns: whoever asks often waits for itself."""

import asyncio
from collections import OrderedDict, deque


class Full(Exception):
    """So many wait that another would wait in vain."""


class FairPlaces:
    """At most `places` at once, then lines by caller, each of which gets one place a turn.

    No more than `most_of_one` wait in a line and `most` in all; where all places to wait are taken, the last of the
    longest line makes room for a caller whose own is shorter.
    """

    def __init__(self, places: int, most: int, most_of_one: int) -> None:
        self._free = places
        self._most = most
        self._most_of_one = most_of_one
        self._lines: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    def __len__(self) -> int:
        """How many wait."""
        return sum(map(len, self._lines.values()))

    async def take(self, caller: str) -> None:
        """Returns with a place, to be given back by `release`. Raises Full; who is cancelled waits no longer."""
        if self._free:
            self._free -= 1
            return
        line = self._lines.get(caller, deque())
        if len(line) >= self._most_of_one:
            raise Full
        if len(self) >= self._most:
            self._displace(len(line) + 1)
        waiting = asyncio.get_running_loop().create_future()
        line.append(waiting)
        self._lines[caller] = line
        try:
            await waiting
        except asyncio.CancelledError:
            if waiting.done() and not waiting.cancelled():
                self.release()
            else:
                self._leave(caller, waiting)
            raise

    def release(self) -> None:
        """Gives a place back, to whose turn it is."""
        while self._lines:
            caller, line = next(iter(self._lines.items()))
            waiting = line.popleft()
            self._lines.move_to_end(caller)
            if not line:
                del self._lines[caller]
            if not waiting.done():
                waiting.set_result(None)
                return
        self._free += 1

    def _leave(self, caller: str, waiting: "asyncio.Future[None]") -> None:
        line = self._lines.get(caller)
        if line is not None and waiting in line:
            line.remove(waiting)
            if not line:
                del self._lines[caller]

    def _displace(self, length: int) -> None:
        longest = max(self._lines, key=lambda caller: len(self._lines[caller]))
        line = self._lines[longest]
        if len(line) <= length:
            raise Full
        line.pop().set_exception(Full())
