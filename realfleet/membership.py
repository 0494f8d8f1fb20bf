"""What the platform keeps in its host cluster about a member: a Secret, a KubeFedCluster and an OpenMCPCluster."""

import base64
import datetime
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from realfleet.client import KubeClient
from realfleet.kubeconfig import Access, build_kubeconfig

HOST_NAME = "openmcp"
KUBEFED_NAMESPACE = "kube-federation-system"
PLATFORM_NAMESPACE = "openmcp"

SECRETS_PATH = f"/api/v1/namespaces/{KUBEFED_NAMESPACE}/secrets"
KUBEFED_PATH = f"/apis/core.kubefed.io/v1beta1/namespaces/{KUBEFED_NAMESPACE}/kubefedclusters"
OPENMCP_PATH = f"/apis/openmcp.k8s.io/v1alpha1/namespaces/{PLATFORM_NAMESPACE}/openmcpclusters"


@dataclass(frozen=True)
class Place:
    """Where a member is said to be and for what; region as an ISO country code."""

    platform: str
    region: str
    zones: tuple[str, ...]
    env: str = "production"


_PLACES = (
    Place("On-Premise", "KR", ("Seoul",)),
    Place("GKE", "JP", ("Tokyo", "Osaka"), "staging"),
    Place("EKS", "DE", ("Hesse",)),
    Place("AKS", "US", ("Virginia", "California")),
)


def place_of(number: int) -> Place:
    """The place of member `number`, counted from 1."""
    return _PLACES[(number - 1) % len(_PLACES)]


def register_member(host: KubeClient, access: Access, place: Place) -> None:
    """Creates the three objects, as a join leaves them. Raises KubeError."""
    host.create(SECRETS_PATH, build_secret(access))
    host.create(KUBEFED_PATH, build_kubefed_cluster(access, place))
    host.merge(f"{KUBEFED_PATH}/{access.cluster}/status", {"status": build_healthy_status(place)})
    host.create(OPENMCP_PATH, build_openmcp_cluster(access, place))


def register_spare(host: KubeClient, access: Access, place: Place) -> None:
    """Creates the OpenMCPCluster of a cluster that is known and has not joined. Raises KubeError."""
    manifest = build_openmcp_cluster(access, place)
    manifest["spec"] |= {"joinStatus": "UNJOIN", "joinStatusTime": "0001-01-01T00:00:00Z", "metalLBRange": {}}
    host.create(OPENMCP_PATH, manifest)


def unregister_member(host: KubeClient, cluster: str) -> None:
    """Deletes the three objects. Raises KubeError."""
    host.delete(f"{KUBEFED_PATH}/{cluster}")
    host.delete(f"{SECRETS_PATH}/{secret_name(cluster)}")
    host.delete(f"{OPENMCP_PATH}/{cluster}")


def secret_name(cluster: str) -> str:
    """The name of the Secret that holds a member's token."""
    return f"{cluster}-secret"


def build_secret(access: Access) -> dict[str, Any]:
    """The Secret with the member's bearer token."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": secret_name(access.cluster), "namespace": KUBEFED_NAMESPACE},
        "stringData": {"token": access.token},
    }


def build_kubefed_cluster(access: Access, place: Place) -> dict[str, Any]:
    """The KubeFedCluster, without its status."""
    return {
        "apiVersion": "core.kubefed.io/v1beta1",
        "kind": "KubeFedCluster",
        "metadata": {
            "name": access.cluster,
            "namespace": KUBEFED_NAMESPACE,
            "labels": {"env": place.env, "region": place.region.lower()},
        },
        "spec": {
            "apiEndpoint": access.url,
            "caBundle": base64.b64encode(access.ca_pem).decode(),
            "secretRef": {"name": secret_name(access.cluster)},
        },
    }


def build_healthy_status(place: Place) -> dict[str, Any]:
    """The status kubefed writes of a member whose `/healthz` is ok."""
    now = _now()
    return {
        "conditions": [
            {
                "type": "Ready",
                "status": "True",
                "reason": "ClusterReady",
                "message": "/healthz responded with ok",
                "lastProbeTime": now,
                "lastTransitionTime": now,
            }
        ],
        "region": place.region,
        "zones": list(place.zones),
    }


def build_openmcp_cluster(access: Access, place: Place) -> dict[str, Any]:
    """The OpenMCPCluster of a joined member."""
    return {
        "apiVersion": "openmcp.k8s.io/v1alpha1",
        "kind": "OpenMCPCluster",
        "metadata": {"name": access.cluster, "namespace": PLATFORM_NAMESPACE},
        "spec": {
            "serverIP": urlsplit(access.url).hostname,
            "clusterPlatformType": place.platform,
            "clusterNetworkLocation": "internal",
            "joinStatus": "JOIN",
            "joinStatusTime": _now(),
            "unJoinStatusTime": "0001-01-01T00:00:00Z",
            "nodeInfo": {"region": place.region, "zone": ",".join(place.zones)},
            "metalLBRange": {"addressFrom": "10.0.200.1", "addressTo": "10.0.200.50"},
            "kubeconfigInfo": base64.b64encode(build_kubeconfig([access]).encode()).decode(),
        },
        "status": {},
    }


def _now() -> str:
    return datetime.datetime.now(datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
