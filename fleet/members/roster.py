"""Who belongs to the federation, and how much of it a scope reaches."""

from collections.abc import Collection, Iterable, Mapping

from fleet.members.health import Kind
from fleet.members.member import Member
from fleet.model.errors import ClusterNotFound, Forbidden
from fleet.model.objects import ClusterRole
from fleet.model.queries import NodeFilter, PodFilter
from fleet.model.scope import Scope

NODES_FORBIDDEN = "nodes belong to the whole cluster, and not all of its namespaces are within your reach"


class Roster:
    """A live view of the members, read with the caller's scope."""

    def __init__(self, members: Mapping[str, Member]) -> None:
        self._members = members

    def all(self) -> list[Member]:
        """Every member, host first, then by name."""
        return _in_order(self._members.values())

    def present(self) -> list[Member]:
        """Every member, in no order that means anything."""
        return list(self._members.values())

    def find(self, name: str) -> Member | None:
        """A member by name, whoever asks."""
        return self._members.get(name)

    def get(self, scope: Scope, name: str) -> Member:
        """A member that is within reach. Raises ClusterNotFound, Forbidden."""
        member = self._members.get(name)
        if member is None:
            raise ClusterNotFound(name, self._visible(scope))
        if not scope.sees_cluster(name):
            raise Forbidden(_cluster_forbidden(name))
        return member

    def named(self, scope: Scope, names: Collection[str] | None) -> list[Member]:
        """The members of these names, all of them for None, in reach or not. Raises ClusterNotFound."""
        if names is None:
            return self.all()
        for name in sorted(names):
            if name not in self._members:
                raise ClusterNotFound(name, self._visible(scope))
        return _in_order(self._members[name] for name in names)

    def hidden(self, scope: Scope) -> dict[str, str]:
        """The clusters out of reach, each with the words that mark it in a list."""
        names = [member.name for member in self.all() if not scope.sees_cluster(member.name)]
        return {name: _cluster_forbidden(name) for name in names}

    def check_namespaces(self, scope: Scope, wanted: PodFilter) -> None:
        """Raises Forbidden where namespaces are named and none of them is within reach of any cluster asked."""
        if not wanted.namespaces:
            return
        clusters = self._members if wanted.clusters is None else wanted.clusters
        if clusters and not any(
            scope.sees_namespace(cluster, name) for cluster in clusters for name in wanted.namespaces
        ):
            names = ", ".join(sorted(wanted.namespaces)[:10])
            raise Forbidden(f"none of the namespaces named is within your reach: {names[:200]}")

    def check_live(self, scope: Scope, wanted: PodFilter | NodeFilter | None) -> None:
        """Raises ClusterNotFound for a named cluster that does not exist, Forbidden where all named is out of reach."""
        kind: Kind = "nodes" if isinstance(wanted, NodeFilter) else "pods"
        names = None if wanted is None else wanted.clusters
        members = self.named(scope, names)
        refusals = [reason for member in members if (reason := refusal(scope, kind, member.name))]
        if names and len(refusals) == len(members):
            raise Forbidden(refusals[0])
        if isinstance(wanted, PodFilter):
            self.check_namespaces(scope, wanted)

    def _visible(self, scope: Scope) -> tuple[str, ...]:
        return tuple(member.name for member in self.all() if scope.sees_cluster(member.name))


def _in_order(members: Iterable[Member]) -> list[Member]:
    return sorted(members, key=lambda member: (member.spec.role is not ClusterRole.HOST, member.name))


def refusal(scope: Scope, kind: Kind | None, cluster: str) -> str | None:
    """Why a cluster's objects of a kind are out of reach, None where they are not."""
    if not scope.sees_cluster(cluster):
        return _cluster_forbidden(cluster)
    if kind == "nodes" and not scope.sees_all_namespaces(cluster):
        return NODES_FORBIDDEN
    return None


def _cluster_forbidden(name: str) -> str:
    return f"the cluster {name} is out of your reach"
