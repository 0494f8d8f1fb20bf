"""Any kind of any member, followed while somebody listens: one watch a member and kind, whoever and how many they are.

What is followed is kept, whole objects and all, so that who comes later is told first what there is.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable, Collection
from operator import attrgetter
from weakref import WeakValueDictionary

from fleet.aio.backoff import Backoff
from fleet.aio.tasks import end_tasks
from fleet.aio.turns import Turns
from fleet.cache.reflector import Reflector
from fleet.cache.rows import StoreKey
from fleet.cache.store import Staged, Store, Table
from fleet.kubernetes.codec.tables import TableCodec
from fleet.kubernetes.discovery import Catalogs, Served
from fleet.live.changes import ChangeFeed, FeedListener, Unlisten
from fleet.members.member import Member
from fleet.model.errors import ClusterAnswerInvalid, ClusterError, InvalidQuery
from fleet.model.kube_objects import KubeObject
from fleet.ports import Connection

logger = logging.getLogger(__name__)

MAX_BYTES = 64 << 20
"""Bytes of objects' JSON that are kept of one kind of one member."""

MAX_BYTES_IN_ALL = 512 << 20

_OVERHEAD = 1_000  # of an object beside its JSON, about

Wants = Callable[[str], bool]
"""Whether the objects of a cluster are wanted; it says the same whenever it is asked."""


class _Room:
    """Bytes that may be kept of one kind of one member, and what is kept of all of them."""

    def __init__(self, most: int) -> None:
        self.most = most
        self.held = 0


class WatchedKinds:
    """All kinds that are followed now."""

    def __init__(
        self, feed: ChangeFeed, catalogs: Catalogs, member_timeout: float, turns: Turns, *, most: int = MAX_BYTES
    ) -> None:
        self.feed = feed
        self.catalogs = catalogs
        self.member_timeout = member_timeout
        self.turns = turns
        self.room = _Room(most)
        self._kinds: WeakValueDictionary[tuple[str, str], WatchedKind] = WeakValueDictionary()

    @property
    def held_bytes(self) -> int:
        return self.room.held

    def get(self, api_version: str, kind: str) -> "WatchedKind":
        """The kind, which is the same for all who ask for it at once; followed from when somebody listens to it."""
        found = self._kinds.get((api_version, kind))
        if found is None:
            found = self._kinds[api_version, kind] = WatchedKind(self, api_version, kind)
        return found


class WatchedKind:
    """One kind's objects, in each member as long as anybody listens who wants them."""

    def __init__(self, kinds: WatchedKinds, api_version: str, kind: str) -> None:
        self.kinds = kinds
        self.api_version = api_version
        self.kind = kind
        self._members: dict[str, _WatchedMember] = {}
        self._listeners: dict[object, tuple[FeedListener, Wants]] = {}
        self._unlisten: Unlisten | None = None

    def store(self, cluster: str) -> Store[KubeObject] | None:
        """What there is in a cluster. Raises InvalidQuery where there is more than may be kept."""
        found = self._members.get(cluster)
        if found is not None and found.failure is not None:
            raise found.failure
        return None if found is None else found.store

    def served(self, cluster: str) -> Served | None:
        """How a cluster serves the kind, None where it does not."""
        found = self._members.get(cluster)
        return None if found is None else found.served

    def held_bytes(self, wants: Wants) -> int:
        return sum(member.store.held for name, member in self._members.items() if wants(name))

    def listen(self, listener: FeedListener, wants: Wants) -> Unlisten:
        """Calls the listener after each change in a cluster that it wants, until the returned function is called.

        The watches that nobody else wants end with it.
        """
        mark = object()
        self._listeners[mark] = (listener, wants)
        if self._unlisten is None:
            self._unlisten = self.kinds.feed.listen("clusters", lambda cluster, _: self._match(cluster))
        self.match_all()

        def unlisten() -> None:
            self._listeners.pop(mark, None)
            self.match_all()
            if not self._listeners and self._unlisten is not None:
                self._unlisten()
                self._unlisten = None

        return unlisten

    def notify(self, cluster: str, key: StoreKey | None) -> None:
        for listener, wants in tuple(self._listeners.values()):
            if wants(cluster):
                listener(cluster, key)

    def match_all(self) -> None:
        """Watches the members that listeners want now, and no others."""
        for name in {*self.kinds.feed.clusters(), *self._members}:
            self._match(name, asked_anew=True)

    def _match(self, name: str, *, asked_anew: bool = False) -> None:
        """A watch of the member where anybody wants it, and none where nobody does, or it is gone."""
        member, known = self.kinds.feed.member(name), self._members.get(name)
        if known is not None and known.member is member and not asked_anew:
            return
        if member is None or not any(wants(name) for _, wants in self._listeners.values()):
            if self._members.pop(name, None) is not None and known is not None:
                known.close()
        elif known is None or known.member is not member:
            store = _BoundedStore(self.kinds.room, self.kind) if known is None else known.store
            self._members[name] = watching = _WatchedMember(self, member, store)
            if known is not None:  # its objects are the last known ones, and may be seen as they were
                known.cancel()
                watching.served = known.served


