"""One question about objects, followed once for all subscribers who ask it in the same words with the same reach."""

import asyncio
import logging
from collections.abc import Collection, Hashable, Iterable, Iterator, Sequence
from itertools import islice
from typing import Any, Protocol

from fleet.aio.tasks import end_tasks
from fleet.aio.turns import Pace, Turns
from fleet.cache.rows import StoreKey
from fleet.live.changes import FeedListener, ObjectView, Unlisten
from fleet.model.errors import FleetError
from fleet.model.kube_objects import KubeObject
from graph.enums import EventType
from graph.roots.topics import Objects
from graph.subscriptions.mailbox import FAILED, SPENT, Ending, Mailbox, Message
from graph.subscriptions.quotas import Budget, BudgetSpent
from graph.subscriptions.rendering import Body, Event, Renderer, dump

logger = logging.getLogger(__name__)

BATCH = 250
"""Objects that are looked at, and asked about, together."""

PART_BYTES = 1 << 20
"""JSON of whole objects that is rendered together: as Python's objects it takes some ten times as much."""

ObjectName = tuple[str, StoreKey]
"""A cluster, and the name in it."""


class _LastSent:
    """The last event that subscribers were sent of an object."""

    __slots__ = ("event", "record", "watched")

    def __init__(self, record: Any, watched: bytes, event: Event) -> None:
        self.record = record
        self.watched = watched
        self.event = event

    @property
    def size(self) -> int:
        """Bytes it takes, about: what is compared, what is sent, and its text."""
        return len(self.watched) + 2 * self.event.size


class Feed(Protocol):
    """Tells what changed: all of the federation, or one kind in it."""

    def clusters(self) -> Collection[str]: ...

    def listen(self, topic: Any, listener: FeedListener) -> Unlisten:
        """Calls the listener after each change, until the returned function is called."""


