"""Events of the fleet as they happen, told once for all subscribers who ask in the same words with the same reach."""

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Iterable, Sequence
from heapq import merge
from itertools import islice

from fleet.aio.tasks import end_tasks
from fleet.cache.rows import StoreKey
from fleet.live.changes import ChangeFeed, EventView
from fleet.model import kube_objects
from fleet.model.event_queries import position_of
from fleet.model.kube_objects import ResourceKey
from graph.cost.weights import WAITING
from graph.enums import EventType
from graph.subscriptions.mailbox import FAILED, SPENT, Ending, Mailbox
from graph.subscriptions.quotas import Budget, BudgetSpent
from graph.subscriptions.rendering import Event, Renderer, dump
from graph.types.event import Event as View

logger = logging.getLogger(__name__)

BATCH = 100
"""Events that are rendered together."""

_MOST_NEWS = 10_000


class EventChannel:
    """Sends each event that comes or repeats; who joins is sent first what happened since the filter's time."""

    def __init__(self, feed: ChangeFeed, view: EventView, renderer: Renderer, budget: Budget) -> None:
        self._feed = feed
        self._view = view
        self._renderer = renderer
        self._budget = budget
        self._size = 0
        self._kept: OrderedDict[ResourceKey, tuple[kube_objects.Event, Event]] = OrderedDict()
        self._news: dict[tuple[str, StoreKey], None] = {}
        self._joining: list[Mailbox] = []
        self._mailboxes: set[Mailbox] = set()
        self._wake = asyncio.Event()
        self._unlisten = view.listen(self._note)
        self._task = asyncio.create_task(self._run(), name="channel of events")

    @property
    def alive(self) -> bool:
        return not self._task.done()

    def join(self) -> Mailbox:
        mailbox = Mailbox(WAITING)
        self._joining.append(mailbox)
        self._wake.set()
        return mailbox

    def leave(self, mailbox: Mailbox) -> bool:
        self._mailboxes.discard(mailbox)
        if mailbox in self._joining:
            self._joining.remove(mailbox)
        return bool(self._mailboxes or self._joining)

    async def aclose(self) -> None:
        await end_tasks(self._task)
        self._release()

    def _note(self, cluster: str, key: StoreKey | None) -> None:
        if key is not None:
            if self._view.get(cluster, key) is None:  # what others may see pushes nothing out, and is not told of
                return
            self._news[cluster, key] = None
            if len(self._news) > _MOST_NEWS:
                del self._news[next(iter(self._news))]
                for mailbox in self._mailboxes:
                    mailbox.dropped += 1
        else:  # its first list is in: what of it is old was not told yet
            self._news.update(((cluster, (event.namespace, event.name)), None) for event in self._view.select(cluster))
        self._wake.set()

    async def _run(self) -> None:
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                await self._tell()
        except BudgetSpent:
            logger.warning("a subscription to events was ended: channels hold %d bytes", self._budget.held)
            self._end(SPENT)
        except Exception:  # the seam: subscribers are told rather than left waiting, and the log says why
            logger.exception("a channel of events failed")
            self._end(FAILED)

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
        self._kept.clear()

    async def _tell(self) -> None:
        while self._news:
            batch = list(islice(self._news, BATCH))
            for name in batch:
                del self._news[name]
            happened = [event for name in batch if (event := self._view.get(*name)) is not None]
            await self._send(happened, self._mailboxes)
            await asyncio.sleep(0)
        if self._joining:
            await self._begin()

    async def _begin(self) -> None:
        """Tells those who came what happened since the filter's time, and all else from now on."""
        parts: list[list[kube_objects.Event]] = []
        for cluster in self._feed.clusters():
            parts.append(list(self._view.select(cluster)))
            await asyncio.sleep(0)
        joining, self._joining = self._joining, []
        self._mailboxes.update(joining)
        newest = list(islice(merge(*parts, key=position_of, reverse=True), WAITING))
        for mailbox in joining:
            mailbox.dropped += sum(map(len, parts)) - len(newest)
        # What became news meanwhile is told to all.
        begun = [
            event for event in reversed(newest) if (event.cluster, (event.namespace, event.name)) not in self._news
        ]
        for start in range(0, len(begun), BATCH):
            await self._send(begun[start : start + BATCH], joining)
            await asyncio.sleep(0)

    async def _send(self, events: Sequence[kube_objects.Event], mailboxes: Iterable[Mailbox]) -> None:
        new = [event for event in events if (known := self._kept.get(event.key)) is None or known[0] is not event]
        bodies = await self._renderer.render([View.from_model(event) for event in new])
        for event, body in zip(new, bodies, strict=True):
            self._keep(event, Event(dump(body), self._renderer.selection))
        for event in events:
            message = self._kept[event.key][1]
            for mailbox in mailboxes:
                mailbox.put(event.key, EventType.MODIFIED, message)

    def _keep(self, event: kube_objects.Event, message: Event) -> None:
        """Keeps as many messages as may wait, which all share who get them. Raises BudgetSpent."""
        gone = [self._kept.pop(event.key)] if event.key in self._kept else []
        if len(self._kept) >= WAITING:
            gone.append(self._kept.popitem(last=False)[1])
        change = 2 * (message.size - sum(old.size for _, old in gone))  # each is there as bytes and as text
        self._budget.take(change)
        self._size += change
        self._kept[event.key] = (event, message)
