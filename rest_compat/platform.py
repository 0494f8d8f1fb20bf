"""What the platform keeps in its host cluster about the clusters that may join it, as the legacy routes use it."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from fleet.model.errors import ClusterAnswerInvalid, ClusterError
from fleet.ports import Answer

HOST_CLUSTER = "openmcp"
"""What the platform calls its host cluster, and what an empty `clustername` means to clients that never set it."""


class PlatformOptions(Struct, frozen=True):
    """`namespace` is where OpenMCPClusters are; `join` lets `/join` and `/joinCloud` create them.

    `timeout` bounds a call to the host or to a cluster that is handed in, in seconds.
    """

    namespace: str = HOST_CLUSTER
    join: bool = False
    timeout: float = 5.0

    @property
    def path(self) -> str:
        """Where the host serves OpenMCPClusters."""
        return f"/apis/openmcp.k8s.io/v1alpha1/namespaces/{quote(self.namespace, safe='')}/openmcpclusters"


def load_content(answer: Answer) -> Mapping[str, Any]:
    """The object of a whole answer of the host. Raises ClusterError for an error, or for what is no object."""
    try:
        content = json.loads(answer.body)
    except (ValueError, RecursionError):
        content = None
    if answer.status >= 400:
        said = content.get("message") if isinstance(content, dict) else None
        text = str(said or f"it answered {answer.status}")[:500]
        raise ClusterError(HOST_CLUSTER, f"the host cluster {HOST_CLUSTER} refused this server's request: {text}")
    if not isinstance(content, dict):
        raise ClusterAnswerInvalid(HOST_CLUSTER, f"cluster {HOST_CLUSTER}: its answer is not JSON")
    return content
