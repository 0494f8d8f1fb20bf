"""Any kind of any member, followed while somebody listens: one watch a member and kind, whoever and how many they are.

What is followed is kept, whole objects and all, so that who comes later is told first what there is.
"""

import asyncio
import contextlib
import logging
from collections.abc import Collection
from functools import partial
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
"""Bytes of objects' JSON that are kept of one kind, all members together."""

MAX_BYTES_IN_ALL = 512 << 20

_OVERHEAD = 1_000  # of an object beside its JSON, about


class _Size:
    """Bytes that are kept; what is taken here is taken of the `whole`, too."""

    def __init__(self, most: int, whole: "_Size | None" = None) -> None:
        self.held = 0
        self._most = most
        self._whole = whole

    @property
    def room(self) -> int:
        room = self._most - self.held
        return room if self._whole is None else min(room, self._whole.room)

    def take(self, count: int) -> None:
        self.held += count
        if self._whole is not None:
            self._whole.take(count)


class WatchedKinds:
    """All kinds that are followed now."""

    def __init__(
        self, feed: ChangeFeed, catalogs: Catalogs, member_timeout: float, turns: Turns, *, most: int = MAX_BYTES
    ) -> None:
        self._most = most
        self._feed = feed
        self._catalogs = catalogs
        self._member_timeout = member_timeout
        self._turns = turns
        self._size = _Size(MAX_BYTES_IN_ALL)
        self._kinds: WeakValueDictionary[tuple[str, str], WatchedKind] = WeakValueDictionary()

    @property
    def held_bytes(self) -> int:
        return self._size.held

    def get(self, api_version: str, kind: str) -> "WatchedKind":
        """The kind, which is the same for all who ask for it at once; followed from when somebody listens to it."""
        found = self._kinds.get((api_version, kind))
        if found is None:
            size = _Size(self._most, self._size)
            found = WatchedKind(self._feed, self._catalogs, api_version, kind, size, self._member_timeout, self._turns)
            self._kinds[api_version, kind] = found
        return found


