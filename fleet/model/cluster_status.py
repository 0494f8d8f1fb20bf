"""The scores that the platform's analysis keeps of each cluster, where a metric store holds them."""

from typing import Protocol, runtime_checkable

from msgspec import Struct

Number = int | float | None


class ClusterStatus(Struct, frozen=True):
    """One stored point. Absent values are None.

    Scores as the platform computes them: CPU, memory and disk in percent of capacity over all nodes, network in
    megabytes moved between the newest points, latency in milliseconds. A warning says that its threshold is reached.
    """

    time_ns: int
    cpu_score: Number = None
    memory_score: Number = None
    disk_score: Number = None
    network_score: Number = None
    latency_score: Number = None
    cpu_warning: bool | None = None
    memory_warning: bool | None = None
    disk_warning: bool | None = None
    network_warning: bool | None = None
    latency_warning: bool | None = None


@runtime_checkable
class StatusStore(Protocol):
    """A metric store that the platform writes such points to: InfluxDB 1.x alone. Raises MetricsUnavailable."""

    async def cluster_statuses(
        self, cluster: str, *, start_ns: int | None, end_ns: int | None, limit: int
    ) -> list[ClusterStatus]:
        """The newest `limit` points in [start, end), oldest first; with neither start nor end the newest one."""
