"""What nodes are called by who measures them: exporters tell a host and a port (`instance`), and not always a node.

Sources: node-exporter's `node_uname_info`, kube-state-metrics' `kube_node_info`.
"""

import time
from collections import defaultdict
from collections.abc import Collection, Mapping

from fleet.metrics.prometheus.answer import Labels
from fleet.metrics.prometheus.asking import Asking
from fleet.metrics.prometheus.objects import Key, Wording
from fleet.metrics.prometheus.text import select
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import NANOSECONDS, Kind

_NAMES = ("kube_node_info", "node_uname_info")
_KEPT = 300.0
_SPAN_NS = 300 * NANOSECONDS


class NodeNames:
    """Nodes by the host of their exporters, asked for each five minutes."""

    def __init__(self, asking: Asking, wording: Wording) -> None:
        self._asking = asking
        self._wording = wording
        self._due: dict[str, float] = {}
        self._node_by_host: dict[tuple[str, str], str] = {}
        self._hosts: dict[NodeKey, set[str]] = defaultdict(set)

    def hosts_of(self, key: NodeKey) -> frozenset[str]:
        """Where the node's exporters may be, its own name among them."""
        return frozenset(self._hosts.get(key, ())) | {key.name}

    def node_of(self, cluster: str, labels: Labels) -> str:
        """The node that a series names, by itself or by its instance; empty where it can't be told."""
        return labels.node or self._node_by_host.get((cluster, _host_of(labels.instance)), "")

    def name_of(self, cluster: str, labels: Labels) -> str:
        """As `node_of`, of a series of a node, whose instance may be its very name."""
        return self.node_of(cluster, labels) or _host_of(labels.instance)

    def key_of(self, kind: Kind, names: Mapping[str, str], labels: Labels) -> Key | None:
        """Whose a series is; `names` are clusters by the value of their label."""
        cluster = names.get(labels.cluster)
        if cluster is None:
            return None
        if kind is Kind.POD:
            return PodKey(cluster, labels.namespace, labels.pod)
        return NodeKey(cluster, self.name_of(cluster, labels))

    async def load(self, clusters: Collection[str]) -> None:
        """Asks for the nodes of those clusters of which it is not known. Raises MetricsUnavailable."""
        now = time.monotonic()
        due = [cluster for cluster in clusters if self._due.get(cluster, now) <= now]
        if not due:
            return
        until = time.time_ns()
        selector = select(_NAMES, (self._wording.match_clusters(due),))
        found = await self._asking.samples([selector], until - _SPAN_NS, until)
        names = self._wording.clusters_by_value(due)
        for row in found.rows:
            labels, cluster = row.labels, names.get(row.labels.cluster)
            node = labels.node or labels.nodename
            host = labels.internal_ip or _host_of(labels.instance)
            if cluster is not None and node and host:
                self._node_by_host[cluster, host] = node
                self._hosts[NodeKey(cluster, node)].add(host)
        self._due |= dict.fromkeys(due, now + _KEPT)


def _host_of(instance: str) -> str:
    """`10.0.0.1:9100`, `[fd00::1]:9100` or `node-1` without the port and brackets."""
    host, _, port = instance.rpartition(":")
    return (host if host and port.isdigit() else instance).strip("[]")
