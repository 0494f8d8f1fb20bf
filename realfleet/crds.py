"""The platform's custom resources as far as this server reads them, in the CRD version that today's API servers take.

The originals are `apiextensions.k8s.io/v1beta1`, gone since Kubernetes 1.22; these keep any field.
"""

from typing import Any

from realfleet.client import KubeClient, KubeError
from realfleet.processes import Servers

CRDS_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_ESTABLISHED_TIMEOUT = 120.0


def _build_crd(group: str, version: str, kind: str, plural: str, short: tuple[str, ...] = ()) -> dict[str, Any]:
    keep = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {
            "name": f"{plural}.{group}",
            # Groups below k8s.io are protected: without this the API server does not serve them.
            "annotations": {"api-approved.kubernetes.io": "unapproved, a copy for tests"},
        },
        "spec": {
            "group": group,
            "scope": "Namespaced",
            "names": {
                "kind": kind,
                "listKind": f"{kind}List",
                "plural": plural,
                "singular": kind.lower(),
                "shortNames": list(short),
            },
            "versions": [
                {
                    "name": version,
                    "served": True,
                    "storage": True,
                    "subresources": {"status": {}},
                    "schema": {"openAPIV3Schema": {"type": "object", "properties": {"spec": keep, "status": keep}}},
                }
            ],
        },
    }


KUBEFED_CLUSTER = _build_crd("core.kubefed.io", "v1beta1", "KubeFedCluster", "kubefedclusters")
OPENMCP_CLUSTER = _build_crd("openmcp.k8s.io", "v1alpha1", "OpenMCPCluster", "openmcpclusters", ("oc",))
COLLECTIONS = ("/apis/core.kubefed.io/v1beta1/kubefedclusters", "/apis/openmcp.k8s.io/v1alpha1/openmcpclusters")


def install_crds(servers: Servers, client: KubeClient) -> None:
    """Creates both and waits until their collections are served. Raises FleetError, KubeError."""
    for crd in (KUBEFED_CLUSTER, OPENMCP_CLUSTER):
        client.create(CRDS_PATH, crd)
    servers.wait_until(lambda: _are_served(client), "the platform's resources are served", _ESTABLISHED_TIMEOUT)


def _are_served(client: KubeClient) -> bool:
    try:
        for path in COLLECTIONS:
            client.get(path)
    except KubeError:
        return False
    return True
