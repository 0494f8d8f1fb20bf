"""A few places for dear work, given to callers by turns: whoever asks often waits for itself."""

import asyncio
from collections import Counter, OrderedDict, deque
from math import inf


class Full(Exception):
    """So many wait that another would wait in vain."""


class FairPlaces:
    """At most `places` at once, `held_of_one` of them a caller's, then lines by caller, each given one place a turn.

    Lines of a lower rank go first. No more than `most_of_one` wait in a line and `most` in all; where all places to
    wait are taken, the last of the longest line makes room for a caller whose own is shorter, and any of a higher rank.
    """

    def __init__(self, places: int, most: int, most_of_one: int, held_of_one: float = inf) -> None:
        self._free = places
        self._most = most
        self._most_of_one = most_of_one
        self._held_of_one = held_of_one
        self._held: Counter[str] = Counter()
        self._lent: Counter[str] = Counter()
        self._lines: OrderedDict[tuple[int, str], deque[asyncio.Future[None]]] = OrderedDict()

    def __len__(self) -> int:
        """How many wait."""
        return sum(map(len, self._lines.values()))

    @property
    def waited_for(self) -> bool:
        """Whether somebody waits."""
        return bool(self._lines)

    @property
    def held(self) -> int:
        """How many places are taken, those that are lent among them."""
        return self._held.total()

    @property
    def lent(self) -> int:
        """How many hold a place beyond all others."""
        return self._lent.total()

    def count(self, caller: str) -> int:
        """How many of the caller's wait."""
        return sum(len(line) for (_, owner), line in self._lines.items() if owner == caller)

    def take_free(self, caller: str) -> bool:
        """Takes a place that nobody waits for, if there is one for the caller."""
        held = self._held.get(caller, 0)  # a Counter's own way to its 0 is five times as long
        if not self._free or held >= self._held_of_one:
            return False
        self._free -= 1
        self._held[caller] = held + 1
        return True

    async def take(self, caller: str, rank: int = 0) -> None:
        """Returns with a place, to be given back by `release`. Raises Full; who is cancelled waits no longer."""
        if self.take_free(caller):
            return
        key = (rank, caller)
        line = self._lines.get(key, deque())
        if len(line) >= self._most_of_one:
            raise Full
        if len(self) >= self._most:
            self._displace(rank, len(line) + 1)
        waiting = asyncio.get_running_loop().create_future()
        line.append(waiting)
        self._lines[key] = line
        try:
            await waiting
        except asyncio.CancelledError:
            if not waiting.done() or waiting.cancelled():
                self._leave(key, waiting)
            elif waiting.exception() is None:
                self.release(caller)
            raise

    def release(self, caller: str) -> None:
        """Gives a place of the caller's back, to whose turn it is; one that was lent goes first, and is gone."""
        _subtract(self._held, caller)
        if caller in self._lent:
            _subtract(self._lent, caller)
        else:
            self._free += 1
        while self._lines and self._free and self._give(self._held_of_one) is not None:
            self._free -= 1

    def lend(self, most_of_one: float, caller: str | None = None) -> bool:
        """A place beyond all others, for the caller or for whose turn it is, if they hold fewer; whether they do."""
        if caller is None:
            caller = self._give(most_of_one)
        elif self._held.get(caller, 0) < most_of_one:
            self._held[caller] += 1
        else:
            return False
        if caller is None:
            return False
        self._lent[caller] += 1
        return True

    def _give(self, held_of_one: float) -> str | None:
        """Who waited, and has a place now."""
        while keys := [key for key in self._lines if self._held[key[1]] < held_of_one]:
            key = min(keys, key=lambda key: key[0])
            line = self._lines[key]
            waiting = line.popleft()
            self._lines.move_to_end(key)
            if not line:
                del self._lines[key]
            if not waiting.done():
                waiting.set_result(None)
                self._held[key[1]] += 1
                return key[1]
        return None

    def _leave(self, key: tuple[int, str], waiting: "asyncio.Future[None]") -> None:
        line = self._lines.get(key)
        if line is not None and waiting in line:
            line.remove(waiting)
            if not line:
                del self._lines[key]

    def _displace(self, rank: int, length: int) -> None:
        key = max(self._lines, key=lambda key: (max(key[0], rank), len(self._lines[key])))
        line = self._lines[key]
        if key[0] <= rank and len(line) <= length:
            raise Full
        last = line.pop()
        if not line:
            del self._lines[key]
        if not last.done():  # else it is gone, and does not know it yet
            last.set_exception(Full())


def _subtract(counts: Counter[str], caller: str) -> None:
    left = counts[caller] - 1
    if left:
        counts[caller] = left
    else:
        del counts[caller]
