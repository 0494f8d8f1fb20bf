"""Which series tell of which measure: ways, of which the first that has samples of an object counts.

Sources: the kubelet's `/metrics/cadvisor` and `/metrics/resource`, node-exporter, and `fleet.metrics.recorded`.
"""

from collections.abc import Iterable, Mapping

from msgspec import Struct

from fleet.metrics.recorded import recorded_name
from fleet.model.usage import Kind, Measure


class Way(Struct, frozen=True):
    """The sum of a series' parts (containers, devices), less that of another, where both are there.

    `rate`: of counters that are answered as what they grow by a second. `idle`: each part is what is left of one.
    `largest`: not the sum but the largest part; of what is recorded, a pod that moved has a series of each node.
    """

    name: str
    less: str = ""
    rate: bool = False
    idle: bool = False
    largest: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, self.less) if self.less else (self.name,)


Ways = Mapping[Measure, tuple[Way, ...]]

POD_WAYS: Ways = {
    Measure.CPU_CORES: (
        Way("container_cpu_usage_seconds_total", rate=True),
        Way("pod_cpu_usage_seconds_total", rate=True),
    ),
    Measure.MEMORY_BYTES: (Way("container_memory_working_set_bytes"), Way("pod_memory_working_set_bytes")),
    Measure.MEMORY_USAGE_BYTES: (Way("container_memory_usage_bytes"),),
    Measure.MEMORY_AVAILABLE_BYTES: (
        Way("container_spec_memory_limit_bytes", less="container_memory_working_set_bytes"),
    ),
    Measure.FS_USED_BYTES: (Way("container_fs_usage_bytes"),),
    Measure.FS_CAPACITY_BYTES: (Way("container_fs_limit_bytes", largest=True),),
    Measure.FS_AVAILABLE_BYTES: (),
    Measure.NETWORK_RECEIVE_BYTES: (Way("container_network_receive_bytes_total"),),
    Measure.NETWORK_TRANSMIT_BYTES: (Way("container_network_transmit_bytes_total"),),
}

NODE_WAYS: Ways = {
    Measure.CPU_CORES: (
        Way("container_cpu_usage_seconds_total", rate=True),
        Way("node_cpu_usage_seconds_total", rate=True),
        Way("node_cpu_seconds_total", rate=True, idle=True),
    ),
    Measure.MEMORY_BYTES: (
        Way("container_memory_working_set_bytes"),
        Way("node_memory_working_set_bytes"),
        Way("node_memory_MemTotal_bytes", less="node_memory_MemAvailable_bytes"),
    ),
    Measure.MEMORY_USAGE_BYTES: (Way("container_memory_usage_bytes"),),
    Measure.MEMORY_AVAILABLE_BYTES: (Way("node_memory_MemAvailable_bytes"),),
    Measure.FS_USED_BYTES: (Way("node_filesystem_size_bytes", less="node_filesystem_free_bytes"),),
    Measure.FS_CAPACITY_BYTES: (Way("node_filesystem_size_bytes"),),
    Measure.FS_AVAILABLE_BYTES: (Way("node_filesystem_avail_bytes"),),
    Measure.NETWORK_RECEIVE_BYTES: (
        Way("node_network_receive_bytes_total"),
        Way("container_network_receive_bytes_total"),
    ),
    Measure.NETWORK_TRANSMIT_BYTES: (
        Way("node_network_transmit_bytes_total"),
        Way("container_network_transmit_bytes_total"),
    ),
}

SCRAPED: Mapping[Kind, Ways] = {Kind.POD: POD_WAYS, Kind.NODE: NODE_WAYS}
RECORDED: Mapping[Kind, Ways] = {
    kind: {measure: (Way(recorded_name(kind, measure), largest=True),) for measure in Measure} for kind in Kind
}


def names_of(ways: Iterable[tuple[Way, ...]], prefix: tuple[str, ...] = ("",)) -> list[str]:
    """The names of the series of some measures' ways that begin in one of these ways, each once."""
    return sorted({name for each in ways for way in each for name in way.names if name.startswith(prefix)})
