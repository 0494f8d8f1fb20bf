"""A metric store whose newest usage is what was collected last; all else is asked of another store."""

from collections.abc import Mapping

from fleet.collector.newest import NewestUsage
from fleet.model.cluster_status import ClusterStatus, StatusStore
from fleet.model.objects import K, NodeKey, PodKey
from fleet.model.placements import Placement
from fleet.model.usage import Column, History, Kind, Measure, Point, TimeRange, Usage
from fleet.ports import MetricStore


class SplitStore:
    """The `MetricStore` of two: `time`s of usage are those of collecting, whatever has reached the other store."""

    def __init__(self, newest: NewestUsage, store: MetricStore) -> None:
        self.name = store.name
        self._newest = newest
        self._store = store

    async def latest(self, kind: Kind, keys: frozenset[K], measures: frozenset[Measure]) -> Mapping[K, Usage]:
        return self._newest.latest(kind, keys, measures)

    async def history(
        self, kind: Kind, keys: frozenset[K], time_range: TimeRange, columns: frozenset[Column]
    ) -> Mapping[K, History]:
        return await self._store.history(kind, keys, time_range, columns)

    async def points(
        self, kind: Kind, key: PodKey | NodeKey, *, start_ns: int | None, end_ns: int | None, limit: int
    ) -> list[Point]:
        return await self._store.points(kind, key, start_ns=start_ns, end_ns=end_ns, limit=limit)

    async def pods_on_nodes(self, keys: frozenset[NodeKey], at_ns: int) -> Mapping[NodeKey, list[Placement]]:
        return await self._store.pods_on_nodes(keys, at_ns)

    async def placements(
        self, keys: frozenset[PodKey], *, start_ns: int, end_ns: int
    ) -> Mapping[PodKey, list[Placement]]:
        return await self._store.placements(keys, start_ns=start_ns, end_ns=end_ns)

    async def check(self) -> str:
        return f"{await self._store.check()}; newest usage is what is collected"


class SplitStatusStore(SplitStore):
    """The same, of a store that has the platform's scores of clusters as well."""

    def __init__(self, newest: NewestUsage, store: MetricStore, statuses: StatusStore) -> None:
        super().__init__(newest, store)
        self._statuses = statuses

    async def cluster_statuses(
        self, cluster: str, *, start_ns: int | None, end_ns: int | None, limit: int
    ) -> list[ClusterStatus]:
        return await self._statuses.cluster_statuses(cluster, start_ns=start_ns, end_ns=end_ns, limit=limit)


def split(newest: NewestUsage, store: MetricStore) -> MetricStore:
    return SplitStatusStore(newest, store, store) if isinstance(store, StatusStore) else SplitStore(newest, store)
