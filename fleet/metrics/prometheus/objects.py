"""Which series are of which objects: what is selected for some keys, and whose an answer's series are. Pure."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence

from msgspec import Struct

from fleet.metrics.prometheus.options import PrometheusOptions
from fleet.metrics.prometheus.text import VIRTUAL, match, quote, select, split
from fleet.metrics.prometheus.ways import RECORDED, SCRAPED, Ways, names_of
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import Kind, Measure

Key = PodKey | NodeKey
Instances = Callable[[NodeKey], frozenset[str]]
"""By which hosts the series of a node's exporters may be told."""

Build = Callable[[Sequence[str]], str]

REAL_DEVICES = (f"interface!~{quote(VIRTUAL)}", f"device!~{quote(VIRTUAL)}")
_PORT = "(?::[0-9]+)?"
CONTAINERS = 'container!~"|POD"'
OF_KUBELETS = ("container_", "node_cpu_usage", "node_memory_working")
_OF_CONTAINERS = ("container_cpu", "container_memory", "container_spec", "container_fs")
_OF_EXPORTERS = ('mode=~"|idle"', 'mountpoint=~"|/"', REAL_DEVICES[1])
_OF_MACHINES = ('id="/"', REAL_DEVICES[0])


def match_whole(name: str) -> tuple[str, ...]:
    """What a node's series of this name match that are of all of it: the kubelet's of all cgroups, or an exporter's."""
    return _OF_MACHINES if name.startswith("container_") else _OF_EXPORTERS


class Wording(Struct, frozen=True):
    """How this Prometheus names clusters and what is measured."""

    options: PrometheusOptions

    def ways(self, kind: Kind) -> Ways:
        return (RECORDED if self.options.recorded else SCRAPED)[kind]

    def value_of(self, cluster: str) -> str:
        return self.options.cluster_value.replace("{cluster}", cluster)

    def match_clusters(self, clusters: Iterable[str]) -> str:
        """The matcher of these clusters' series; empty where no series has such a label."""
        if self.options.only_cluster:
            return ""
        return match(self.options.cluster_label, {self.value_of(cluster) for cluster in clusters})

    def clusters_by_value(self, clusters: Iterable[str]) -> Mapping[str, str]:
        """The clusters that series may be of, by the value of their label."""
        if self.options.only_cluster:
            return {"": self.options.only_cluster}
        return {self.value_of(cluster): cluster for cluster in clusters}

    def known(self, keys: Iterable[Key]) -> frozenset[Key]:
        """The keys that this Prometheus may have series of."""
        only = self.options.only_cluster
        return frozenset(key for key in keys if not only or key.cluster == only)

    def select_pods(self, keys: Iterable[PodKey], measures: Collection[Measure], *, whole: bool) -> Iterator[str]:
        """Selectors of pods' series: of containers, of network devices, and with `whole` those of pods as a whole."""
        ways = [self.ways(Kind.POD)[measure] for measure in measures]
        if self.options.recorded:
            yield from self.select_of(keys, names_of(ways))
            return
        yield from self.select_of(keys, names_of(ways, _OF_CONTAINERS), CONTAINERS)
        yield from self.select_of(keys, names_of(ways, ("container_network",)), REAL_DEVICES[0])
        if whole:
            yield from self.select_of(keys, names_of(ways, ("pod_",)))

    def select_of(self, keys: Iterable[PodKey], names: Sequence[str], *matchers: str) -> Iterator[str]:
        """Selectors of the pods' series of these names."""
        if names:
            yield from self.word_pods(keys, lambda matched: select(names, (*matched, *matchers)))

    def word_pods(self, keys: Iterable[PodKey], build: Build, *, named: bool = True) -> Iterator[str]:
        """Texts of queries that are built of the matchers of some pods each, or of all in their namespaces."""

        def of_some(some: list[PodKey]) -> str:
            clusters = self.match_clusters(key.cluster for key in some)
            namespaces = match("namespace", {key.namespace for key in some})
            return build([clusters, namespaces, match("pod", {key.name for key in some}) if named else ""])

        yield from split(keys, of_some, self.options.query_bytes)

    def select_nodes(
        self, keys: Iterable[NodeKey], measures: Collection[Measure], instances: Instances
    ) -> Iterator[str]:
        """Selectors of nodes' series: of kubelets by their node's name, and of exporters by their instance."""
        ways = [self.ways(Kind.NODE)[measure] for measure in measures]
        if self.options.recorded:
            yield from self.select_on(keys, names_of(ways))
            return
        for hosts in (None, instances):
            for prefix in ("container_", "node_"):
                names = names_of(ways, (prefix,))
                yield from self.select_on(keys, names, *match_whole(prefix), instances=hosts)

    def select_on(
        self, keys: Iterable[NodeKey], names: Sequence[str], *matchers: str, instances: Instances | None = None
    ) -> Iterator[str]:
        """Selectors of the series of these names that have one of the nodes as label, or come from its instances."""
        if names:
            yield from self.word_nodes(keys, lambda matched: select(names, (*matched, *matchers)), instances)

    def word_nodes(self, keys: Iterable[NodeKey], build: Build, instances: Instances | None = None) -> Iterator[str]:
        """Texts of queries that are built of the matchers of some nodes each."""

        def of_some(some: list[NodeKey]) -> str:
            clusters = self.match_clusters(key.cluster for key in some)
            if instances is None:
                return build([clusters, match("node", {key.name for key in some})])
            return build([clusters, match("instance", frozenset().union(*(instances(key) for key in some)), _PORT)])

        yield from split(keys, of_some, self.options.query_bytes)
