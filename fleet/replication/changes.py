"""The changes of a member's stores, put into the outbox of its writer."""

import contextlib
import logging
from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

from fleet.aio.complaints import Complaints
from fleet.aio.turns import Pace
from fleet.cache.rows import StoreKey
from fleet.members.member import Member
from fleet.model.kinds import ResourceName
from fleet.replication.outbox import TOMBSTONE, Content, Outbox
from fleet.replication.subjects import Subjects, Unpublishable

logger = logging.getLogger(__name__)


class Changes:
    """`on_dropped` is called with the key of each event that falls out."""

    def __init__(
        self, subjects: Subjects, member: Member, outbox: Outbox, on_dropped: Callable[[StoreKey], None]
    ) -> None:
        self._subjects = subjects
        self._member = member
        self._events = member.stores.events
        self._stores = member.stores.as_filled
        self._outbox = outbox
        self._on_dropped = on_dropped
        self._complaints = Complaints()

    @contextlib.contextmanager
    def noting(self) -> Iterator[None]:
        """Until the `with` is left."""
        ring = self._events
        with contextlib.ExitStack() as stack:
            for kind, store in self._stores.items():
                stack.callback(store.listen(partial(self._note, kind)))
            stack.callback(ring.listen(self._note_event))
            ring.on_dropped = self._on_dropped
            try:
                yield
            finally:
                ring.on_dropped = None

    async def note_all(self, pace: Pace) -> None:
        """Everything, as if it had just come."""
        for kind, store in self._stores.items():
            for key, record in tuple(store.records.items()):
                if store.records.get(key) is record:
                    self._note(kind, None, record)
                await pace.wait()
        self._note_event(None)

    def count(self) -> int:
        """Objects that the stream should hold."""
        return sum(len(store) for kind, store in self._stores.items() if kind != "workloads")

    def _note(self, kind: ResourceName, old: Any, new: Any) -> None:
        if kind == "workloads":  # those without a version are made of their pods by everybody
            old, new = (each if each is not None and each.resource_version else None for each in (old, new))
        if new is not None:
            if old is None or new.resource_version != old.resource_version or new.uid != old.uid:
                self._put(kind, self._stores[kind].key_of(new), (kind, new))
        elif old is not None:
            self._put(kind, self._stores[kind].key_of(old), TOMBSTONE)

    def _note_event(self, key: StoreKey | None) -> None:
        ring = self._events
        for event in ring.newest() if key is None else filter(None, (ring.get(key),)):
            self._put("events", (event.namespace, event.name), ("events", event))

    def _put(self, kind: ResourceName, key: StoreKey, content: Content) -> None:
        try:
            self._outbox.put(self._subjects.of(kind, key), content)
        except Unpublishable as error:
            if self._complaints.is_due(kind, None):
                logger.warning("%s: left out of the shared state: %s", self._member.name, error)
