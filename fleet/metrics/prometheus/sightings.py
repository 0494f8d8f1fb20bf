"""Where pods were seen: the times of their series, by the node that these name.

Series of containers are there while these run; only where none names a node, kube-state-metrics' word counts, which
goes on for pods that have ended.
"""

from collections.abc import Iterable, Mapping

from fleet.metrics.prometheus.answer import Rows
from fleet.metrics.prometheus.asking import Asking
from fleet.metrics.prometheus.nodes import NodeNames
from fleet.metrics.prometheus.objects import CONTAINERS, Wording
from fleet.metrics.prometheus.ways import names_of
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import NANOSECONDS, Kind, Measure, TimeRange

Sightings = Mapping[tuple[PodKey, str], set[int]]

_INFO = ("kube_pod_info",)

_LONG_NS = 7200 * NANOSECONDS
_STEP_NS = 60 * NANOSECONDS
"""Of longer spans it is asked for each minute whether a pod was there."""


class SightingReader:
    """Asks for series that tell which pods ran where."""

    def __init__(self, asking: Asking, wording: Wording, nodes: NodeNames) -> None:
        self._asking = asking
        self._wording = wording
        self._nodes = nodes
        self._measured = names_of([wording.ways(Kind.POD)[Measure.MEMORY_BYTES]])
        self._matchers = () if wording.options.recorded else (CONTAINERS,)

    async def of_pods(self, keys: frozenset[PodKey], start_ns: int, end_ns: int) -> Sightings:
        """The times of each pod's samples in [start, end), by node."""
        if not keys or start_ns >= end_ns:
            return {}
        selectors = self._wording.select_of(keys, self._measured, *self._matchers)
        found = await self._read(selectors, {key.cluster for key in keys}, start_ns, end_ns)
        if silent := keys - {pod for pod, _ in found}:
            told = self._wording.select_of(silent, _INFO)
            found |= await self._read(told, {key.cluster for key in silent}, start_ns, end_ns)
        return {(pod, node): times for (pod, node), times in found.items() if pod in keys}

    async def on_nodes(self, keys: frozenset[NodeKey], start_ns: int, end_ns: int) -> Sightings:
        """The times of the samples in [start, end) of pods on these nodes."""
        if not keys:
            return {}
        clusters = {key.cluster for key in keys}
        by_label = self._wording.select_on(keys, self._measured, *self._matchers)
        found = await self._read(by_label, clusters, start_ns, end_ns)
        if not found:
            await self._nodes.load(clusters)
            by_host = self._wording.select_on(keys, self._measured, *self._matchers, instances=self._nodes.hosts_of)
            found = await self._read(by_host, clusters, start_ns, end_ns)
        if not found:
            found = await self._read(self._wording.select_on(keys, _INFO), clusters, start_ns, end_ns)
        return found

    async def _read(
        self, selectors: Iterable[str], clusters: set[str], start_ns: int, end_ns: int
    ) -> dict[tuple[PodKey, str], set[int]]:
        if end_ns - start_ns <= _LONG_NS:
            rows = (await self._asking.samples(selectors, start_ns, end_ns)).rows
        else:
            window = TimeRange(start_ns, end_ns, _STEP_NS)
            found = await self._asking.steps((self._count(selector) for selector in selectors), window)
            rows = [row for each in found for row in each.rows]
        if any(not row.labels.node for row in rows):
            await self._nodes.load(clusters)
        return self._place(rows, clusters, start_ns, end_ns)

    def _count(self, selector: str) -> str:
        """How many series of a pod there are on a node, where there was a sample in the last step."""
        options = self._wording.options
        labels = (
            "namespace,pod,node,instance"
            if options.only_cluster
            else f"{options.cluster_label},namespace,pod,node,instance"
        )
        return f"count by ({labels}) (last_over_time({selector}[{_STEP_NS // 1_000_000}ms]))"

    def _place(
        self, rows: Iterable[Rows], clusters: set[str], start_ns: int, end_ns: int
    ) -> dict[tuple[PodKey, str], set[int]]:
        names = self._wording.clusters_by_value(clusters)
        found: dict[tuple[PodKey, str], set[int]] = {}
        for row in rows:
            cluster = names.get(row.labels.cluster)
            node = "" if cluster is None else self._nodes.node_of(cluster, row.labels)
            times = {at for at in row.times_ns if start_ns <= at < end_ns}
            if cluster is not None and node and row.labels.pod and times:
                pod = PodKey(cluster, row.labels.namespace, row.labels.pod)
                found.setdefault((pod, node), set()).update(times)
        return found
