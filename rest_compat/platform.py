"""What the server's settings say of clusters that may be joined, as the legacy routes use it."""

from msgspec import Struct

HOST_CLUSTER = "openmcp"
"""What the platform calls its host cluster, and what an empty `clustername` means to clients that never set it."""


class PlatformOptions(Struct, frozen=True):
    """`namespace` is where OpenMCPClusters are; `join` lets `/join` and `/joinCloud` create them."""

    namespace: str = HOST_CLUSTER
    join: bool = False
