"""Groups of pods and of nodes: what their objects have in common, and sums over each. Pure.

Keys are read as columns: lists that are in step with the objects they are of.
"""

import enum
from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, Generic, NamedTuple, cast

from fleet.model.errors import InvalidQuery, MetricsUnavailable
from fleet.model.objects import NO_RESOURCES, Node, Pod, PodPhase, Resources, T
from fleet.model.sums import find_runs, sum_resources, sum_usages
from fleet.model.usage import Measure, Usage

MAX_GROUPS = 10_000
MAX_KEYS = 8

PIECE = 1_000
"""Objects that are worked on at a stretch: it takes less than a millisecond."""


class PodGroupField(enum.Enum):
    """What pods can be grouped by beside their labels."""

    PHASE = "PHASE"
    CLUSTER = "CLUSTER"
    NAMESPACE = "NAMESPACE"
    NODE = "NODE"
    STATUS = "STATUS"
    WORKLOAD = "WORKLOAD"
    IMAGE = "IMAGE"
    QOS_CLASS = "QOS_CLASS"
    ZONE = "ZONE"


class NodeGroupField(enum.Enum):
    """What nodes can be grouped by beside their labels."""

    CLUSTER = "CLUSTER"
    ZONE = "ZONE"
    REGION = "REGION"
    ROLE = "ROLE"
    STATUS = "STATUS"
    KUBELET_VERSION = "KUBELET_VERSION"
    OS_IMAGE = "OS_IMAGE"
    ARCHITECTURE = "ARCHITECTURE"


class PodGroupColumn(enum.Enum):
    """Numbers that groups of pods can be ordered by; the values are names of sums."""

    COUNT = "count"
    READY_COUNT = "ready_count"
    RESTARTS = "restarts"


class NodeGroupColumn(enum.Enum):
    """As `PodGroupColumn`, of nodes."""

    COUNT = "count"
    READY_COUNT = "ready_count"


class ResourceField(enum.Enum):
    """Amounts of `Resources`; the values are their names."""

    CPU_CORES = "cpu_cores"
    MEMORY_BYTES = "memory_bytes"
    EPHEMERAL_STORAGE_BYTES = "ephemeral_storage_bytes"
    PODS = "pods"


GroupField = PodGroupField | NodeGroupField
GroupBy = GroupField | str
"""A field, or a label's key."""

Values = tuple[str | None, ...]
"""What a group has in common, for each of what is grouped by; None for what its objects do not have."""

Known = Usage | MetricsUnavailable | None
"""An object's usage, or why it is not known."""

Column = Callable[[Collection[Any]], list[str | None]]

# Attributes that are written out take a third of what `attrgetter` does.
COLUMNS: Mapping[GroupField, Column] = {
    # A plain attribute, where `name` is a property of Python's own making.
    PodGroupField.PHASE: lambda pods: [pod.phase._name_ for pod in pods],
    PodGroupField.CLUSTER: lambda pods: [pod.cluster for pod in pods],
    PodGroupField.NAMESPACE: lambda pods: [pod.namespace for pod in pods],
    PodGroupField.NODE: lambda pods: [pod.node_name for pod in pods],
    PodGroupField.STATUS: lambda pods: [pod.status for pod in pods],
    PodGroupField.QOS_CLASS: lambda pods: [pod.qos_class for pod in pods],
    NodeGroupField.CLUSTER: lambda nodes: [node.cluster for node in nodes],
    NodeGroupField.ZONE: lambda nodes: [node.zone for node in nodes],
    NodeGroupField.REGION: lambda nodes: [node.region for node in nodes],
    NodeGroupField.STATUS: lambda nodes: [node.status for node in nodes],
    NodeGroupField.KUBELET_VERSION: lambda nodes: [node.kubelet_version for node in nodes],
    NodeGroupField.OS_IMAGE: lambda nodes: [node.os_image for node in nodes],
    NodeGroupField.ARCHITECTURE: lambda nodes: [node.architecture for node in nodes],
}
_MANY: Mapping[GroupBy, Callable[[Any], Iterable[str]]] = {
    PodGroupField.IMAGE: lambda pod: pod.images,
    NodeGroupField.ROLE: lambda node: node.roles,
}
"""Of what an object may have several it is in the group of each, or in that of none."""


class Sum(NamedTuple):
    """How a value of many objects is read, and how those of several parts of them are added."""

    read: Callable[[Sequence[Any]], Any]
    add: Callable[[list[Any]], Any]


def resource_sum(read: Callable[[Sequence[Any]], list[Resources]]) -> Sum:
    """An amount is None only where no object says it."""
    return Sum(lambda objects: sum_resources(read(objects) or (NO_RESOURCES,)), sum_resources)


