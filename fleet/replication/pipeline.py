"""Messages on their way into a stream, many at once and each in its place.

Each names the sequence that the stream must end with before it. So only the last of a group has to be answered: that
proves all before it, and a stream that somebody else has written to takes none of them.
"""

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable
from typing import Generic, TypeVar

from msgspec import Struct
from nats.js.api import Header, PubAck
from nats.js.errors import APIError

from fleet.replication.connection import Nats, StateUnavailable

C = TypeVar("C")

WINDOW = 1024
"""Messages that may be in flight: whoever claims a stream writes one more than that, and none of these fits behind."""

WRONG_SEQUENCE = 10_071
"""The code of an error: the stream does not end where it was expected to."""

_ANSWER_SECONDS = 3.0
_MOST_BYTES = 8_000_000  # in flight
_GROUP, _GROUP_BYTES = 128, 1_000_000


class Flight(Struct, Generic[C]):
    """A group that was sent, up to a sequence."""

    contents: list[tuple[str, C]]
    sequence: int
    bytes: int
    answer: "asyncio.Task[PubAck]"


class Pipeline(Generic[C]):
    """Into one stream. `on_landed` is called with each group that is there, `on_answer` with each answer there is.

    `sequence` is the newest that is known to be there. Whatever is raised is of nats-py: nobody knows then what has
    arrived, and all is begun anew.
    """

    def __init__(self, nats: Nats, on_landed: Callable[[Flight[C]], None], on_answer: Callable[[], None]) -> None:
        self.sequence = self.refused = 0
        self._nats = nats
        self._on_landed = on_landed
        self._on_answer = on_answer
        self._sent = 0
        self._group: list[tuple[str, C]] = []
        self._group_bytes = 0
        self._flights: deque[Flight[C]] = deque()

    def __len__(self) -> int:
        return len(self._group) + sum(len(flight.contents) for flight in self._flights)

    def begin(self, sequence: int) -> list[tuple[str, C]]:
        """Goes on behind a sequence. Gives back what was on its way."""
        self.sequence = self._sent = sequence
        contents = [each for flight in self._flights for each in flight.contents] + self._group
        for flight in self._flights:
            flight.answer.cancel()
        self._flights.clear()
        self._group, self._group_bytes = [], 0
        return contents

    async def send(self, subject: str, content: C, body: bytes, *, last: bool) -> None:
        """Takes the content over at once. The `last` one for now is answered."""
        self._group.append((subject, content))
        self._group_bytes += len(body)
        while self._flights and (self._sent - self.sequence >= WINDOW or self._bytes > _MOST_BYTES):
            await self._wait()
        if last or len(self._group) >= _GROUP or self._group_bytes >= _GROUP_BYTES:
            await self._ask(subject, body)
        else:
            await self._nats.client.publish(subject, body, headers=self._name_next())

    def collect(self) -> None:
        """Takes in what was answered. Raises what was refused, or was not answered in time."""
        while self._flights and self._flights[0].answer.done():
            flight = self._flights[0]
            flight.answer.result()
            self._flights.popleft()
            self.sequence = flight.sequence
            self._on_landed(flight)

    async def count_lost(self) -> int:
        """After an error: how many messages may still be on their way. Waits for answers where there was one."""
        if self._flights and isinstance(_error_of(self._flights[0].answer), APIError):
            with contextlib.suppress(StateUnavailable):
                if self._group:  # refused as well: where one is, so is all behind it
                    await self._ask(self._group[-1][0], b"")
                await asyncio.wait([flight.answer for flight in self._flights])
        if not self._group and all(isinstance(_error_of(flight.answer), APIError) for flight in self._flights):
            return 0
        return self._sent - self.sequence

    async def settle(self) -> None:
        """Waits until all that was sent is there. Raises as `collect`."""
        while self._flights:
            await self._wait()

    async def _ask(self, subject: str, body: bytes) -> None:
        # Not `publish_async`: what is refused, it never answers (nats-py 2.16).
        answer = asyncio.create_task(self._nats.js.publish(subject, body, _ANSWER_SECONDS, headers=self._name_next()))
        answer.add_done_callback(self._note_answer)
        self._flights.append(Flight(self._group, self._sent, self._group_bytes, answer))
        self._group, self._group_bytes = [], 0
        await asyncio.sleep(0)  # the task sends it now, before what comes next

    def _name_next(self) -> dict[str, str]:
        self._sent += 1
        return {Header.EXPECTED_LAST_SEQUENCE.value: str(self._sent - 1)}

    async def _wait(self) -> None:
        await asyncio.wait((self._flights[0].answer,))
        self.collect()

    def _note_answer(self, answer: "asyncio.Task[PubAck]") -> None:
        error = _error_of(answer)
        self.refused += isinstance(error, APIError) and error.err_code == WRONG_SEQUENCE
        self._on_answer()

    @property
    def _bytes(self) -> int:
        return sum(flight.bytes for flight in self._flights)


def _error_of(answer: "asyncio.Task[PubAck]") -> BaseException | None:
    return answer.exception() if answer.done() and not answer.cancelled() else None
