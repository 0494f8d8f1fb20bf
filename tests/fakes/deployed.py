"""`serve` as a rendered Deployment starts it: its environment, volumes and read-only root, in a mount namespace."""

import base64
import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from realfleet.cluster import Cluster
from realfleet.ports import list_free_ports
from tests import credentials
from tests.processes import COMMAND, RunningServer, open_server
from tests.required import need

_SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount"


@dataclass(frozen=True)
class Deployed:
    """`api` is the main port's, `ops` the operators'; `environment` is all that the container is given."""

    api: str
    ops: RunningServer
    environment: Mapping[str, str]


@asynccontextmanager
async def open_deployed(
    cluster: Cluster, deployment: Mapping[str, Any], folder: Path, **environment: str
) -> AsyncIterator[Deployed]:
    """Runs it beside a cluster that has the Secrets and ConfigMaps it names, and its ServiceAccount.

    `environment` is put over the container's: what has another address here. Ports are free ones. Raises KubeError
    where something that it names is not there.
    """
    pod, namespace = deployment["spec"]["template"]["spec"], deployment["metadata"]["namespace"]
    (container,) = pod["containers"]
    port, ops_port = list_free_ports(2)
    told = _read_environment(cluster, namespace, container)
    told |= {"KUBERNETES_SERVICE_HOST": "127.0.0.1", "KUBERNETES_SERVICE_PORT": str(urlsplit(cluster.url).port)}
    told |= {"OPENMCP_PORT": str(port), "OPENMCP_OPS_PORT": str(ops_port)} | environment
    mounts = _write_volumes(cluster, namespace, pod, container, folder)
    script = "\n".join(["set -eu", *_build_mounts(mounts, folder), 'exec "$@"'])
    alone = (need("unshare"), "--mount") if os.geteuid() == 0 else (need("unshare"), "--map-root-user", "--mount")
    program = (*alone, "/bin/sh", "-c", script, "sh", COMMAND)
    arguments, log = container["args"], folder / "log"
    async with open_server(*arguments, environment=told, port=ops_port, log=log, program=program) as ops:
        scheme = "https" if "OPENMCP_TLS_CERT_FILE" in told else "http"
        yield Deployed(f"{scheme}://127.0.0.1:{port}", ops, told)


def _build_mounts(mounts: Mapping[str, str], folder: Path) -> Iterator[str]:
    """Commands that put each volume in its place, where the rest of the root can't be written."""
    places = {Path(path).resolve(): folder / "volumes" / path.lstrip("/") for path in mounts}
    tops = sorted({place.parts[1] for place in places if not place.exists()})
    yield "mount -t tmpfs tmpfs /mnt"
    for top in tops:
        layers = f"lowerdir=/{top},upperdir=/mnt/{top}/upper,workdir=/mnt/{top}/work"
        yield f"mkdir -p /mnt/{top}/upper /mnt/{top}/work; mount -t overlay -o {layers} overlay /{top}"
    for (place, volume), mode in sorted(zip(places.items(), mounts.values(), strict=True), key=_below_last):
        yield f"mkdir -p {place}; mount --bind {volume} {place}; mount -o remount,bind,{mode} {place}"
    yield from (f"mount -o remount,ro /{top}" for top in tops)
    yield "mount -o remount,bind,ro /"


def _below_last(mount: tuple[tuple[Path, Path], str]) -> bool:
    """What hides the volumes, which are below /tmp, comes last."""
    return str(mount[0][0]) == "/tmp"


def _read_environment(cluster: Cluster, namespace: str, container: Mapping[str, Any]) -> dict[str, str]:
    """As the kubelet resolves it."""
    told: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        told |= {name: value.decode() for name, value in _read(cluster, namespace, source)}
    for variable in container.get("env", ()):
        if "value" in variable:
            told[variable["name"]] = variable["value"]
        elif "fieldRef" in (source := variable["valueFrom"]):
            assert source["fieldRef"] == {"fieldPath": "status.podIP"}
            told[variable["name"]] = "127.0.0.1"
        else:
            (reference,) = source.values()
            told[variable["name"]] = dict(_read(cluster, namespace, source))[reference["key"]].decode()
    return told


def _read(cluster: Cluster, namespace: str, source: Mapping[str, Any]) -> Iterator[tuple[str, bytes]]:
    """Keys and values of the Secret or ConfigMap that a part of a pod names."""
    ((kind, reference),) = source.items()
    name = reference.get("name") or reference["secretName"]
    resource = "secrets" if kind.startswith("secret") else "configmaps"
    data = cluster.client.get(f"/api/v1/namespaces/{namespace}/{resource}/{name}").get("data", {})
    for key, value in data.items():
        yield key, base64.b64decode(value) if resource == "secrets" else value.encode()


def _write_volumes(
    cluster: Cluster, namespace: str, pod: Mapping[str, Any], container: Mapping[str, Any], folder: Path
) -> dict[str, str]:
    """Writes what is mounted below `folder`/volumes; each path and whether it is `ro` or `rw`."""
    volumes = {volume.pop("name"): volume for volume in [dict(each) for each in pod["volumes"]]}
    mounts = {}
    for mount in container["volumeMounts"]:
        volume, path = volumes[mount["name"]], mount["mountPath"]
        place = folder / "volumes" / path.lstrip("/")
        place.mkdir(parents=True)
        if "secret" in volume or "configMap" in volume:
            source = {kind: reference for kind, reference in volume.items() if kind in ("secret", "configMap")}
            wanted = [item["key"] for item in next(iter(source.values())).get("items", ())]
            for key, value in _read(cluster, namespace, source):
                if not wanted or key in wanted:
                    # What its DNS and its Service lead to in a cluster.
                    (place / key).write_bytes(value.replace(b"https://kubernetes.default.svc", cluster.url.encode()))
        mounts[path] = "ro" if mount.get("readOnly") else "rw"
    if pod.get("automountServiceAccountToken", True):
        place = folder / "volumes" / _SERVICE_ACCOUNT.lstrip("/")
        place.mkdir(parents=True)
        token = cluster.kubectl("create", "token", "-n", namespace, pod["serviceAccountName"]).strip()
        credentials.note(token, f"the token of {pod['serviceAccountName']}")
        for name, content in {"token": token, "namespace": namespace, "ca.crt": cluster.ca_pem.decode()}.items():
            (place / name).write_text(content)
        mounts[_SERVICE_ACCOUNT] = "ro"
    return mounts
