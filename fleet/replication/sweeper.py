"""Takes out of a member's stream what nobody needs: tombstones after a time, and events that fell out."""

import asyncio
import contextlib
from collections import deque
from collections.abc import Sequence
from itertools import chain, islice, takewhile
from typing import NoReturn

from fleet.aio.turns import Pace, Turns
from fleet.cache.rows import StoreKey
from fleet.members.member import Member
from fleet.members.signs import NEVER, now
from fleet.replication.connection import StateUnavailable
from fleet.replication.outbox import TOMBSTONE, Content, Outbox
from fleet.replication.stream import Stream
from fleet.replication.subjects import Subjects, Unpublishable

_TICK_SECONDS = 0.5
_AT_ONCE = 64
_PATIENCE_SECONDS = 60.0  # for kinds that can't be had


class Sweeper:
    """Of one writer. Tombstones stay for `marker_seconds` from when it published or found them."""

    def __init__(
        self,
        stream: Stream,
        subjects: Subjects,
        member: Member,
        outbox: Outbox,
        marker_seconds: float,
        turns: Turns,
    ) -> None:
        self._stream = stream
        self._subjects = subjects
        self._member = member
        self._ring = member.stores.events
        self._stores = member.stores.as_filled
        self._outbox = outbox
        self._turns = turns
        self._marker_seconds = marker_seconds
        self._tombstones: deque[tuple[float, int]] = deque()
        self._events: dict[StoreKey, int] = {}
        self._dropped: list[int] = []
        self._unread: int | None = None
        self._claimed_at = NEVER

    def note_claim(self, sequence: int, *, anew: bool, empty: bool) -> None:
        """What is in the stream up to here was left by others, where it is the first or may be another stream."""
        if anew:  # whose sequences are other messages
            self._tombstones.clear()
            self._events.clear()
            self._dropped.clear()
        if empty:
            self._unread = None
        elif anew or self._claimed_at == NEVER:
            self._unread = sequence
        self._claimed_at = now()

    def note_published(self, contents: Sequence[tuple[str, Content]], last: int) -> None:
        """These are in the stream, the last one at a sequence."""
        for sequence, (_, content) in enumerate(contents, last - len(contents) + 1):
            if content == TOMBSTONE:
                self._tombstones.append((now() + self._marker_seconds, sequence))
            elif isinstance(content, tuple) and content[0] == "events":
                event = content[1]
                self._note_event((event.namespace, event.name), sequence)

    def note_dropped(self, key: StoreKey) -> None:
        """An event fell out of the ring."""
        with contextlib.suppress(Unpublishable):
            self._outbox.discard(self._subjects.of("events", key))
        if (sequence := self._events.pop(key, None)) is not None:
            self._dropped.append(sequence)

    async def run(self) -> NoReturn:
        while True:
            await asyncio.sleep(_TICK_SECONDS)
            with contextlib.suppress(StateUnavailable):
                if self._unread is not None and (kinds := self._list_live()):
                    unread = self._unread
                    pace = Pace(self._turns)
                    async for subject, sequence, is_tombstone in self._stream.read_subjects(unread):
                        self._note_left(subject, sequence, is_tombstone, kinds)
                        await pace.wait()
                    if self._unread == unread:
                        self._unread = None
                await self._sweep()

    async def _sweep(self) -> None:
        """Some at a time: where the stream is made anew meanwhile, the others would be sequences of other messages."""
        while batch := self._list_due():
            await self._stream.delete(batch)
            done = set(batch)
            self._dropped = [sequence for sequence in self._dropped if sequence not in done]
            while self._tombstones and self._tombstones[0][1] in done:
                self._tombstones.popleft()

    def _list_due(self) -> list[int]:
        aged = takewhile(lambda each: each[0] <= now(), self._tombstones)
        return list(islice(chain((sequence for _, sequence in aged), self._dropped), _AT_ONCE))

    def _list_live(self) -> set[str]:
        """The kinds whose stores are equal to the member; none while there will be more."""
        kinds = self._member.standing().kinds
        live = {kind for kind, each in kinds.items() if each.live}
        return live if live == kinds.keys() or now() - self._claimed_at > _PATIENCE_SECONDS else set()

    def _note_left(self, subject: str, sequence: int, is_tombstone: bool, kinds: set[str]) -> None:
        """A message that was in the stream before the claim."""
        if (parsed := self._subjects.parse(subject)) is None:
            return
        kind, key = parsed
        if is_tombstone:
            self._tombstones.append((now() + self._marker_seconds, sequence))
        elif kind == "events":
            if key not in self._events:
                self._note_event(key, sequence)
        elif kind in kinds and key not in self._stores[kind].records:
            self._outbox.put(subject, TOMBSTONE)

    def _note_event(self, key: StoreKey, sequence: int) -> None:
        if self._ring.get(key) is None:
            self._dropped.append(sequence)
        else:
            self._events[key] = sequence
