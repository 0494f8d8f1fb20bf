"""What a ClusterProfile says of a cluster.

Source: `multicluster.x-k8s.io/v1alpha1` of kubernetes-sigs/cluster-inventory-api (KEP-4322, KEP-5339). v1alpha2, which
is served beside it, has no `status.credentialProviders`.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from msgspec import Struct

from fleet.kubernetes.codec.codec import Codec
from fleet.kubernetes.sources.custom_objects import as_mapping, as_mappings, as_text, condition_says, decode_custom
from fleet.model.objects import Pairs, PlatformInfo

_GROUP = "/apis/multicluster.x-k8s.io/v1alpha1"
_MANAGER_LABEL = "x-k8s.io/cluster-manager"
# KEP-2149 has names for the first two, Open Cluster Management its claims.
_REGION = ("topology.kubernetes.io/region", "region.open-cluster-management.io")
_ZONE = ("topology.kubernetes.io/zone",)
_PLATFORM = ("platform.open-cluster-management.io",)


class ClusterProfile(Struct, frozen=True):
    """`cluster` is its name. `labels` are those of the object beside its properties, which they win over."""

    namespace: str
    cluster: str
    created: str
    manager: str | None
    labels: Pairs
    info: PlatformInfo
    access_providers: Mapping[str, Mapping[str, Any]]
    offline: str | None = None
    problem: str | None = None

    @property
    def name(self) -> str:
        """Its namespace and name."""
        return f"{self.namespace}/{self.cluster}"


def cluster_profiles(namespace: str | None) -> Codec[ClusterProfile]:
    """Those of a namespace, or of all."""
    within = "" if namespace is None else f"/namespaces/{quote(namespace, safe='')}"
    return Codec("ClusterProfile", f"{_GROUP}{within}/clusterprofiles", _build_profile)


def _build_profile(raw: bytes, cluster: str) -> ClusterProfile:
    del cluster
    custom = decode_custom(raw)
    manager = as_text(as_mapping(custom.spec.get("clusterManager")).get("name"))
    properties = {
        name: value
        for entry in as_mappings(custom.status.get("properties"))
        if (name := as_text(entry.get("name"))) and (value := as_text(entry.get("value")))
    }
    named = {_MANAGER_LABEL: manager} if manager else {}
    zone = _first(properties, _ZONE)
    return ClusterProfile(
        custom.namespace,
        custom.name,
        custom.created,
        manager,
        tuple(sorted({**named, **properties, **dict(custom.labels)}.items())),
        PlatformInfo(_first(properties, _PLATFORM), _first(properties, _REGION), (zone,) if zone else ()),
        {
            name: as_mapping(entry.get("cluster"))
            # What is named in both counts as the newer field has it.
            for field in ("credentialProviders", "accessProviders")
            for entry in as_mappings(custom.status.get(field))
            if (name := as_text(entry.get("name")))
        },
        _find_offline(custom.status),
        custom.problem,
    )


def _find_offline(status: Mapping[str, Any]) -> str | None:
    """The manager's verdict: what it says of a condition that is False. Unknown is none: the cluster is asked."""
    for condition in ("Joined", "ControlPlaneHealthy"):
        said = condition_says(status, condition, "False")
        if said is not None:
            return f"{condition} is False" + (said and f": {said}")
    return None


def _first(properties: Mapping[str, str], names: tuple[str, ...]) -> str | None:
    return next((properties[name] for name in names if name in properties), None)
