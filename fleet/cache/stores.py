"""All that is kept of one member."""

from collections.abc import Mapping
from operator import attrgetter
from typing import Any

from fleet.aio.turns import finish
from fleet.cache.event_ring import EventRing
from fleet.cache.store import Store, build_store
from fleet.cache.workloads import WorkloadStore
from fleet.model.kinds import NODES, PODS, ObjectKind, ResourceName
from fleet.model.objects import Namespace, T


class Stores:
    """Each store under the name of the resource; of events the newest."""

    def __init__(self, events_kept: int = 0) -> None:
        self.pods = build_store(PODS)
        self.nodes = build_store(NODES)
        self.events = EventRing(events_kept)
        self.namespaces: Store[Namespace] = Store(lambda entry: ("", entry.name), {}, attrgetter("labels"))
        self.marked_workloads = WorkloadStore(self.pods)
        """The same, in step with the pods as far as it was settled."""

    @property
    def workloads(self) -> WorkloadStore:
        """What runs the pods, in step with them: that takes long where much has changed (`marked_workloads`)."""
        finish(self.marked_workloads.settling())
        return self.marked_workloads

    @property
    def as_filled(self) -> Mapping[ResourceName, Store[Any]]:
        """The stores of objects; workloads are as they were settled last."""
        return {
            "pods": self.pods,
            "nodes": self.nodes,
            "namespaces": self.namespaces,
            "workloads": self.marked_workloads,
        }

    def named(self, resource: ResourceName) -> Store[Any]:
        """The store of a resource, for whoever treats all alike; `of` knows what is in it."""
        store: Store[Any] = getattr(self, resource)
        return store

    def of(self, kind: ObjectKind[T]) -> Store[T]:
        store: Store[T] = getattr(self, kind.name)
        return store
