"""How many connections may be taken over by streams at once: each holds two sockets for as long as its caller likes."""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from fleet.model.errors import FleetError

MAX_STREAMS = 1000
MAX_STREAMS_OF_A_USER = 200


class TooManyStreams(FleetError):
    """So many streams are open that no other is opened; the message says whose."""


class OpenStreams:
    """Counts the streams of one server, all and by user."""

    def __init__(self, total: int = MAX_STREAMS, of_a_user: int = MAX_STREAMS_OF_A_USER) -> None:
        self._total = total
        self._of_a_user = of_a_user
        self._counts: Counter[str] = Counter()

    @contextmanager
    def hold(self, user: str) -> Iterator[None]:
        """A stream of the user's inside the `with`. Raises TooManyStreams."""
        if self._counts.total() >= self._total:
            raise TooManyStreams(f"{self._total} streams are open, which is all that this server holds: close some")
        if self._counts[user] >= self._of_a_user:
            raise TooManyStreams(f"user {user[:100]!r} has {self._of_a_user} streams open, close some of them first")
        self._counts[user] += 1
        try:
            yield
        finally:
            self._counts[user] -= 1
            if not self._counts[user]:
                del self._counts[user]
