"""What waits for one subscriber: at most one message an object, whatever happened to it meanwhile."""

import asyncio
import math
from collections import OrderedDict
from collections.abc import Hashable, Mapping
from typing import Protocol, Self

import orjson
from msgspec import Struct

from fleet.model.errors import FleetError
from fleet.model.told import told_to
from fleet.model.visibility import Scope
from graph.enums import EventType
from graph.errors import Code, code_of

_TAKEN_A_TURN = 50


class Message(Protocol):
    """What is put into a mailbox: shared by many, so its text is asked for when it is sent."""

    def text(self, type: EventType) -> str:  # noqa: A002 - the field's name in the graph
        """The execution result as JSON."""


class Ending(Struct, frozen=True):
    """Why a subscription, or a whole connection, is ended by the server. `close_code` is that of a WebSocket."""

    code: Code
    message: str
    close_code: int = 4403

    @classmethod
    def from_error(cls, error: FleetError, scope: Scope, close_code: int = 4403) -> Self:
        return cls(code_of(error), told_to(scope, error), close_code)


FAILED = Ending(Code.INTERNAL, "something went wrong here: subscribe again", 1011)
SPENT = Ending(Code.COST_EXCEEDED, "too much is followed here at once: filter or select less, or try again later", 1013)


class Ended(Exception):
    """A stream was ended by the server."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending.message)
        self.ending = ending


class Mailbox:
    """Bounded by the objects that the subscriber follows; a newer state of one takes the place of an older one.

    Where those have no end, `most` wait; a message before which older ones were thrown away says how many, as
    `extensions.dropped`.

    What the subscriber knows stays true: an object that came and went between two messages is never told of, one that
    went and came back is MODIFIED. A message before which states were skipped says how many, as
    `extensions.coalesced`.
    """

    def __init__(self, most: float = math.inf) -> None:
        self._most = most
        self.dropped = 0
        self._waiting: OrderedDict[Hashable, tuple[EventType, Message]] = OrderedDict()
        self._skipped = 0
        self._taken = 0
        self._ending: Ending | None = None
        self._wake = asyncio.Event()

    def __len__(self) -> int:
        return len(self._waiting)

    def begin(self, there: Mapping[Hashable, tuple[EventType, Message]]) -> None:
        """Puts all that there is at first, as many share it, where nothing was put yet."""
        self._waiting.update(there)
        if there:
            self._wake.set()

    def put(self, key: Hashable, type: EventType, message: Message) -> None:  # noqa: A002 - as above
        before = self._waiting.get(key)
        if before is not None:
            self._skipped += 1
            merged = _merge(before[0], type)
            if merged is None:
                self._skipped += 1
                del self._waiting[key]
                return
            type = merged  # noqa: A001 - as above
        self._waiting[key] = (type, message)
        if len(self._waiting) > self._most:
            self._waiting.popitem(last=False)
            self.dropped += 1
        self._wake.set()

    def end(self, ending: Ending) -> None:
        """Makes `take` raise; what still waits is dropped."""
        self._ending = ending
        self._waiting.clear()
        self._wake.set()

    async def take(self) -> str:
        """The next message's text. Raises Ended."""
        while not self._waiting:
            if self._ending is not None:
                raise Ended(self._ending)
            self._wake.clear()
            await self._wake.wait()
        self._taken += 1
        if self._taken % _TAKEN_A_TURN == 0:
            await asyncio.sleep(0)  # a long list is no reason for others to wait
            return await self.take()
        _, (type, message) = self._waiting.popitem(last=False)  # noqa: A001 - as above
        text = message.text(type)
        if told := {name: count for name, count in (("coalesced", self._skipped), ("dropped", self.dropped)) if count}:
            text = f'{text[:-1]},"extensions":{orjson.dumps(told).decode()}}}'
            self._skipped = self.dropped = 0
        return text


def _merge(before: EventType, after: EventType) -> EventType | None:
    """What two events of one object are together; None where the subscriber never needs to know of it."""
    if before is EventType.ADDED:
        return None if after is EventType.DELETED else EventType.ADDED
    return EventType.DELETED if after is EventType.DELETED else EventType.MODIFIED
