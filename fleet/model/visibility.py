"""Who may see which cluster and namespace, and what a caller may do: authorization as the federation understands it.

Every read of the federation takes a `Scope`. Who the caller is, and which role and reach a user, group or token was
granted, is the business of `auth`.
"""

import enum
from collections.abc import Mapping
from fnmatch import fnmatchcase

from msgspec import Struct
from msgspec.structs import replace

from fleet.model.label_selector import parse_requirements
from fleet.model.rights import Granted, Verb


class Role(enum.IntEnum):
    """What a scope allows: each role includes those before it.

    VIEW reads, but no Secrets; EDIT also writes, reads logs and runs commands; ADMIN does anything.
    """

    VIEW = 1
    EDIT = 2
    ADMIN = 3


class Scope(Struct, frozen=True, gc=False):
    """Role and reach. `clusters` and `namespaces` are shell patterns, matched case-sensitively.

    Of what they match it reaches what `within` does too, as a token what its owner does. What `also` reaches, which was
    granted beside it, is in reach too; each with a role and patterns of its own.
    Where members decide what a caller sees, `granted` is what they said, and both have to allow it. Kinds are named as
    in `fleet.model.kinds` and `fleet.model.rights`.
    Where there are `cluster_labels`, a label selector, only clusters whose labels match are reached: `labelled`, which
    `resolve` finds out; nothing is until then.
    """

    role: Role
    clusters: tuple[str, ...] = ("*",)
    namespaces: tuple[str, ...] = ("*",)
    also: tuple["Scope", ...] = ()
    within: "Scope | None" = None
    granted: Granted | None = None
    cluster_labels: str = ""
    labelled: frozenset[str] | None = None

    @property
    def reaches_all_clusters(self) -> bool:
        everywhere = self._is_free and (self.within is None or self.within.reaches_all_clusters)
        return everywhere or any(other.reaches_all_clusters for other in self.also)

    @property
    def _is_free(self) -> bool:
        """Whether nothing of its own keeps it from any cluster."""
        return "*" in self.clusters and not self.cluster_labels

    @property
    def goes_by_labels(self) -> bool:
        """Whether labels decide what it reaches, so that it has to be resolved."""
        parts = self.also if self.within is None else (*self.also, self.within)
        return bool(self.cluster_labels) or any(part.goes_by_labels for part in parts)

    def resolve(self, labels: Mapping[str, Mapping[str, str]]) -> "Scope":
        """The same for the labels that all clusters have now."""
        labelled = None
        if self.cluster_labels:
            terms = parse_requirements(self.cluster_labels)
            labelled = frozenset(name for name, own in labels.items() if all(term.matches(own) for term in terms))
        within = None if self.within is None else self.within.resolve(labels)
        also = tuple(other.resolve(labels) for other in self.also)
        return replace(self, labelled=labelled, within=within, also=also)

    @property
    def reaches_all_namespaces(self) -> bool:
        """Whether all of each cluster in reach is."""
        everywhere = "*" in self.namespaces and (self.within is None or self.within.reaches_all_namespaces)
        return everywhere and all(other.reaches_all_namespaces for other in self.also)

    def sees_cluster(self, name: str) -> bool:
        return self.names_cluster(name) and (self.granted is None or self.granted.reaches(name))

    def sees_namespace(self, cluster: str, namespace: str, resource: str, verb: Verb = "list", name: str = "") -> bool:
        """Whether objects of a kind in the namespace of that cluster are within reach: the named one, or all."""
        return self.names_namespace(cluster, namespace) and (
            self.granted is None or self.granted.allows(cluster, verb, resource, namespace, name)
        )

    def sees_all_namespaces(self, cluster: str, resource: str, verb: Verb = "list", name: str = "") -> bool:
        """Whether the scope reaches a kind in all of the cluster, as cluster-wide objects such as nodes take it."""
        return self.names_all_namespaces(cluster) and (
            self.granted is None or self.granted.allows(cluster, verb, resource, None, name)
        )

    def names_cluster(self, name: str) -> bool:
        """Whether the cluster is in reach by the patterns; its own word is not asked, here and below."""
        return self._reaches(name) or any(other.names_cluster(name) for other in self.also)

    def names_namespace(self, cluster: str, namespace: str) -> bool:
        if (
            self._reaches(cluster)
            and ("*" in self.namespaces or any(fnmatchcase(namespace, pattern) for pattern in self.namespaces))
            and (self.within is None or self.within.names_namespace(cluster, namespace))
        ):
            return True
        return any(other.names_namespace(cluster, namespace) for other in self.also)

    def names_all_namespaces(self, cluster: str) -> bool:
        if (
            "*" in self.namespaces
            and self._reaches(cluster)
            and (self.within is None or self.within.names_all_namespaces(cluster))
        ):
            return True
        return any(other.names_all_namespaces(cluster) for other in self.also)

    def narrow(self, to: "Scope") -> "Scope":
        """What both reach, with the lesser of their roles; `to` has neither `also` nor `within`."""
        of_clusters = self if to._is_free else to  # noqa: SLF001 - another one of its kind
        both_limit = not (self._is_free or to._is_free)  # noqa: SLF001 - as above
        both_limit |= "*" not in self.namespaces and "*" not in to.namespaces
        return Scope(
            min(self.role, to.role),
            of_clusters.clusters,
            self.namespaces if "*" in to.namespaces else to.namespaces,
            tuple(other.narrow(to) for other in self.also),
            replace(self, also=()) if both_limit else self.within,
            cluster_labels=of_clusters.cluster_labels,
            labelled=of_clusters.labelled,
        )

    def _reaches(self, cluster: str) -> bool:
        if self.cluster_labels and (self.labelled is None or cluster not in self.labelled):
            return False
        matches = "*" in self.clusters or any(fnmatchcase(cluster, pattern) for pattern in self.clusters)
        return matches and (self.within is None or self.within.names_cluster(cluster))


NOBODY = Scope(Role.VIEW, (), ())
"""Of who is not known."""

EVERYTHING = Scope(Role.ADMIN)
"""The server's own scope, for its background work; never given to a request."""
