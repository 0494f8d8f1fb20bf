"""One member's newest events, at most so many: what the reflector of events fills.

An event that repeats moves to its newest time. What the member forgets is kept until newer events push it out, and a
list adds to what is there; so what happened an hour ago can still be read after the member has dropped it.
"""

import time
from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterator

from msgspec.structs import replace

from fleet.aio.generations import GenerationCounter
from fleet.cache.rows import StoreKey
from fleet.model.event_queries import Position, position_of
from fleet.model.kube_objects import Event

Listener = Callable[[StoreKey | None], None]
"""Called (quick, never raising) with the key of an event that came or repeated; None once the first list is in."""

AHEAD_SECONDS = 600.0
"""How far a member's clock may be ahead; what is said to happen later still happened when it was first heard of."""

_GENERATIONS = GenerationCounter()


class EventRing:
    """The `most` newest events. `dropped` fell out; the newest of those was last seen at `complete_since`.

    `on_dropped` is called (quick, never raising) with the key of each that falls out.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.generation = 0
        self.dropped = 0
        self.complete_since: float | None = None
        self.on_dropped: Callable[[StoreKey], None] | None = None
        self._events: dict[StoreKey, Event] = {}
        self._order: list[Event] = []
        self._listeners: tuple[Listener, ...] = ()

    def __len__(self) -> int:
        return len(self._events)

    def get(self, key: StoreKey) -> Event | None:
        return self._events.get(key)

    def newest(
        self, before: Position | None = None, since: float | None = None, most: int | None = None
    ) -> Iterator[Event]:
        """Those that stand behind a place, last seen at a time or after it, newest first; `most` of them."""
        order = self._order
        end = len(order) if before is None else bisect_left(order, before, key=position_of)
        start = 0 if since is None else bisect_left(order, (since, "", "", ""), key=position_of)
        return reversed(order[start if most is None else max(start, end - most) : end])

    def put(self, event: Event) -> None:
        if self._keep(event):
            self._notify((event.namespace, event.name))

    def discard(self, event: Event) -> None:
        """Nothing: a member forgets its events after an hour or so."""

    def drop(self, key: StoreKey) -> None:
        """Nothing, as `discard`."""

    def stage(self) -> "_Listed":
        return _Listed(self)

    def listen(self, listener: Listener) -> Callable[[], None]:
        """Calls the listener until the returned function is called."""
        self._listeners = (*self._listeners, listener)

        def unlisten() -> None:
            self._listeners = tuple(known for known in self._listeners if known is not listener)

        return unlisten

    def _keep(self, event: Event, counted_after: float = float("-inf")) -> bool:
        """Whether the event is news. One that falls out counts where it was last seen after a time."""
        key = (event.namespace, event.name)
        known = self._events.get(key)
        if (event.last_seen or 0.0) > (now := time.time()) + AHEAD_SECONDS:  # or nothing would ever push it out
            is_known = known is not None and replace(known, last_seen=event.last_seen) == event
            event = known if known is not None and is_known else replace(event, last_seen=now)
        if known == event:
            return False
        if known is not None:
            del self._order[bisect_left(self._order, position_of(known), key=position_of)]
        self._events[key] = event
        insort(self._order, event, key=position_of)
        if len(self._order) > self.most:
            oldest = self._order.pop(0)
            gone = (oldest.namespace, oldest.name)
            del self._events[gone]
            if self.on_dropped is not None:
                self.on_dropped(gone)
            seen = oldest.last_seen or 0.0
            self.dropped += seen > counted_after
            self.complete_since = max(seen, self.complete_since or 0.0)
            if oldest is event:
                return False
        self.generation = _GENERATIONS.next() if self.generation else 0
        return True

    def _notify(self, key: StoreKey | None) -> None:
        for listener in self._listeners:
            listener(key)


class _Listed:
    """A list in the making: what it holds is added at once, and news only where there was a list before."""

    def __init__(self, ring: EventRing) -> None:
        self._ring = ring
        # What fell out before is in the list again, and does not count twice.
        complete_since = ring.complete_since
        self._counted_after = complete_since if ring.generation and complete_since is not None else float("-inf")

    def add(self, records: Collection[Event]) -> None:
        ring = self._ring
        for event in records:
            if ring._keep(event, self._counted_after) and ring.generation:  # noqa: SLF001 - a part of the ring
                ring._notify((event.namespace, event.name))  # noqa: SLF001 - likewise

    def commit(self) -> None:
        first = not self._ring.generation
        self._ring.generation = _GENERATIONS.next()
        if first:
            self._ring._notify(None)  # noqa: SLF001 - likewise
