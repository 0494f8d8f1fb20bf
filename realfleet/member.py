"""Brings one member up: controllers, nodes, namespaces and Deployments on a ready API server."""

from typing import Any

from realfleet.apiserver import ApiServer, wait_ready
from realfleet.cache import Binaries
from realfleet.client import KubeClient, KubeError
from realfleet.cluster import Cluster
from realfleet.controllers import start_controllers
from realfleet.kwok import start_kwok
from realfleet.membership import Place
from realfleet.metrics_server import annotate_node, build_kubelet_config, start_metrics_server, wait_metrics
from realfleet.processes import Servers
from realfleet.workloads import (
    NAMESPACES,
    NAMESPACES_PATH,
    NODES_PATH,
    build_deployment,
    build_namespace,
    build_node,
    deployments_path,
    share_replicas,
    size_nodes,
)

_NODES_TIMEOUT = 120.0
_RBAC_PATH = "/apis/rbac.authorization.k8s.io/v1"


def start_member(
    servers: Servers,
    binaries: Binaries,
    api: ApiServer,
    number: int,
    place: Place,
    pods: int,
    nodes: int,
    port: int,
    metrics_port: int | None = None,
) -> Cluster:
    """Member `number`, counted from 1, with its Deployments created; `Cluster.wait_whole` waits for their pods.

    With a `metrics_port` a metrics-server listens there. Raises FleetError, KubeError.
    """
    kubeconfig = api.write_kubeconfig(servers.folder / api.cluster / "kubeconfig")
    wait_ready(servers, api)
    start_controllers(servers, binaries, api, kubeconfig)
    start_kwok(servers, binaries, api, kubeconfig, port, build_kubelet_config() if metrics_port else ())
    size = size_nodes(pods, nodes)
    for position in range(1, nodes + 1):
        node = build_node(number, position, size, place)
        api.client.create(NODES_PATH, annotate_node(node) if metrics_port else node)
    for name in NAMESPACES:
        _create_once(api.client, NAMESPACES_PATH, build_namespace(name))
    create_viewers(api.client)
    # Pods made earlier would be refused, or wait in the scheduler's back-off.
    servers.wait_until(lambda: _takes_pods(api.client, nodes), f"{api.cluster}'s nodes take pods", _NODES_TIMEOUT)
    replicas = {workload: count for workload, count in share_replicas(pods).items() if count}
    for workload, count in replicas.items():
        api.client.create(deployments_path(workload.namespace), build_deployment(workload, count))
    cluster = Cluster(
        name=api.cluster,
        place=place,
        kubeconfig=kubeconfig,
        api=api,
        servers=servers,
        kubectl_program=binaries.kubectl,
        replicas={(workload.namespace, workload.name): count for workload, count in replicas.items()},
    )
    if metrics_port is not None:
        start_metrics_server(servers, cluster, metrics_port)
        wait_metrics(servers, cluster, nodes)
    return cluster


def create_viewers(client: KubeClient) -> None:
    """Gives the group of the viewer's token (`realfleet.apiserver.Tokens`) its rights. Raises KubeError.

    Not by the ClusterRole `view`: that one is empty where no controller manager fills it.
    """
    reads = ["get", "list", "watch"]
    rules = [
        {"apiGroups": [""], "resources": ["pods", "pods/log", "services", "namespaces", "events"], "verbs": reads},
        {"apiGroups": ["apps"], "resources": ["deployments", "replicasets"], "verbs": reads},
    ]
    group = "rbac.authorization.k8s.io"
    head = {"apiVersion": f"{group}/v1", "metadata": {"name": "viewers"}}
    client.create(f"{_RBAC_PATH}/clusterroles", head | {"kind": "ClusterRole", "rules": rules})
    binding = {
        "kind": "ClusterRoleBinding",
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": "viewers"},
        "subjects": [{"apiGroup": group, "kind": "Group", "name": "viewers"}],
    }
    client.create(f"{_RBAC_PATH}/clusterrolebindings", head | binding)


def _create_once(client: KubeClient, path: str, manifest: dict[str, Any]) -> None:
    """Creates what may be there already, as the namespace `default` may."""
    try:
        client.create(path, manifest)
    except KubeError as error:
        if error.status != 409:
            raise


def _takes_pods(client: KubeClient, nodes: int) -> bool:
    """Nodes ready and without taints, and in each namespace the service account that pods get."""
    try:
        ready = [node for node in client.get(NODES_PATH)["items"] if _is_schedulable(node)]
        for namespace in NAMESPACES:
            client.get(f"{NAMESPACES_PATH}/{namespace}/serviceaccounts/default")
    except KubeError:
        return False
    return len(ready) == nodes


def _is_schedulable(node: dict[str, Any]) -> bool:
    conditions = node["status"].get("conditions", [])
    ready = any(condition["type"] == "Ready" and condition["status"] == "True" for condition in conditions)
    return ready and not node["spec"].get("taints")
