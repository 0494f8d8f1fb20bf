"""How many calls are passed on at once: each holds two sockets, and a stream for as long as its caller likes."""

from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial

from msgspec import Struct

from fleet.aio.rates import Refusals
from fleet.model.errors import TooManyRequests

MAX_STREAMS = 5000
MAX_CALLS = 5000


class TooManyStreams(TooManyRequests):
    """So many streams or calls are open that no other is opened; the message says whose."""

    def __init__(self, message: str, turn: Callable[[], Awaitable[None]]) -> None:
        super().__init__(message)
        self.turn = turn


async def wait_turn(error: Exception) -> None:
    """Until a refusal is to be told: who is told at once asks at once."""
    if isinstance(error, TooManyStreams):
        await error.turn()


class OpenStreams:
    """Counts the streams of one server, all and by user; `what` they are called in messages."""

    def __init__(self, total: int = MAX_STREAMS, of_a_user: int = 500, what: str = "streams") -> None:
        self._total = total
        self._of_a_user = of_a_user
        self._what = what
        self._counts: Counter[str] = Counter()
        self._refusals = Refusals()

    @contextmanager
    def hold(self, user: str) -> Iterator[None]:
        """A stream of the user's inside the `with`. Raises TooManyStreams."""
        if self._counts.total() >= self._total:
            words = f"{self._total} {self._what} are open, which is all that this server holds: close some"
            raise TooManyStreams(words, partial(self._refusals.wait, user))
        if self._counts[user] >= self._of_a_user:
            words = f"user {user[:100]!r} has {self._of_a_user} {self._what} open, close some of them first"
            raise TooManyStreams(words, partial(self._refusals.wait, user))
        self._counts[user] += 1
        try:
            yield
        finally:
            self._counts[user] -= 1
            if not self._counts[user]:
                del self._counts[user]


class PassedOn(Struct, frozen=True):
    """What is passed on now: streams, and calls that end by themselves."""

    streams: OpenStreams
    calls: OpenStreams
