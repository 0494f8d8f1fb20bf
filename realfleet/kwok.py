"""A member's nodes: kwok plays the kubelet of every node, so that pods run, have addresses, logs, a shell and ports."""

import datetime
import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from realfleet.apiserver import ApiServer
from realfleet.cache import Binaries
from realfleet.processes import Server, Servers

_LOG_LINES = 200


def start_kwok(
    servers: Servers,
    binaries: Binaries,
    api: ApiServer,
    kubeconfig: Path,
    port: int,
    kubelets: Iterable[dict[str, Any]] = (),
) -> Server:
    """Starts kwok for all nodes of a cluster; `port` is what the API server calls for logs and exec.

    `kubelets` is further configuration of theirs.
    """
    log_file = container_log_of(servers, api.cluster)
    log_file.write_text(build_container_log(api.cluster))
    config = servers.folder / api.cluster / "kwok.yaml"
    # Each document is JSON, which is YAML too.
    config.write_text("\n---\n".join(json.dumps(document) for document in (*_build_config(log_file), *kubelets)))
    return servers.start(
        f"{api.cluster}-kwok",
        [
            str(binaries.kwok),
            f"--kubeconfig={kubeconfig}",
            f"--config={config}",
            "--manage-all-nodes=true",
            # Without leases the first heartbeat comes after the monitor's grace period: nodes and pods turn unready.
            "--node-lease-duration-seconds=40",
            "--node-ip=127.0.0.1",
            f"--node-port={port}",
            f"--server-address=127.0.0.1:{port}",
            f"--tls-cert-file={api.files.serving_certificate}",
            f"--tls-private-key-file={api.files.serving_key}",
        ],
    )


def container_log_of(servers: Servers, cluster: str) -> Path:
    """The one file that is the log of all containers of a member."""
    return servers.folder / cluster / "container.log"


def build_container_log(cluster: str, lines: int = _LOG_LINES) -> str:
    """A log in the container runtime's format (`TIME STREAM F TEXT`): a line a second, the last one now."""
    now = datetime.datetime.now(datetime.UTC)
    texts = []
    for number in range(1, lines + 1):
        time = now - datetime.timedelta(seconds=lines - number)
        stream = "stderr" if number % 10 == 0 else "stdout"
        texts.append(f"{time:%Y-%m-%dT%H:%M:%S.%f}000Z {stream} F {cluster} request {number} answered\n")
    return "".join(texts)


def _build_config(log_file: Path) -> list[dict[str, Any]]:
    version = "kwok.x-k8s.io/v1alpha1"
    metadata = {"name": "all"}
    return [
        {
            "apiVersion": version,
            "kind": "ClusterLogs",
            "metadata": metadata,
            "spec": {"logs": [{"logsFile": str(log_file), "previousLogsFile": str(log_file), "follow": True}]},
        },
        {
            "apiVersion": version,
            "kind": "ClusterExec",
            "metadata": metadata,
            "spec": {"execs": [{"local": {"envs": [{"name": "REALFLEET", "value": "1"}]}}]},
        },
        {
            "apiVersion": version,
            "kind": "ClusterAttach",
            "metadata": metadata,
            "spec": {"attaches": [{"logsFile": str(log_file)}]},
        },
        {
            "apiVersion": version,
            "kind": "ClusterPortForward",
            "metadata": metadata,
            # Every port of every pod answers what it is sent.
            "spec": {"forwards": [{"command": ["cat"]}]},
        },
    ]