class ObjectChannel:
    """Keeps what its subscribers know, compares it with what is, and tells all of them the difference."""

    def __init__(self, feed: Feed, turns: Turns, topic: Objects, renderer: Renderer, budget: Budget) -> None:
        self._feed = feed
        self._pace = Pace(turns)
        self._budget = budget
        self._size = 0
        self._shared = 0
        self._topic = topic
        self._renderer = renderer
        self._held: dict[ObjectName, _LastSent] = {}
        self._dirty: dict[ObjectName, None] = {}
        self._resets: dict[str, None] = dict.fromkeys(feed.clusters())
        self._joining: list[Mailbox] = []
        self._mailboxes: set[Mailbox] = set()
        self._wake = asyncio.Event()
        self._wake.set()
        self._unlisten = feed.listen(topic.view.topic, self._note)
        self._task = asyncio.create_task(self._run(), name=f"channel of {topic.view.topic}")

    def join(self) -> Mailbox:
        """A mailbox that is told first of all there is."""
        mailbox = Mailbox()
        self._joining.append(mailbox)
        self._wake.set()
        return mailbox

    def leave(self, mailbox: Mailbox) -> bool:
        """Takes a mailbox out; whether others are left."""
        self._mailboxes.discard(mailbox)
        if mailbox in self._joining:
            self._joining.remove(mailbox)
        return bool(self._mailboxes or self._joining)

    @property
    def alive(self) -> bool:
        """Whether those who join are still told anything."""
        return not self._task.done()

    async def aclose(self) -> None:
        await end_tasks(self._task)
        self._release()

    def _note(self, cluster: str, key: StoreKey | None) -> None:
        if key is None:
            self._resets[cluster] = None
        else:
            self._dirty[cluster, key] = None
        self._wake.set()

    async def _run(self) -> None:
        try:
            while True:
                await self._wait()
                self._wake.clear()
                await self._send_snapshot()
                await self._settle()
        except BudgetSpent:
            logger.warning(
                "a subscription to %s was ended: channels hold %d bytes", self._topic.view.topic, self._budget.held
            )
            self._end(SPENT)
        except FleetError as error:  # what is followed can't be followed any more
            self._end(Ending.from_error(error, self._renderer.scope, 1013))
        except Exception:  # the seam: subscribers are told rather than left waiting, and the log says why
            logger.exception("a channel of %s failed", self._topic.view.topic)
            self._end(FAILED)

    async def _wait(self) -> None:
        """Until there is something to look at: where time alone decides what is selected, all of it at times."""
        try:
            async with asyncio.timeout(self._topic.view.recheck_seconds):
                await self._wake.wait()
        except TimeoutError:
            self._resets.update(dict.fromkeys(self._feed.clusters()))

    def _end(self, ending: Ending) -> None:
        for mailbox in (*self._mailboxes, *self._joining):
            mailbox.end(ending)
        self._mailboxes.clear()
        self._joining.clear()
        self._release()

    def _release(self) -> None:
        self._unlisten()
        self._budget.take(-self._size)
        self._size = 0
        self._held.clear()

    def _charge(self) -> None:
        """What is held for what is followed counts for each who follows it. Raises BudgetSpent."""
        change = self._topic.view.held_bytes - self._shared
        self._budget.take(change)
        self._shared += change
        self._size += change

    def _hold(self, name: ObjectName, held: _LastSent | None) -> None:
        """Keeps what was told of an object, or nothing any more. Raises BudgetSpent."""
        before = self._held.pop(name, None)
        change = (held.size if held is not None else 0) - (before.size if before is not None else 0)
        self._budget.take(change)
        self._size += change
        if held is not None:
            self._held[name] = held

    async def _settle(self) -> None:
        """Looks at all that may differ, until nothing does."""
        while self._resets or self._dirty:
            for cluster in tuple(self._resets):
                del self._resets[cluster]
                known = [name for name in self._held if name[0] == cluster]
                self._dirty.update(dict.fromkeys(known))
                view = self._topic.view
                if isinstance(view, ObjectView):
                    found = await self._pace.walk(view.scan(cluster))
                else:
                    found = tuple(view.select(cluster))
                self._dirty.update(((cluster, key), None) for key in found)
            batch = list(islice(self._dirty, BATCH))
            for name in batch:
                del self._dirty[name]
            self._charge()
            await self._compare(batch)
            await self._send_snapshot()
            await asyncio.sleep(0)

    async def _compare(self, names: Iterable[ObjectName]) -> None:
        changed: list[tuple[ObjectName, Any]] = []
        for name in names:
            await self._pace.wait()
            held, record = self._held.get(name), self._topic.view.get(*name)
            if record is None:
                if held is not None:
                    self._hold(name, None)
                    self._publish(name, EventType.DELETED, held.event)
            elif held is None or (held.record is not record and held.record != record):
                changed.append((name, record))
        for part in split(changed):
            bodies = await self._render(part, watched=True)
            await self._publish_changes([(*one, dump(body)) for one, body in zip(part, bodies, strict=True)])

    async def _publish_changes(self, looked_at: Iterable[tuple[ObjectName, Any, bytes]]) -> None:
        differing: list[tuple[ObjectName, Any, bytes]] = []
        for name, record, watched in looked_at:
            held = self._held.get(name)
            if held is not None and held.watched == watched:
                held.record = record
            else:
                differing.append((name, record, watched))
        wholes = [watched for _, _, watched in differing]
        if not self._renderer.selection.all_watched:
            changed = [(name, record) for name, record, _ in differing]
            wholes = [dump(body) for body in await self._render(changed, watched=False)]
        for (name, record, watched), whole in zip(differing, wholes, strict=True):
            event = Event(whole, self._renderer.selection)
            type = EventType.MODIFIED if name in self._held else EventType.ADDED  # noqa: A001 - as the field's name
            self._hold(name, _LastSent(record, watched, event))
            self._publish(name, type, event)

    async def _render(self, changed: Sequence[tuple[ObjectName, Any]], *, watched: bool) -> list[Body]:
        """Bodies whose type is always the same, so that they can be compared."""
        if not changed:
            return []
        roots = [self._topic.build_root(EventType.MODIFIED, record) for _, record in changed]
        return await self._renderer.render(roots, watched=watched)

    async def _send_snapshot(self) -> None:
        """Tells those who came of all there is. What is measured is read anew for them."""
        joining = list(self._joining)
        if joining and not self._renderer.selection.all_watched:
            held = dict(self._held)
            for part in split([(name, entry.record) for name, entry in held.items()]):
                bodies = await self._render(part, watched=False)
                for (name, record), body in zip(part, bodies, strict=True):
                    event = Event(dump(body), self._renderer.selection)
                    self._hold(name, _LastSent(record, held[name].watched, event))
                await asyncio.sleep(0)
        there: dict[Hashable, tuple[EventType, Message]] = {}
        if joining:
            there = {name: (EventType.ADDED, entry.event) for name, entry in self._held.items()}
        for mailbox in joining:
            if mailbox in self._joining:  # it may have left meanwhile
                self._joining.remove(mailbox)
                self._mailboxes.add(mailbox)
                mailbox.begin(there)
                await asyncio.sleep(0)  # a thousand who come at once are no reason for others to wait

    def _publish(self, name: ObjectName, type: EventType, event: Event) -> None:  # noqa: A002 - as the field's name
        for mailbox in self._mailboxes:
            mailbox.put(name, type, event)


def split(entries: Sequence[tuple[ObjectName, Any]]) -> Iterator[Sequence[tuple[ObjectName, Any]]]:
    """Parts of `BATCH` objects at most, and of whole ones `PART_BYTES` of JSON or a single one."""
    start = size = 0
    for end, (_, record) in enumerate(entries):
        added = len(record.raw) if isinstance(record, KubeObject) else 0
        size += added
        if end > start and (size > PART_BYTES or end - start == BATCH):
            yield entries[start:end]
            start, size = end, added
    if start < len(entries):
        yield entries[start:]
