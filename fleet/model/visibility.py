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
    """Role and reach. `clusters` and `namespaces` are shell patterns, matched case-sensitively."""

    role: Role
    clusters: tuple[str, ...] = ("*",)
    namespaces: tuple[str, ...] = ("*",)

    def sees_cluster(self, name: str) -> bool:
        return "*" in self.clusters or any(fnmatchcase(name, pattern) for pattern in self.clusters)

    def sees_namespace(self, cluster: str, namespace: str) -> bool:
        """Whether the namespace of that cluster is within reach."""
        if not self.sees_cluster(cluster):
            return False
        return "*" in self.namespaces or any(fnmatchcase(namespace, pattern) for pattern in self.namespaces)

    def sees_all_namespaces(self, cluster: str) -> bool:
        """Whether the scope reaches all of the cluster, cluster-wide objects such as nodes included."""
        return "*" in self.namespaces and ("*" in self.clusters or self.sees_cluster(cluster))


EVERYTHING = Scope(Role.ADMIN)
"""The server's own scope, for its background work; never given to a request."""
