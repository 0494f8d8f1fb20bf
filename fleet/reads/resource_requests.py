"""What pods ask for, summed by node and by cluster, from what is in memory."""

from fleet.aio.recorder import note_cached
from fleet.members.roster import Roster
from fleet.model.objects import NO_RESOURCES, NodeKey, Resources
from fleet.model.sums import sum_requests


class RequestSums:
    """Sums over the pods that are not finished. Those of whole clusters are kept until a pod of theirs changes."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._sums: dict[str, tuple[int, Resources]] = {}

    def on(self, node: NodeKey) -> Resources:
        """Of the pods of one node; nothing where the cluster is gone."""
        member = self._roster.find(node.cluster)
        note_cached(node.cluster, 0)
        return NO_RESOURCES if member is None else sum_requests(member.pods.select("node", node.name))

    def of(self, cluster: str) -> Resources:
        """Of all pods of a cluster that are on a node; nothing where it is gone."""
        member = self._roster.find(cluster)
        if member is None:
            return NO_RESOURCES
        note_cached(cluster, 0)
        known = self._sums.get(cluster)
        if known is None or known[0] != member.pods.generation:
            placed = (pod for pod in member.pods if pod.node_name is not None)
            known = self._sums[cluster] = (member.pods.generation, sum_requests(placed))
        return known[1]
