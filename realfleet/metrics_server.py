"""A member's `metrics.k8s.io`: the real metrics-server behind the API server's aggregation, reading kwok's kubelets.

What a pod uses is what its annotations say: `CPU_ANNOTATION` and `MEMORY_ANNOTATION`, quantities; without them a
thousandth of a core and a mebibyte.
"""

from typing import Any

from realfleet.apiserver import ApiServer
from realfleet.cache import find_metrics_server
from realfleet.client import KubeError
from realfleet.cluster import Cluster
from realfleet.pki import ClusterFiles
from realfleet.processes import Server, Servers

CPU_ANNOTATION = "kwok.x-k8s.io/usage-cpu"
MEMORY_ANNOTATION = "kwok.x-k8s.io/usage-memory"

_GROUP = "metrics.k8s.io"
_PATH_ANNOTATION = "metrics.k8s.io/resource-metrics-path"
_NAMESPACE = "kube-system"
_READY_TIMEOUT = 120.0


def aggregation_flags(files: ClusterFiles) -> tuple[str, ...]:
    """What an API server needs to pass requests on to another one."""
    return (
        f"--requestheader-client-ca-file={files.ca}",
        "--requestheader-allowed-names=front-proxy",
        "--requestheader-username-headers=X-Remote-User",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        f"--proxy-client-cert-file={files.proxy_certificate}",
        f"--proxy-client-key-file={files.proxy_key}",
    )


def annotate_node(node: dict[str, Any]) -> dict[str, Any]:
    """The node, with where its kubelet says what it uses."""
    path = f"/metrics/nodes/{node['metadata']['name']}/metrics/resource"
    return node | {"metadata": node["metadata"] | {"annotations": {_PATH_ANNOTATION: path}}}


def build_kubelet_config() -> list[dict[str, Any]]:
    """What kwok's kubelets are told: a node's resource metrics, and that annotations say what pods use."""
    usage = {
        name: {"expression": f'"{key}" in pod.metadata.annotations ? {_quantity(key)} : Quantity("{least}")'}
        for name, key, least in (("cpu", CPU_ANNOTATION, "1m"), ("memory", MEMORY_ANNOTATION, "1Mi"))
    }
    metrics = [
        _metric(f"{dimension}_{name}", dimension, kind, f"{dimension if dimension == 'node' else 'pod'}.{value}")
        for dimension in ("node", "pod", "container")
        for name, kind, value in (
            ("cpu_usage_seconds_total", "counter", _value("CumulativeUsage", "cpu", dimension)),
            ("memory_working_set_bytes", "gauge", _value("Usage", "memory", dimension)),
        )
    ]
    started = _metric("container_start_time_seconds", "container", "gauge", "pod.SinceSecond()")
    path = "/metrics/nodes/{nodeName}/metrics/resource"
    return [
        _document("ClusterResourceUsage", {"usages": [{"usage": usage}]}),
        _document("Metric", {"path": path, "metrics": [started, *metrics]}),
    ]


def start_metrics_server(servers: Servers, cluster: Cluster, port: int) -> Server:
    """Starts it for a member whose API server has `aggregation_flags`; `wait_metrics` tells when it answers."""
    server = servers.start(
        f"{cluster.name}-metrics-server",
        [
            str(find_metrics_server()),
            f"--kubeconfig={cluster.kubeconfig}",
            f"--authentication-kubeconfig={cluster.kubeconfig}",
            f"--authorization-kubeconfig={cluster.kubeconfig}",
            f"--tls-cert-file={cluster.api.files.serving_certificate}",
            f"--tls-private-key-file={cluster.api.files.serving_key}",
            "--bind-address=127.0.0.1",
            f"--secure-port={port}",
            "--kubelet-insecure-tls",
            "--kubelet-use-node-status-port",
            "--kubelet-preferred-address-types=InternalIP",
            # The shortest that it takes, with a kubelet's timeout below it.
            "--metric-resolution=10s",
            "--kubelet-request-timeout=5s",
        ],
    )
    _register(cluster.api, port)
    return server


def wait_metrics(servers: Servers, cluster: Cluster, nodes: int) -> None:
    """Until all nodes are measured. Raises FleetError."""
    path = f"/apis/{_GROUP}/v1beta1/nodes"

    def are_measured() -> bool:
        try:
            return len(cluster.client.get(path)["items"]) == nodes
        except KubeError:
            return False

    servers.wait_until(are_measured, f"{cluster.name}'s metrics-server answers", _READY_TIMEOUT)


def _register(api: ApiServer, port: int) -> None:
    """By a Service of type ExternalName: EndpointSlices to loopback are refused."""
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": "metrics-server"},
        "spec": {"type": "ExternalName", "externalName": "localhost", "ports": [{"port": port}]},
    }
    api.client.create(f"/api/v1/namespaces/{_NAMESPACE}/services", service)
    registration = {
        "apiVersion": "apiregistration.k8s.io/v1",
        "kind": "APIService",
        "metadata": {"name": f"v1beta1.{_GROUP}"},
        "spec": {
            "service": {"name": "metrics-server", "namespace": _NAMESPACE, "port": port},
            "group": _GROUP,
            "version": "v1beta1",
            # Its certificate is for localhost, and the API server asks for `metrics-server.kube-system.svc`.
            "insecureSkipTLSVerify": True,
            "groupPriorityMinimum": 100,
            "versionPriority": 100,
        },
    }
    api.client.create("/apis/apiregistration.k8s.io/v1/apiservices", registration)


def _document(kind: str, spec: dict[str, Any]) -> dict[str, Any]:
    return {"apiVersion": "kwok.x-k8s.io/v1alpha1", "kind": kind, "metadata": {"name": "measured"}, "spec": spec}


def _quantity(annotation: str) -> str:
    return f'Quantity(pod.metadata.annotations["{annotation}"])'


def _value(function: str, resource: str, dimension: str) -> str:
    of_container = ", container.name" if dimension == "container" else ""
    return f'{function}("{resource}"{of_container})'


def _metric(name: str, dimension: str, kind: str, value: str) -> dict[str, Any]:
    labels = {
        "node": {},
        "pod": {"namespace": "pod.metadata.namespace", "pod": "pod.metadata.name"},
        "container": {
            "namespace": "pod.metadata.namespace",
            "pod": "pod.metadata.name",
            "container": "container.name",
        },
    }[dimension]
    return {
        "name": name,
        "dimension": dimension,
        "kind": kind,
        "labels": [{"name": label, "value": path} for label, path in labels.items()],
        "value": value,
    }
