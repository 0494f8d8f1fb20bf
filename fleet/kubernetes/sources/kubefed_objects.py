"""The objects in the host cluster that say which members there are.

Source: core.kubefed.io/v1beta1 KubeFedCluster, openmcp.k8s.io/v1alpha1 OpenMCPCluster, core/v1 Secret. The first two
are custom resources whose fields may be of any type, so they are taken as they come and checked where they are used.
"""

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec
from msgspec import Struct

from fleet.kubernetes.codec.codec import Codec
from fleet.kubernetes.codec.wire import Named
from fleet.kubernetes.sources.custom_objects import as_mapping, as_text, decode_custom
from fleet.model.objects import Pairs, PlatformInfo


class KubeFedCluster(Struct, frozen=True):
    """`name` and labels, and `spec` and `status` as they are."""

    name: str
    spec: Mapping[str, Any]
    status: Mapping[str, Any]
    labels: Pairs = ()


class Secret(Struct, frozen=True):
    """`data` is still base64."""

    name: str
    data: Mapping[str, Any]


class OpenMCPCluster(Struct, frozen=True):
    """What the platform says of a cluster; its kubeconfig is never read."""

    name: str
    info: PlatformInfo


class _WireSecret(Struct):
    metadata: Named
    data: Any = None


class _WirePlatform(Struct, rename="camel"):
    cluster_platform_type: Any = None
    join_status: Any = None
    node_info: Any = None


class _WireOpenMCP(Struct):
    metadata: Named
    spec: _WirePlatform = msgspec.field(default_factory=_WirePlatform)


_SECRET = msgspec.json.Decoder(_WireSecret)
_OPENMCP = msgspec.json.Decoder(_WireOpenMCP)


def kubefed_clusters(namespace: str) -> Codec[KubeFedCluster]:
    path = f"/apis/core.kubefed.io/v1beta1/namespaces/{quote(namespace, safe='')}/kubefedclusters"
    return Codec("KubeFedCluster", path, _build_kubefed_cluster)


def secrets(namespace: str) -> Codec[Secret]:
    return Codec("Secret", f"/api/v1/namespaces/{quote(namespace, safe='')}/secrets", _build_secret)


def openmcp_clusters(namespace: str) -> Codec[OpenMCPCluster]:
    path = f"/apis/openmcp.k8s.io/v1alpha1/namespaces/{quote(namespace, safe='')}/openmcpclusters"
    return Codec("OpenMCPCluster", path, _build_openmcp_cluster)


def platform_info(cluster: KubeFedCluster | None, platform: OpenMCPCluster | None) -> PlatformInfo:
    """What both objects say together: the platform's own word comes first, KubeFed's probe fills what it leaves out."""
    stated = platform.info if platform is not None else PlatformInfo()
    if cluster is None:
        return stated
    zones = cluster.status.get("zones")
    probed = tuple(zone for zone in zones if isinstance(zone, str) and zone) if isinstance(zones, list) else ()
    return PlatformInfo(
        platform=stated.platform,
        region=stated.region or as_text(cluster.status.get("region")),
        zones=stated.zones or probed,
        join_status=stated.join_status,
    )


def _build_kubefed_cluster(raw: bytes, cluster: str) -> KubeFedCluster:
    del cluster
    custom = decode_custom(raw)
    return KubeFedCluster(custom.name, custom.spec, custom.status, custom.labels)


def _build_secret(raw: bytes, cluster: str) -> Secret:
    del cluster
    wire = _SECRET.decode(raw)
    return Secret(wire.metadata.name, as_mapping(wire.data))


def _build_openmcp_cluster(raw: bytes, cluster: str) -> OpenMCPCluster:
    del cluster
    wire = _OPENMCP.decode(raw)
    place = as_mapping(wire.spec.node_info)
    zones = as_text(place.get("zone")) or ""
    return OpenMCPCluster(
        wire.metadata.name,
        PlatformInfo(
            platform=as_text(wire.spec.cluster_platform_type),
            region=as_text(place.get("region")),
            zones=tuple(zone.strip() for zone in zones.split(",") if zone.strip()),
            join_status=as_text(wire.spec.join_status),
        ),
    )
