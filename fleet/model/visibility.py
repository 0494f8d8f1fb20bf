"""Who may see which cluster and namespace, and what a caller may do: authorization as the federation understands it.

Every read of the federation takes a `Scope`. Who the caller is, and which role and reach a user, group or token was
granted, is the business of `auth`.
"""

import enum
from fnmatch import fnmatchcase

from msgspec import Struct


class Role(enum.IntEnum):
    """What a scope allows: each role includes those before it.

    VIEW reads, but no Secrets; EDIT also writes, reads logs and runs commands; ADMIN does anything.
    """

    VIEW = 1
    EDIT = 2
    ADMIN = 3


class Scope(Struct, frozen=True, gc=False):
    """Role and reach. `clusters` and `namespaces` are shell patterns, matched case-sensitively.

    What `also` reaches, which was granted beside it, is in reach too; each with a role and patterns of its own.
    """

    role: Role
    clusters: tuple[str, ...] = ("*",)
    namespaces: tuple[str, ...] = ("*",)
    also: tuple["Scope", ...] = ()

    def sees_cluster(self, name: str) -> bool:
        return self._reaches(name) or any(other.sees_cluster(name) for other in self.also)

    def sees_namespace(self, cluster: str, namespace: str) -> bool:
        """Whether the namespace of that cluster is within reach."""
        if self._reaches(cluster) and (
            "*" in self.namespaces or any(fnmatchcase(namespace, pattern) for pattern in self.namespaces)
        ):
            return True
        return any(other.sees_namespace(cluster, namespace) for other in self.also)

    def sees_all_namespaces(self, cluster: str) -> bool:
        """Whether the scope reaches all of the cluster, cluster-wide objects such as nodes included."""
        return ("*" in self.namespaces and self._reaches(cluster)) or any(
            other.sees_all_namespaces(cluster) for other in self.also
        )

    def _reaches(self, cluster: str) -> bool:
        return "*" in self.clusters or any(fnmatchcase(cluster, pattern) for pattern in self.clusters)


EVERYTHING = Scope(Role.ADMIN)
"""The server's own scope, for its background work; never given to a request."""
