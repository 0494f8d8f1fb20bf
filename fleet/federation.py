"""The federation as both faces read it."""

from fleet.models import Cluster, Node, NodeKey, OnUnavailable, Outcome, Pod, PodKey, Resources
from fleet.ports import Connection
from fleet.queries import NodeFilter, Order, Page, PageRequest, PodFilter
from fleet.scope import Scope


class Federation:
    """All clusters, their cached objects and their APIs. Every read takes the caller's scope.

    What the scope does not reach looks empty and is marked FORBIDDEN in lists, and raises Forbidden when it is named.
    Lists wait for members that have not proved themselves lately, all at once and at most for the member timeout.
    """

    def list_clusters(self, scope: Scope) -> list[Cluster]:
        """Snapshots of the clusters in reach, host first, then by name. Asks nobody."""
        raise NotImplementedError

    def get_cluster(self, scope: Scope, name: str) -> Cluster:
        """One cluster's snapshot. Raises ClusterNotFound, Forbidden."""
        raise NotImplementedError

    async def list_pods(
        self,
        scope: Scope,
        filter: PodFilter,  # noqa: A002 - the word of the question
        orders: tuple[Order, ...],
        page: PageRequest,
        on_unavailable: OnUnavailable,
    ) -> Page[Pod]:
        """A page of pods, from memory.

        Raises InvalidQuery, ClusterNotFound for a named cluster that does not exist (in every mode), Forbidden where
        every named cluster is out of reach, and with STRICT the ClusterError of the first member that is missing.
        """
        raise NotImplementedError

    async def list_nodes(
        self,
        scope: Scope,
        filter: NodeFilter,  # noqa: A002 - the word of the question
        orders: tuple[Order, ...],
        page: PageRequest,
        on_unavailable: OnUnavailable,
    ) -> Page[Node]:
        """A page of nodes, from memory; as `list_pods`."""
        raise NotImplementedError

    async def get_pod(self, scope: Scope, key: PodKey) -> Pod | None:
        """One pod, None where the cluster has none of that name. Raises ClusterNotFound, Forbidden, ClusterError."""
        raise NotImplementedError

    async def get_node(self, scope: Scope, key: NodeKey) -> Node | None:
        """One node, None where the cluster has none of that name. Raises ClusterNotFound, Forbidden, ClusterError."""
        raise NotImplementedError

    def cached_node(self, scope: Scope, key: NodeKey) -> Node | None:
        """The node of a pod that was just answered, from memory, without waiting; None where it is out of reach."""
        raise NotImplementedError

    def requested_on(self, key: NodeKey) -> Resources:
        """The sum of the requests of a node's pods that are not finished."""
        raise NotImplementedError

    async def cluster_outcomes(self, scope: Scope, names: frozenset[str] | None) -> list[Outcome]:
        """Asks the named (or all) clusters for a sign of life and says how each is."""
        raise NotImplementedError

    def get_connection(self, scope: Scope, cluster: str) -> Connection:
        """The pool to a cluster's API server, for pass-through.

        Raises ClusterNotFound, Forbidden, ClusterUnreachable (ill, or cut off by its breaker, with the reason).
        """
        raise NotImplementedError