class _WatchedMember:
    """The watch of one member. `failure` says why nothing comes of it any more."""

    def __init__(self, watched: WatchedKind, member: Member, store: "_BoundedStore") -> None:
        self.member = member
        self.store = store
        self.served: Served | None = None
        self.failure: Exception | None = None
        self._watched = watched
        self._catalogs = watched.kinds.catalogs
        store.on_change = self._note
        self._task = asyncio.create_task(self._follow(), name=f"{watched.kind} of {member.name}")
        self.cancel: Callable[[], object] = self._task.cancel

    def close(self) -> None:
        self.cancel()
        self.store.clear()

    def _note(self, key: StoreKey) -> None:
        self._watched.notify(self.member.name, key)

    async def _follow(self) -> None:
        """Until it is cancelled, or there is more than may be kept."""
        backoff = Backoff(first=1.0)
        try:
            while True:
                with contextlib.suppress(ClusterError):  # a member that can't be asked keeps its last known objects
                    connection = self.member.check_reachable()
                    self.served = await self._find(connection)
                    if self.served is None:
                        self.store.clear()
                    else:
                        await self._reflect(connection, self.served, backoff)
                await asyncio.sleep(backoff.next_delay())
        except Exception as error:  # the seam: whoever listens finds why nothing comes any more
            if not isinstance(error, InvalidQuery):
                logger.exception("%s of %s can't be followed", self._watched.kind, self.member.name)
            self.failure = error
            self.store.clear()
            self._watched.notify(self.member.name, None)

    async def _find(self, connection: Connection) -> Served | None:
        """How the kind is served; None where it is not, or can't be followed. Raises ClusterError."""
        watched = self._watched
        timeout = watched.kinds.member_timeout
        found = await self._catalogs.find(connection, watched.api_version, watched.kind, timeout)
        return found if found is not None and {"list", "watch"} <= found.verbs else None

    async def _reflect(self, connection: Connection, served: Served, backoff: Backoff) -> None:
        """As long as the member serves the kind over this connection. Raises InvalidQuery, ClusterError."""
        changed = asyncio.Event()
        codec, turns = TableCodec(served), self._watched.kinds.turns
        reflector = Reflector(connection, codec, self.store, on_seen=backoff.reset, on_change=changed.set, turns=turns)
        run = asyncio.create_task(reflector.run(), name=f"watch of {codec.path} of {connection.cluster}")
        try:
            while self.member.connection is connection:
                noticed = asyncio.create_task(changed.wait())
                try:
                    await asyncio.wait((run, noticed), return_when=asyncio.FIRST_COMPLETED)
                finally:
                    noticed.cancel()
                changed.clear()
                if run.done():
                    run.result()
                if isinstance(reflector.problem, ClusterAnswerInvalid):
                    self._catalogs.forget(connection)  # the kind may have been taken away
                    if await self._find(connection) != served:
                        return
        finally:
            await end_tasks(run)


class _BoundedStore(Store[KubeObject]):
    """A store that takes no more than there is room for. `put` and lists raise InvalidQuery."""

    def __init__(self, room: _Room, kind: str) -> None:
        super().__init__(attrgetter("namespace", "name"), {}, attrgetter("labels"))
        self.held = 0
        self.on_change: Callable[[StoreKey], None] = lambda key: None
        self._room = room
        self._kind = kind
        self.listen(self._note)

    def put(self, record: KubeObject) -> None:
        self.check(_size_of(record))
        super().put(record)

    def check(self, more: int) -> None:
        """Raises InvalidQuery where so much more can't be kept."""
        room = self._room
        if self.held + more > room.most or room.held + more > MAX_BYTES_IN_ALL:
            raise InvalidQuery(
                f"there is more of the kind {self._kind} than can be followed: {MAX_BYTES >> 20} MiB in a cluster, "
                f"{MAX_BYTES_IN_ALL >> 20} MiB of all kinds that are; ask `resources` for pages of it instead"
            )

    def stage(self) -> "_BoundedList":
        return _BoundedList(self, self._build_table())

    def clear(self) -> None:
        self.replace(self._build_table())

    def _note(self, old: KubeObject | None, new: KubeObject | None) -> None:
        change = (0 if new is None else _size_of(new)) - (0 if old is None else _size_of(old))
        self.held += change
        self._room.held += change
        record = old if new is None else new
        if record is not None:
            self.on_change((record.namespace, record.name))


class _BoundedList(Staged[KubeObject]):
    def __init__(self, store: _BoundedStore, table: Table[KubeObject]) -> None:
        super().__init__(store, table)
        self._bounded = store
        self._listed = 0

    def add(self, records: Collection[KubeObject]) -> None:
        super().add(records)
        self._listed += sum(map(_size_of, records))
        self._bounded.check(self._listed - self._bounded.held)


def _size_of(record: KubeObject) -> int:
    return len(record.raw) + _OVERHEAD
