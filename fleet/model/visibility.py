"""Who may see which cluster and namespace, and what a caller may do: authorization as the federation understands it.

Every read of the federation takes a `Scope`. Who the caller is, and which role and reach a user, group or token was
granted, is the business of `auth`.
"""

import enum
from fnmatch import fnmatchcase

from msgspec import Struct
from msgspec.structs import replace

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
    """

    role: Role
    clusters: tuple[str, ...] = ("*",)
    namespaces: tuple[str, ...] = ("*",)
    also: tuple["Scope", ...] = ()
    within: "Scope | None" = None
    granted: Granted | None = None

    @property
    def reaches_all_clusters(self) -> bool:
        everywhere = "*" in self.clusters and (self.within is None or self.within.reaches_all_clusters)
        return everywhere or any(other.reaches_all_clusters for other in self.also)

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
        pairs = ((self.clusters, to.clusters), (self.namespaces, to.namespaces))
        clusters, namespaces = (own if "*" in other else other for own, other in pairs)
        both_limit = any("*" not in own and "*" not in other for own, other in pairs)
        return Scope(
            min(self.role, to.role),
            clusters,
            namespaces,
            tuple(other.narrow(to) for other in self.also),
            replace(self, also=()) if both_limit else self.within,
        )

    def _reaches(self, cluster: str) -> bool:
        matches = "*" in self.clusters or any(fnmatchcase(cluster, pattern) for pattern in self.clusters)
        return matches and (self.within is None or self.within.names_cluster(cluster))


NOBODY = Scope(Role.VIEW, (), ())
"""Of who is not known."""

EVERYTHING = Scope(Role.ADMIN)
"""The server's own scope, for its background work; never given to a request."""
