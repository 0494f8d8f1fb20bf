"""Who belongs to the federation, and how much of it a scope reaches."""

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial

from fleet.members.member import Member
from fleet.model.errors import ClusterNotFound, Forbidden
from fleet.model.event_queries import EventFilter
from fleet.model.kinds import KINDS, ObjectKind, ResourceName
from fleet.model.objects import ClusterRole, ObjectKey, T
from fleet.model.queries import Filter
from fleet.model.rights import Verb
from fleet.model.selectors import LabelSelector
from fleet.model.visibility import Scope

_CLUSTER_WIDE = frozenset(kind.name for kind in KINDS if kind.cluster_wide)


class Roster:
    """A live view of the members, read with the caller's scope."""

    def __init__(self, members: Mapping[str, Member]) -> None:
        self._members = members
        self.find: Callable[[str], Member | None] = members.get
        """A member by name, whoever asks."""

    def all(self) -> list[Member]:
        """Every member, host first, then by name."""
        return _in_order(self._members.values())

    def reached(self, scope: Scope) -> list[Member]:
        """The members within reach, host first, then by name. Nothing that is said to a caller goes beyond them."""
        return [member for member in self.all() if scope.sees_cluster(member.name)]

    def present(self) -> list[Member]:
        """Every member, in no order that means anything."""
        return list(self._members.values())

    def own_name(self, scope: Scope, name: str) -> str:
        """The name of the member in reach that its source also calls so; the same where there is none.

        Rights are of members' own names: a pattern that matches another name of a member reaches nothing by it.
        """
        if name in self._members:
            return name
        others = (member for member in self._members.values() if name in member.spec.other_names)
        return next((member.name for member in others if scope.sees_cluster(member.name)), name)

    def resolve(self, scope: Scope, wanted: Filter[T]) -> Filter[T]:
        """The same question, with the clusters' own names, and those that labels select now."""
        plain = not wanted.branches and wanted.cluster_labels is None
        if plain and (wanted.clusters is None or wanted.clusters <= self._members.keys()):
            return wanted
        return wanted.resolve(partial(self.own_name, scope), partial(find_labelled, self._members.values(), scope))

    def labelled(self, scope: Scope, selector: LabelSelector | None) -> frozenset[str] | None:
        """The names of the members in reach whose labels it selects; None where there is none."""
        return None if selector is None else find_labelled(self._members.values(), scope, selector)

    def get(self, scope: Scope, name: str) -> Member:
        """A member that is within reach, by any of its names. Raises ClusterNotFound."""
        name = self.own_name(scope, name)
        member = self._members.get(name) if scope.sees_cluster(name) else None
        if member is None:
            raise ClusterNotFound(name, tuple(member.name for member in self.reached(scope)))
        return member

    def named(self, scope: Scope, names: Collection[str] | None) -> list[Member]:
        """The members of these own names, of those in reach all for None. Raises ClusterNotFound."""
        return self.reached(scope) if names is None else _in_order([self.get(scope, name) for name in sorted(names)])

    def check_reach(self, kind: ObjectKind[T], scope: Scope, key: ObjectKey) -> Member:
        """The member of an object that, if there is one of this name, is within reach. Raises as `get`, Forbidden."""
        member = self.get(scope, key.cluster)
        if not kind.is_within(scope, key._replace(cluster=member.name), "get"):
            if (reason := refusal(scope, kind.name, member.name, "get")) is not None:
                raise Forbidden(reason)
            if kind.cluster_wide:
                raise Forbidden(_cluster_wide_forbidden(kind.name))
            raise Forbidden(f"the namespace {key.namespace[:100]!r} of {member.name} is out of your reach")
        return member

    def check_named(self, resource: ResourceName, scope: Scope, wanted: Filter[T], verb: Verb = "list") -> None:
        """What a filter names beside the clusters to be asked, which `named` looks for.

        Raises ClusterNotFound for a cluster that the filters inside it name, and Forbidden where none of the namespaces
        that are named is within reach of any cluster asked.
        """
        if wanted.branches:
            self.named(scope, frozenset(wanted.clusters_inside()))
        self.check_namespaces(resource, scope, wanted, verb)

    def check_namespaces(
        self, resource: ResourceName, scope: Scope, wanted: Filter[T] | EventFilter, verb: Verb = "list"
    ) -> None:
        """Raises Forbidden where none of the namespaces that are named is within reach of any cluster asked."""
        asked, namespaces = wanted.asked, wanted.namespaces
        clusters = [member.name for member in self.reached(scope)] if asked is None else asked
        if (
            clusters
            and namespaces
            and not any(scope.sees_namespace(at, name, resource, verb) for at in clusters for name in namespaces)
        ):
            names = ", ".join(sorted(namespaces)[:10])
            raise Forbidden(f"none of the namespaces named is within your reach: {names[:200]}")

    def check_clusters(
        self, resource: ResourceName, scope: Scope, named: frozenset[str] | None, verb: Verb = "list"
    ) -> None:
        """Raises ClusterNotFound for a name of no cluster in reach, Forbidden where nothing of those is."""
        members = self.named(scope, named)
        refusals = [reason for member in members if (reason := refusal(scope, resource, member.name, verb))]
        if named and len(refusals) == len(members):
            raise Forbidden(refusals[0])


def find_labelled(members: Iterable[Member], scope: Scope, selector: LabelSelector) -> frozenset[str]:
    """The names of those in reach whose labels it selects."""
    matching = (member.name for member in members if selector.matches(member.spec.labels))
    return frozenset(name for name in matching if scope.sees_cluster(name))


def _in_order(members: Iterable[Member]) -> list[Member]:
    return sorted(members, key=lambda member: (member.spec.role is not ClusterRole.HOST, member.name))


def refusal(scope: Scope, resource: ResourceName, cluster: str, verb: Verb = "list") -> str | None:
    """Why the objects of a cluster within reach are not, None where some are."""
    if scope.granted is not None and (reason := scope.granted.explain_refusal(cluster, verb, resource)) is not None:
        return reason
    if resource in _CLUSTER_WIDE and not scope.sees_all_namespaces(cluster, resource, verb):
        return _cluster_wide_forbidden(resource)
    return None


def _cluster_wide_forbidden(resource: str) -> str:
    return f"{resource} belong to the whole cluster, and not all of its namespaces are within your reach"
