"""Secrets of a real host that lead to a real member, in each tool's own form."""

import base64
import json
from collections.abc import Mapping
from typing import Any

import yaml

from fleet.kubernetes.sources.cluster_secrets import ARGO_LABEL, CLUSTER_API_LABEL
from realfleet.apiserver import ApiServer
from realfleet.client import KubeError
from realfleet.hub import Hub
from realfleet.workloads import NAMESPACES_PATH, build_namespace
from tests import credentials

CLUSTERS, ARGOCD = "clusters", "argocd"


def path_of(namespace: str) -> str:
    return f"{NAMESPACES_PATH}/{namespace}/secrets"


class Stage:
    """A host with two namespaces for them."""

    def __init__(self, hub: Hub) -> None:
        self.hub = hub
        self.member: ApiServer = hub.member
        for namespace in (CLUSTERS, ARGOCD):
            hub.api.client.create(NAMESPACES_PATH, build_namespace(namespace))

    def put(self, namespace: str, name: str, labels: Mapping[str, str | None], data: Mapping[str, bytes | str]) -> None:
        client, path = self.hub.api.client, path_of(namespace)
        texts = {key: value.encode() if isinstance(value, str) else value for key, value in data.items()}
        body = {
            "metadata": {"name": name, "labels": labels},
            "data": {key: base64.b64encode(value).decode() for key, value in texts.items()},
        }
        try:
            client.create(path, {"apiVersion": "v1", "kind": "Secret", **body})
        except KubeError as error:
            if error.status != 409:
                raise
            client.merge(f"{path}/{name}", body)

    def delete(self, namespace: str, name: str) -> None:
        self.hub.api.client.delete(f"{path_of(namespace)}/{name}")

    def delete_all(self) -> None:
        for namespace in (CLUSTERS, ARGOCD):
            for item in self.hub.api.client.get(path_of(namespace))["items"]:
                self.delete(namespace, item["metadata"]["name"])

    def put_cluster_api(self, cluster: str, kubeconfig: bytes | str, namespace: str = CLUSTERS) -> None:
        """With the CA's Secret beside it, which has the same label."""
        labels = {CLUSTER_API_LABEL: cluster, "env": "prod"}
        self.put(namespace, f"{cluster}-ca", labels, {"tls.key": "no kubeconfig", "value": "neither"})
        self.put(namespace, f"{cluster}-kubeconfig", labels, {"value": kubeconfig})

    def put_argo(self, name: str, config: dict[str, Any], server: str | None = None) -> None:
        data = {"name": name, "server": server or self.member.url, "config": json.dumps(config)}
        self.put(ARGOCD, f"cluster-{name}", {ARGO_LABEL: "cluster"}, data)

    def build_tls(self) -> dict[str, Any]:
        return {"caData": base64.b64encode(self.member.files.ca_pem).decode()}

    def build_certified(self) -> bytes:
        """As Cluster API makes it: an administrator's client certificate, a server by name."""
        files, server = self.member.files, self.member.url.replace("127.0.0.1", "localhost")
        certificate, key = files.client_certificate.read_bytes(), files.client_key.read_bytes()
        return build_certified(server, certificate, key, files.ca_pem)


def build_certified(server: str, certificate: bytes, key: bytes, ca: bytes) -> bytes:
    def encode(pem: bytes) -> str:
        return base64.b64encode(pem).decode()

    credentials.note(encode(key), "a client's key")
    user = {"client-certificate-data": encode(certificate), "client-key-data": encode(key)}
    return yaml.safe_dump(
        {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": "c-admin@c",
            "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority-data": encode(ca)}}],
            "users": [{"name": "c-admin", "user": user}],
            "contexts": [{"name": "c-admin@c", "context": {"cluster": "c", "user": "c-admin"}}],
        }
    ).encode()
