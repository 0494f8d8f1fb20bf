"""A member's controller manager and scheduler: they turn Deployments into pods on nodes."""

from pathlib import Path

from realfleet.apiserver import ApiServer
from realfleet.cache import Binaries
from realfleet.processes import Server, Servers

# The defaults (20 or 50 a second) would make a few hundred pods a matter of minutes.
_RATE = ("--kube-api-qps=1000", "--kube-api-burst=2000")
# What workloads, volumes, budgets, autoscalers, namespaces and nodes need. The others cost memory and start-up
# time, and have nothing to do here.
_CONTROLLERS = (
    "clusterrole-aggregation-controller",
    "cronjob-controller",
    "daemonset-controller",
    "deployment-controller",
    "disruption-controller",
    "endpointslice-controller",
    "garbage-collector-controller",
    "horizontal-pod-autoscaler-controller",
    "job-controller",
    "namespace-controller",
    "node-lifecycle-controller",
    "persistentvolume-binder-controller",
    "persistentvolume-protection-controller",
    "persistentvolumeclaim-protection-controller",
    "pod-garbage-collector-controller",
    "replicaset-controller",
    "root-ca-certificate-publisher-controller",
    "serviceaccount-controller",
    "serviceaccount-token-controller",
    "statefulset-controller",
)


def start_controllers(servers: Servers, binaries: Binaries, api: ApiServer, kubeconfig: Path) -> tuple[Server, Server]:
    """Starts both for a cluster whose API server is ready."""
    shared = (
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
        "--secure-port=0",
        "--leader-elect=false",
        *_RATE,
    )
    manager = servers.start(
        f"{api.cluster}-controller-manager",
        [
            str(binaries.controlplane),
            "kube-controller-manager",
            *shared,
            f"--controllers={','.join(_CONTROLLERS)}",
            f"--service-account-private-key-file={api.files.service_account_key}",
            f"--root-ca-file={api.files.ca}",
            "--concurrent-deployment-syncs=20",
            "--concurrent-replicaset-syncs=20",
            # A test that pauses the API server for a minute must not find its pods evicted.
            "--node-monitor-grace-period=180s",
            "--horizontal-pod-autoscaler-sync-period=2s",
        ],
    )
    scheduler = servers.start(f"{api.cluster}-scheduler", [str(binaries.controlplane), "kube-scheduler", *shared])
    return manager, scheduler
