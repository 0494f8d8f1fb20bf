"""Who may see which cluster and namespace, and what a caller may do: authorization as the federation understands it.

Every read of the federation takes a `Scope`. Who the caller is, and which role and reach a user, group or token was
granted, is the business of `auth`.
"""

import enum
from fnmatch import fnmatchcase

from msgspec import Struct
from msgspec.structs import replace


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
    """

    role: Role
    clusters: tuple[str, ...] = ("*",)
    namespaces: tuple[str, ...] = ("*",)
    also: tuple["Scope", ...] = ()
    within: "Scope | None" = None

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
        return self._reaches(name) or any(other.sees_cluster(name) for other in self.also)

    def sees_namespace(self, cluster: str, namespace: str) -> bool:
        """Whether the namespace of that cluster is within reach."""
        if (
            self._reaches(cluster)
            and ("*" in self.namespaces or any(fnmatchcase(namespace, pattern) for pattern in self.namespaces))
            and (self.within is None or self.within.sees_namespace(cluster, namespace))
        ):
            return True
        return any(other.sees_namespace(cluster, namespace) for other in self.also)

    def sees_all_namespaces(self, cluster: str) -> bool:
        """Whether the scope reaches all of the cluster, cluster-wide objects such as nodes included."""
        if (
            "*" in self.namespaces
            and self._reaches(cluster)
            and (self.within is None or self.within.sees_all_namespaces(cluster))
        ):
            return True
        return any(other.sees_all_namespaces(cluster) for other in self.also)

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
        return matches and (self.within is None or self.within.sees_cluster(cluster))


EVERYTHING = Scope(Role.ADMIN)
"""The server's own scope, for its background work; never given to a request."""