def usage_sum(measures: frozenset[Measure], *, gaps: bool = False) -> Sum:
    """Of the usages of those that have one; None where none has. With `gaps` a failure in their place is the sum."""

    def add(usages: Sequence[Known]) -> Known:
        failed = (each for each in usages if isinstance(each, MetricsUnavailable)) if gaps else iter(())
        return next(failed, None) or sum_usages(filter(None, cast("Sequence[Usage | None]", usages)), measures)

    return Sum(add, add)


_SUCCEEDED, _FAILED = PodPhase.SUCCEEDED, PodPhase.FAILED


Sums = Mapping[str, Sum]
POD_SUMS: Sums = {
    "ready_count": Sum(lambda pods: sum([pod.ready_containers == pod.total_containers for pod in pods]), sum),
    "restarts": Sum(lambda pods: sum([pod.restarts for pod in pods]), sum),
    "requests": resource_sum(
        lambda pods: [pod.requests for pod in pods if pod.phase is not _SUCCEEDED and pod.phase is not _FAILED]
    ),
    "limits": resource_sum(
        lambda pods: [pod.limits for pod in pods if pod.phase is not _SUCCEEDED and pod.phase is not _FAILED]
    ),
}
NODE_SUMS: Sums = {
    "ready_count": Sum(lambda nodes: sum([node.ready for node in nodes]), sum),
    "capacity": resource_sum(lambda nodes: [node.capacity for node in nodes]),
    "allocatable": resource_sum(lambda nodes: [node.allocatable for node in nodes]),
}


class Group(Generic[T]):
    """Objects that have `values` in common. Each of its sums is an attribute, made by `add_up` or when it is read."""

    def __init__(
        self,
        by: Sequence[GroupBy],
        values: Values,
        members: Sequence[T],
        usages: Sequence[Known],
        sums: Sums,
    ) -> None:
        self.by = by
        self.values = values
        self.members = members
        self.count = len(members)
        self._usages = usages
        self._sums = sums

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_") or name not in self._sums:
            raise AttributeError(name)
        deque(self.add_up(name), maxlen=0)
        return self.__dict__[name]

    def add_up(self, name: str) -> Iterator[None]:
        """Makes a sum, piece by piece."""
        if name not in self.__dict__:
            entries: Sequence[Any] = self._usages if name == "usage" else self.members
            read, add = self._sums[name]
            parts = []
            for start in range(0, len(entries) or 1, PIECE):
                parts.append(read(entries[start : start + PIECE]))
                yield
            self.__dict__[name] = parts[0] if len(parts) == 1 else add(parts)


class Grouping(Generic[T]):
    """Puts objects into groups. `others` are columns of fields that the objects do not hold themselves."""

    def __init__(self, by: Sequence[GroupBy], sums: Sums, others: Mapping[GroupField, Column]) -> None:
        self._by = by
        self._sums = sums
        self._many = next((key for key in by if key in _MANY), None)
        columns: Mapping[GroupField, Column] = {**COLUMNS, **others}
        self._columns = [
            None if key is self._many else _label_column(key) if isinstance(key, str) else columns[key] for key in by
        ]
        self._members: dict[Any, list[T]] = {}
        self._usages: dict[Any, list[Known]] = {}

    def add(self, objects: Sequence[T], usages: Sequence[Known]) -> None:
        """Some more objects; `usages` are in step with them, or empty. Raises InvalidQuery for too many groups."""
        several: list[str | None] = []
        if self._many is not None:
            read = _MANY[self._many]
            places = [(place, value) for place, entry in enumerate(objects) for value in {*read(entry)} or (None,)]
            several = [value for _, value in places]
            objects = [objects[place] for place, _ in places]
            usages = [usages[place] for place, _ in places] if usages else usages
        columns = [several if column is None else column(objects) for column in self._columns]
        keys: list[Any] = columns[0] if len(columns) == 1 else list(zip(*columns, strict=True))
        for start, end in find_runs(keys):
            key = keys[start]
            if key not in self._members:
                self._members[key], self._usages[key] = [], []
            self._members[key] += objects[start:end]
            if usages:
                self._usages[key] += usages[start:end]
        if len(self._members) > MAX_GROUPS:
            raise InvalidQuery(
                f"there are more than {MAX_GROUPS:,} groups: group by what fewer objects differ in, or filter them"
            )

    def finish(self) -> Iterator[Group[T]]:
        """The groups, each handed over once."""
        alone = len(self._columns) == 1
        while self._members:
            key, members = self._members.popitem()
            yield Group(self._by, (key,) if alone else key, members, self._usages.pop(key), self._sums)


def _label_column(key: str) -> Column:
    known: dict[int, str | None] = {}  # labels that many objects share are the same tuple

    def read(objects: Collection[Pod | Node]) -> list[str | None]:
        for labels in {id(entry.labels): entry.labels for entry in objects}.values():
            known[id(labels)] = dict(labels).get(key)
        return [known[id(entry.labels)] for entry in objects]

    return read
