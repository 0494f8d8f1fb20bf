"""How the platform's points lie in InfluxDB, and a query for them, in whichever language.

Measurements `Nodes` (tags cluster, node) and `Pods` (tags cluster, namespace, pod, node), fields as the platform's
collector writes them.
"""

from collections.abc import Callable, Mapping

from msgspec import Struct

from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import Kind, Measure

Key = PodKey | NodeKey

FIELDS: Mapping[Measure, str] = {
    Measure.CPU_CORES: "CPUUsageNanoCores",
    Measure.MEMORY_BYTES: "MemoryWorkingSetBytes",
    Measure.MEMORY_USAGE_BYTES: "MemoryUsageBytes",
    Measure.MEMORY_AVAILABLE_BYTES: "MemoryAvailableBytes",
    Measure.FS_USED_BYTES: "FsUsedBytes",
    Measure.FS_CAPACITY_BYTES: "FsCapacityBytes",
    Measure.FS_AVAILABLE_BYTES: "FsAvailableBytes",
    Measure.NETWORK_RECEIVE_BYTES: "NetworkRxBytes",
    Measure.NETWORK_TRANSMIT_BYTES: "NetworkTxBytes",
}
ANCHORS = frozenset({Measure.CPU_CORES, Measure.MEMORY_BYTES})
"""Chosen always, so that the newest point is the same one whatever was asked for."""


class Layout(Struct, frozen=True):
    """Where objects of a kind are kept: the measurement, the tags that name one, and its key from their values."""

    measurement: str
    tags: tuple[str, ...]
    key_of: Callable[..., Key]


LAYOUTS: Mapping[Kind, Layout] = {
    Kind.POD: Layout("Pods", ("cluster", "namespace", "pod"), PodKey),
    Kind.NODE: Layout("Nodes", ("cluster", "node"), NodeKey),
}

SIGHTING_TAGS = (*LAYOUTS[Kind.POD].tags, "node")
"""What tells where a point of a pod was measured."""


class Names(Struct, frozen=True):
    """Some names of which a tag must have one; bound as a regular expression (Flux alone)."""

    values: tuple[str, ...]


Value = str | int | Names


class Query(Struct, frozen=True):
    """A constant text, and the values of the parameters it names."""

    text: str
    params: Mapping[str, Value]
