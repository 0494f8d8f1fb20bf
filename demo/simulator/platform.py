"""What the host of the federation stores about its members: KubeFedClusters, their Secrets, OpenMCPClusters."""

import base64
from typing import Any

import orjson

from demo.simulator.kinds import KUBEFEDCLUSTERS, OPENMCPCLUSTERS, SECRETS
from demo.simulator.naming import build_suffix, build_uid, format_time
from demo.simulator.store import Entry, build_entry

FEDERATION_NAMESPACE = "kube-federation-system"
PLATFORM_NAMESPACE = "openmcp"

SPARE_NAME = "spare"
SPARE_URL = "https://192.0.2.10:6443"
"""A cluster that is registered and has not joined: an address for documents, which nobody has."""

REGIONS = (
    ("KR", "Seoul", "On-Premise"),
    ("JP", "Tokyo", "GKE"),
    ("GB", "England", "EKS"),
    ("NO", "Oslo", "AKS"),
    ("US", "Virginia", "EKS"),
    ("DE", "Hesse", "GKE"),
)
"""Region, zone and platform of member number 1, 2 and so on, around."""


def secret_name(member: str) -> str:
    """The name of the Secret that holds a member's token, on the host."""
    return f"{member}-{build_suffix('secret', member)}"


def build_token_secret(member: str, token: str) -> Entry:
    name = secret_name(member)
    members = {
        "metadata": _metadata(FEDERATION_NAMESPACE, name),
        "data": {"token": base64.b64encode(token.encode()).decode()},
        "type": "Opaque",
    }
    return build_entry(SECRETS, members)


def build_kubefed_cluster(member: str, number: int, url: str, authority: bytes | None) -> Entry:
    """The KubeFedCluster of a member that is well, as the federation sees it. `authority` in PEM, None without TLS."""
    trusted = {"caBundle": base64.b64encode(authority).decode()} if authority else {}
    region, zone, platform = REGIONS[(number - 1) % len(REGIONS)]
    now = format_time()
    env = "production" if number % 2 else "staging"
    labels = {"env": env, "platform": platform.lower(), "region": region.lower()}
    members = {
        "metadata": _metadata(FEDERATION_NAMESPACE, member, labels=labels, generation=1),
        "spec": {"apiEndpoint": url, **trusted, "secretRef": {"name": secret_name(member)}},
        "status": {
            "conditions": [
                {
                    "lastProbeTime": now,
                    "lastTransitionTime": now,
                    "message": "/healthz responded with ok",
                    "reason": "ClusterReady",
                    "status": "True",
                    "type": "Ready",
                }
            ],
            "region": region,
            "zones": [zone],
        },
    }
    return build_entry(KUBEFEDCLUSTERS, members)


def build_openmcp_cluster(member: str, number: int, url: str, token: str, authority: bytes | None) -> Entry:
    """The OpenMCPCluster of a member that has joined."""
    return build_entry(OPENMCPCLUSTERS, _openmcp_cluster(member, number, url, token, authority))


def _openmcp_cluster(member: str, number: int, url: str, token: str, authority: bytes | None) -> dict[str, Any]:
    region, zone, platform = REGIONS[(number - 1) % len(REGIONS)]
    kubeconfig = orjson.dumps(build_kubeconfig({member: (url, token)}, member, authority))
    return {
        "metadata": _metadata(PLATFORM_NAMESPACE, member, generation=1),
        "spec": {
            "clusterNetworkLocation": "external",
            "clusterPlatformType": platform,
            "joinStatus": "JOIN",
            "joinStatusTime": format_time(),
            "kubeconfigInfo": base64.b64encode(kubeconfig).decode(),
            "metalLBRange": {"addressFrom": f"10.{number % 250}.250.1", "addressTo": f"10.{number % 250}.250.20"},
            "nodeInfo": {"region": region, "zone": zone},
            "serverIP": url.partition("://")[2].partition(":")[0],
            "unJoinStatusTime": "0001-01-01T00:00:00Z",
        },
        "status": {},
    }


def build_spare_cluster(number: int, authority: bytes | None) -> Entry:
    """The OpenMCPCluster of a cluster that is known and has not joined. Nobody answers at its address."""
    members = _openmcp_cluster(SPARE_NAME, number, SPARE_URL, "no token, since nobody is there", authority)
    members["spec"] |= {"joinStatus": "UNJOIN", "joinStatusTime": "0001-01-01T00:00:00Z", "metalLBRange": {}}
    return build_entry(OPENMCPCLUSTERS, members)


def build_kubeconfig(clusters: dict[str, tuple[str, str]], current: str, authority: bytes | None) -> dict[str, Any]:
    """A kubeconfig (as JSON members, which is YAML too) with a context for each name; values are URL and token."""
    trusted = {"certificate-authority-data": base64.b64encode(authority).decode()} if authority else {}
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": current,
        "clusters": [{"name": name, "cluster": {"server": url, **trusted}} for name, (url, _) in clusters.items()],
        "users": [{"name": name, "user": {"token": token}} for name, (_, token) in clusters.items()],
        "contexts": [{"name": name, "context": {"cluster": name, "user": name}} for name in clusters],
    }


def _metadata(namespace: str, name: str, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "namespace": namespace,
        "uid": build_uid("platform", namespace, name),
        "creationTimestamp": format_time(),
        **more,
    }
