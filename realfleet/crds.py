"""Custom resources as far as this server reads them, in the CRD version that today's API servers take.

The platform's originals are `apiextensions.k8s.io/v1beta1`, gone since Kubernetes 1.22; these keep any field. That of
ClusterProfiles has the fields and checks of kubernetes-sigs/cluster-inventory-api, in words of our own; those of the
Prometheus Operator have the fields that the chart writes, so that strict validation finds any other.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from realfleet.client import KubeClient, KubeError
from realfleet.processes import Servers

CRDS_PATH = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_ESTABLISHED_TIMEOUT = 120.0
_ANY = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
_TEXT = {"type": "string"}
_DURATION = _TEXT | {"pattern": r"^[0-9]+(ms|s|m|h)$"}


def _build_crd(
    group: str,
    version: str,
    kind: str,
    plural: str,
    short: tuple[str, ...] = (),
    schema: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    schema = schema or {"type": "object", "properties": {"spec": _ANY, "status": _ANY}}
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
                    "schema": {"openAPIV3Schema": schema},
                }
            ],
        },
    }


def _fields(required: str = "", **properties: Any) -> dict[str, Any]:
    """An object of these properties, of which those named in `required` must be there."""
    named = {name.replace("_", "-"): schema for name, schema in properties.items()}
    return {"type": "object", "properties": named} | ({"required": required.split()} if required else {})


def _list(item: dict[str, Any], key: str | None = None) -> dict[str, Any]:
    """A list, by a key a list that is a map."""
    by_key = {"x-kubernetes-list-type": "map", "x-kubernetes-list-map-keys": [key]} if key else {}
    return {"type": "array", "items": item} | by_key


def _build_profile_schema() -> dict[str, Any]:
    time, flag = _TEXT | {"format": "date-time"}, {"type": "boolean"}
    cluster = _fields(
        "server",
        server=_TEXT,
        certificate_authority=_TEXT,
        certificate_authority_data=_TEXT | {"format": "byte"},
        disable_compression=flag,
        extensions=_list(_fields("extension name", name=_TEXT, extension=_ANY)),
        insecure_skip_tls_verify=flag,
        proxy_url=_TEXT,
        tls_server_name=_TEXT,
    )
    provider = _fields("name", name=_TEXT, cluster=cluster)
    condition = _fields(
        "lastTransitionTime message reason status type",
        lastTransitionTime=time,
        message=_TEXT | {"maxLength": 32768},
        observedGeneration={"type": "integer", "format": "int64", "minimum": 0},
        reason=_TEXT | {"minLength": 1, "maxLength": 1024},
        status=_TEXT | {"enum": ["True", "False", "Unknown"]},
        type=_TEXT | {"maxLength": 316},
    )
    name, value = (_TEXT | {"minLength": 1, "maxLength": most} for most in (253, 1024))
    unchanging = {"x-kubernetes-validations": [{"rule": "self == oldSelf", "message": "the manager stays the same"}]}
    return _fields(
        "spec",
        spec=_fields("clusterManager", displayName=_TEXT, clusterManager=_fields("name", name=_TEXT) | unchanging),
        status=_fields(
            accessProviders=_list(provider, "name"),
            credentialProviders=_list(provider, "name"),
            conditions=_list(condition),
            properties=_list(_fields("name value", name=name, value=value, lastObservedTime=time)),
            version=_fields(kubernetes=_TEXT),
        ),
    )


KUBEFED_CLUSTER = _build_crd("core.kubefed.io", "v1beta1", "KubeFedCluster", "kubefedclusters")
OPENMCP_CLUSTER = _build_crd("openmcp.k8s.io", "v1alpha1", "OpenMCPCluster", "openmcpclusters", ("oc",))
CLUSTER_PROFILE = _build_crd(
    "multicluster.x-k8s.io", "v1alpha1", "ClusterProfile", "clusterprofiles", schema=_build_profile_schema()
)
_LABELS = {"type": "object", "additionalProperties": _TEXT}
SERVICE_MONITOR = _build_crd(
    "monitoring.coreos.com",
    "v1",
    "ServiceMonitor",
    "servicemonitors",
    schema=_fields(
        "spec",
        spec=_fields(
            "selector endpoints",
            selector=_fields(matchLabels=_LABELS),
            endpoints=_list(_fields(port=_TEXT, interval=_DURATION, honorLabels={"type": "boolean"})),
        ),
    ),
)
_RULE = {
    "type": "object",
    "required": ["expr"],
    "properties": {
        **dict.fromkeys(("alert", "record", "expr"), _TEXT),
        **dict.fromkeys(("for", "keep_firing_for"), _DURATION),
        **dict.fromkeys(("labels", "annotations"), _LABELS),
    },
}
_RULES = _fields("name", name=_TEXT | {"minLength": 1}, interval=_DURATION, rules=_list(_RULE))
PROMETHEUS_RULE = _build_crd(
    "monitoring.coreos.com",
    "v1",
    "PrometheusRule",
    "prometheusrules",
    schema=_fields(spec=_fields(groups=_list(_RULES, "name"))),
)
# A `metrics.k8s.io` of which nothing is measured: who asks is authorized as everywhere.
METRICS = tuple(
    _build_crd("metrics.k8s.io", "v1beta1", kind, plural)
    for kind, plural in (("NodeMetrics", "nodes"), ("PodMetrics", "pods"))
)


def install_crds(
    servers: Servers, client: KubeClient, crds: Sequence[Mapping[str, Any]] = (KUBEFED_CLUSTER, OPENMCP_CLUSTER)
) -> None:
    """Creates them and waits until their collections are served. Raises FleetError, KubeError."""
    for crd in crds:
        client.create(CRDS_PATH, dict(crd))
    collections = [
        f"/apis/{crd['spec']['group']}/{crd['spec']['versions'][0]['name']}/{crd['spec']['names']['plural']}"
        for crd in crds
    ]
    servers.wait_until(lambda: _are_served(client, collections), "custom resources are served", _ESTABLISHED_TIMEOUT)


def _are_served(client: KubeClient, collections: Sequence[str]) -> bool:
    try:
        for path in collections:
            client.get(path)
    except KubeError:
        return False
    return True
