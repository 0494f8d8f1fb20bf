"""Usage of the same objects, followed once for all subscribers who ask in the same words with the same reach."""

import asyncio
import logging
from collections.abc import Collection, Iterator
from itertools import chain
from typing import Any

from auth.principal import Principal
from fleet.aio.tasks import end_tasks
from fleet.federation import Federation
from fleet.live.usage_sampler import Reading, UsageSampler
from fleet.model.kinds import NODES, PODS
from fleet.model.objects import Node, ObjectKey, Pod
from fleet.model.told import told_to
from graph.enums import EventType
from graph.errors import Code, code_of
from graph.roots.topics import Samples
from graph.subscriptions.mailbox import FAILED, Mailbox
from graph.subscriptions.rendering import Event, Renderer, build_failure, dump
from graph.types.live import UsageSample

logger = logging.getLogger(__name__)

_ALL = "samples"  # each message has all samples, so the newest one takes the place of one that waits

Seen = tuple[dict[ObjectKey, int], dict[str, str], str]
"""Times of the newest points, and what was said of those that there are none of."""


class SampleChannel:
    """Sends all samples at first, and again when the newest point of one of them changed. A failure is told once."""

    def __init__(
        self, feed: UsageSampler, federation: Federation, principal: Principal, topic: Samples, renderer: Renderer
    ) -> None:
        self._feed = feed
        self._federation = federation
        self._scope = principal.scope
        self._topic = topic
        self._renderer = renderer
        self._last: Event | None = None
        self._sent: Seen | None = None
        self._mailboxes: set[Mailbox] = set()
        self._task = asyncio.create_task(self._run(), name="channel of usage")

    @property
    def alive(self) -> bool:
        return not self._task.done()

    def join(self) -> Mailbox:
        """A mailbox that is told first of the last samples."""
        mailbox = Mailbox()
        self._mailboxes.add(mailbox)
        if self._last is not None:
            mailbox.put(_ALL, EventType.MODIFIED, self._last)
        return mailbox

    def leave(self, mailbox: Mailbox) -> bool:
        self._mailboxes.discard(mailbox)
        return bool(self._mailboxes)

    async def aclose(self) -> None:
        await end_tasks(self._task)

    async def _run(self) -> None:
        try:
            with self._feed.follow(self._topic.wanted, self._topic.interval) as follower:
                while True:
                    await self._look_at(await follower.take())
        except Exception:  # the seam: subscribers are told rather than left waiting, and the log says why
            logger.exception("a channel of usage failed")
            for mailbox in self._mailboxes:
                mailbox.end(FAILED)
            self._mailboxes.clear()

    async def _look_at(self, reading: Reading) -> None:
        found = dict(self._pick(reading))
        problems = self._find_problems(reading, found)
        failure = reading.failure
        seen = ({key: sample.usage.model.time_ns for key, sample in found.items()}, problems, str(failure))
        if seen == self._sent:
            return
        self._sent = seen
        if failure is not None:
            body = build_failure(told_to(self._scope, failure), code_of(failure))
        else:
            (body,) = await self._renderer.render([list(found.values())])
            if problems:
                body.setdefault("errors", []).extend(map(self._build_error, problems.items()))
        self._last = Event(dump(body), self._renderer.selection)
        for mailbox in self._mailboxes:
            mailbox.put(_ALL, EventType.MODIFIED, self._last)

    def _find_problems(self, reading: Reading, found: Collection[ObjectKey]) -> dict[str, str]:
        """Why some of the objects in reach that are wanted have no usage, by cluster."""
        if not reading.problems:
            return {}
        missing = {key.cluster for key, _ in self._list_wanted() if key not in found}
        return {cluster: reading.problems[cluster] for cluster in sorted(missing & reading.problems.keys())}

    def _build_error(self, problem: tuple[str, str]) -> dict[str, Any]:
        cluster, why = problem
        extensions = {"code": Code.METRICS_UNAVAILABLE.value, "cluster": cluster}
        return {
            "message": told_to(self._scope, why),
            "path": [self._renderer.selection.root_key],
            "extensions": extensions,
        }

    def _pick(self, reading: Reading) -> Iterator[tuple[ObjectKey, UsageSample]]:
        """The samples of those that have usage."""
        for key, entry in self._list_wanted():
            usage = reading.usages.get(key)
            if usage is not None:
                yield key, UsageSample.from_model(entry, usage)

    def _list_wanted(self) -> Iterator[tuple[ObjectKey, Pod | Node]]:
        """The objects that are there and in reach, in their order."""
        federation, scope, wanted = self._federation, self._scope, self._topic.wanted
        objects: Iterator[tuple[ObjectKey, Pod | Node | None]] = chain(
            ((key, federation.get_cached(PODS, scope, key)) for key in sorted(wanted.pods)),
            ((key, federation.get_cached(NODES, scope, key)) for key in sorted(wanted.nodes)),
        )
        return ((key, entry) for key, entry in objects if entry is not None)
