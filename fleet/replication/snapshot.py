"""What a stream holds of a member, read beside what is served meanwhile."""

from collections.abc import Collection
from typing import Any

from fleet.cache.rows import StoreKey
from fleet.cache.stores import Stores
from fleet.cache.workloads import Part
from fleet.model.kinds import ResourceName
from fleet.model.workloads import Workload


class Snapshot:
    """Records that did not change stay the same objects, as with a relist."""

    def __init__(self, stores: Stores) -> None:
        self._stores = stores
        self._tables = {kind: stores.named(kind).stage() for kind in ("pods", "nodes", "namespaces")}
        self._events = stores.events.stage()
        self._workloads: dict[StoreKey, Workload] = {}
        self._filled: set[ResourceName] = set()

    def put(self, kind: ResourceName, key: StoreKey, record: Any) -> None:
        self._filled.add(kind)
        if kind == "workloads":
            self._workloads[key] = record
        elif kind == "events":
            self._events.add((record,))
        else:
            self._tables[kind].add((record,))

    def drop(self, kind: ResourceName, key: StoreKey) -> None:
        if kind == "workloads":
            self._workloads.pop(key, None)
        elif kind != "events":
            self._tables[kind].drop(key)

    def commit(self, listed: Collection[ResourceName]) -> None:
        """Makes it what is served, but for kinds that were never listed and are none."""
        kinds = {*listed, *self._filled}
        for kind, table in self._tables.items():
            if kind in kinds:
                table.commit()
        if "events" in kinds:
            self._events.commit()
        store = self._stores.marked_workloads
        followed = (key for key, known in store.records.items() if known.resource_version)
        parts: dict[str, list[Workload]] = {kind_of(key): [] for key in followed}
        for key, record in self._workloads.items():
            parts.setdefault(kind_of(key), []).append(record)
        for kind, records in parts.items():
            Part(store, kind).replace(records)


def kind_of(key: StoreKey) -> str:
    """The kind, with its group, in the key of a workload."""
    return key[1].rpartition(" ")[2]