class WatchedKind:
    """One kind's objects in all members, as long as anybody listens. `failure` says why it is not followed any more."""

    def __init__(
        self,
        feed: ChangeFeed,
        catalogs: Catalogs,
        api_version: str,
        kind: str,
        size: _Size,
        member_timeout: float,
        turns: Turns,
    ) -> None:
        self.failure: Exception | None = None
        self.served: dict[str, Served] = {}
        self._feed = feed
        self._catalogs = catalogs
        self._api_version = api_version
        self._kind = kind
        self._size = size
        self._member_timeout = member_timeout
        self._turns = turns
        self._stores: dict[str, _BoundedStore] = {}
        self._tasks: dict[Member, asyncio.Task[None]] = {}
        self._listeners: dict[object, FeedListener] = {}
        self._unlisten: Unlisten | None = None

    def clusters(self) -> Collection[str]:
        return self._feed.clusters()

    def store(self, cluster: str) -> Store[KubeObject] | None:
        """What there is in a cluster. Raises InvalidQuery where there is more than may be kept."""
        if self.failure is not None:
            raise self.failure
        return self._stores.get(cluster)

    def listen(self, topic: str, listener: FeedListener) -> Unlisten:
        """Calls the listener after each change until the returned function is called; the last one ends all watches."""
        mark = object()
        self._listeners[mark] = listener
        if self._unlisten is None:
            self.failure = None
            self._unlisten = self._feed.listen("clusters", lambda *_: self._match_members())
            self._match_members()

        def unlisten() -> None:
            self._listeners.pop(mark, None)
            if not self._listeners:
                self._stop()

        return unlisten

    def _match_members(self) -> None:
        """A task for each member, and none for those that are gone."""
        members = {name: member for name in self._feed.clusters() if (member := self._feed.member(name)) is not None}
        for member in self._tasks.keys() - members.values():
            self._tasks.pop(member).cancel()
        for name in self._stores.keys() - members.keys():
            self._empty(name)
            del self._stores[name]
        for name, member in members.items():
            if member not in self._tasks:
                if name not in self._stores:
                    self._stores[name] = _BoundedStore(self._size, self._kind)
                    self._stores[name].listen(partial(self._note, name))
                store = self._stores[name]
                self._tasks[member] = asyncio.create_task(
                    self._follow(member, store), name=f"{self._kind} of {member.name}"
                )

    def _stop(self) -> None:
        if self._unlisten is not None:
            self._unlisten()
            self._unlisten = None
        for task in self._tasks.values():
            task.cancel()
        self._tasks.clear()
        for store in self._stores.values():
            store.clear()
        self._stores.clear()
        self.served.clear()

    async def _follow(self, member: Member, store: "_BoundedStore") -> None:
        """Until it is cancelled, or there is more than may be kept."""
        backoff = Backoff(first=1.0)
        try:
            while True:
                with contextlib.suppress(ClusterError):  # a member that can't be asked keeps its last known objects
                    connection = member.check_reachable()
                    served = await self._find(connection)
                    if served is None:
                        self._empty(member.name)
                    else:
                        self.served[member.name] = served
                        await self._reflect(member, connection, served, store, backoff)
                await asyncio.sleep(backoff.next_delay())
        except Exception as error:  # the seam: whoever listens finds why nothing comes any more
            if not isinstance(error, InvalidQuery):
                logger.exception("%s of %s can't be followed", self._kind, member.name)
            self.failure = error
            self._stop()
            for name in self._feed.clusters():
                self._notify(name, None)

    async def _find(self, connection: Connection) -> Served | None:
        """How the kind is served; None where it is not, or can't be followed. Raises ClusterError."""
        found = await self._catalogs.find(connection, self._api_version, self._kind, self._member_timeout)
        return found if found is not None and {"list", "watch"} <= found.verbs else None

    async def _reflect(
        self, member: Member, connection: Connection, served: Served, store: "_BoundedStore", backoff: Backoff
    ) -> None:
        """As long as the member serves the kind over this connection. Raises InvalidQuery, ClusterError."""
        changed = asyncio.Event()
        codec = TableCodec(served)
        reflector = Reflector(connection, codec, store, on_seen=backoff.reset, on_change=changed.set, turns=self._turns)
        run = asyncio.create_task(reflector.run(), name=f"watch of {codec.path} of {connection.cluster}")
        try:
            while member.connection is connection:
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

    def _empty(self, name: str) -> None:
        if (store := self._stores.get(name)) is not None:
            store.clear()
        self.served.pop(name, None)

    def _note(self, cluster: str, old: KubeObject | None, new: KubeObject | None) -> None:
        record = old if new is None else new
        if record is not None:
            self._notify(cluster, (record.namespace, record.name))

    def _notify(self, cluster: str, key: StoreKey | None) -> None:
        for listener in tuple(self._listeners.values()):
            listener(cluster, key)


class _BoundedStore(Store[KubeObject]):
    """A store that takes no more than there is room for. `put` and lists raise InvalidQuery."""

    def __init__(self, size: _Size, kind: str) -> None:
        super().__init__(attrgetter("namespace", "name"), {}, attrgetter("labels"))
        self.size = size
        self.kind = kind
        self._held = 0
        self.listen(self._count)

    def put(self, record: KubeObject) -> None:
        self.check(_size_of(record))
        super().put(record)

    def check(self, more: int) -> None:
        """Raises InvalidQuery where so much more can't be kept."""
        if more > self.size.room:
            raise InvalidQuery(
                f"there is more of the kind {self.kind} than can be followed: {MAX_BYTES >> 20} MiB of one kind, "
                f"{MAX_BYTES_IN_ALL >> 20} MiB of all that are followed; ask `resources` for pages of it instead"
            )

    def stage(self) -> "_BoundedList":
        return _BoundedList(self, self._build_table())

    def clear(self) -> None:
        self.replace(self._build_table())

    def _count(self, old: KubeObject | None, new: KubeObject | None) -> None:
        self.size.take((0 if new is None else _size_of(new)) - (0 if old is None else _size_of(old)))


class _BoundedList(Staged[KubeObject]):
    def __init__(self, store: _BoundedStore, table: Table[KubeObject]) -> None:
        super().__init__(store, table)
        self._bounded = store
        self._listed = 0

    def add(self, records: Collection[KubeObject]) -> None:
        super().add(records)
        self._listed += sum(map(_size_of, records))
        self._bounded.check(self._listed - sum(map(_size_of, self._known.values())))


def _size_of(record: KubeObject) -> int:
    return len(record.raw) + _OVERHEAD
