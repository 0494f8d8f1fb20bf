"""ClusterProfiles in a real hub, and a member that is reached by what a plugin prints."""

import base64
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from realfleet.client import KubeError
from realfleet.crds import CLUSTER_PROFILE, install_crds
from realfleet.hub import Hub
from realfleet.workloads import NAMESPACES_PATH, build_namespace
from tests import credentials

NAMESPACE = "fleet"
PROVIDER = "secretreader"
_GROUP = "/apis/multicluster.x-k8s.io/v1alpha1"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_ACCOUNTS = f"{NAMESPACES_PATH}/default/serviceaccounts"
# Prints the token of the cluster that it is told of, once it may, and counts its runs.
_PLUGIN = """#!{python}
import json, os, pathlib, time
info = json.loads(os.environ["KUBERNETES_EXEC_INFO"])
name = info["spec"]["cluster"]["config"]["clusterName"]
folder = pathlib.Path({folder!r})
with (folder / "runs").open("a") as runs:
    runs.write(name + "\\n")
while (folder / f"{{name}}.hangs").exists():
    time.sleep(0.05)
status = {{"token": (folder / name).read_text()}}
print(json.dumps({{"apiVersion": info["apiVersion"], "kind": "ExecCredential", "status": status}}))
"""


@dataclass(frozen=True)
class Stage:
    """A hub with the CRD and a namespace, and in `folder` the plugin, the tokens that it reads, the providers file."""

    hub: Hub
    folder: Path

    @property
    def providers_file(self) -> Path:
        return self.folder / "providers.json"

    def write_providers(self, name: str = PROVIDER) -> None:
        """The providers file with the plugin under a name."""
        plugin = {
            "apiVersion": "client.authentication.k8s.io/v1",
            "command": str(self.folder / "plugin"),
            "provideClusterInfo": True,
            "interactiveMode": "Never",
        }
        self.providers_file.write_text(json.dumps({"providers": [{"name": name, "execConfig": plugin}]}))

    def count_runs(self, name: str) -> int:
        """How often the plugin was run for a cluster."""
        path = self.folder / "runs"
        return path.read_text().splitlines().count(name) if path.exists() else 0

    def access(self, name: str, **fields: Any) -> dict[str, Any]:
        """`status.accessProviders[]` that leads to the member; the plugin reads the token called `name`."""
        extension = {"name": "client.authentication.k8s.io/exec", "extension": {"clusterName": name}}
        member = self.hub.member
        place = {
            "server": member.url,
            "certificate-authority-data": base64.b64encode(member.files.ca_pem).decode(),
            "extensions": [extension],
        }
        return {"name": PROVIDER, "cluster": place | fields}

    def put_profile(self, name: str, status: dict[str, Any] | None = None, namespace: str = NAMESPACE) -> None:
        """Creates a profile unless it is there, and writes its status."""
        path = f"{_GROUP}/namespaces/{namespace}/clusterprofiles"
        body = {
            "apiVersion": "multicluster.x-k8s.io/v1alpha1",
            "kind": "ClusterProfile",
            "metadata": {"name": name, "labels": {"env": "test"}},
            "spec": {"displayName": name, "clusterManager": {"name": "tests"}},
        }
        try:
            self.hub.api.client.create(path, body)
        except KubeError as error:
            if error.status != 409:
                raise
        if status is not None:
            self.hub.api.client.merge(f"{path}/{name}/status", {"status": status})

    def join(self, name: str, **fields: Any) -> None:
        """A profile that leads to the member, with a token for the plugin."""
        if not (self.folder / name).exists():
            self.rotate(name)
        self.put_profile(name, {"accessProviders": [self.access(name, **fields)]})

    def delete_profile(self, name: str, namespace: str = NAMESPACE) -> None:
        self.hub.api.client.delete(f"{_GROUP}/namespaces/{namespace}/clusterprofiles/{name}")

    def delete_profiles(self) -> None:
        """All of them."""
        for item in self.hub.api.client.get(f"{_GROUP}/clusterprofiles")["items"]:
            self.delete_profile(item["metadata"]["name"], item["metadata"]["namespace"])

    def rotate(self, name: str) -> None:
        """Makes the member's service account of this name anew, which ends its tokens, and gives the plugin one."""
        client = self.hub.member.client
        try:
            client.delete(f"{_ACCOUNTS}/{name}")
        except KubeError as error:
            if error.status != 404:
                raise
        client.create(_ACCOUNTS, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}})
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}}
        token = client.create(f"{_ACCOUNTS}/{name}/token", asked)["status"]["token"]
        credentials.note(token, f"the plugin's token of {name}")
        path = self.folder / f"{name}.new"
        path.write_text(token)
        path.rename(self.folder / name)


def build_stage(hub: Hub, folder: Path) -> Stage:
    """What does not change from test to test."""
    install_crds(hub.servers, hub.api.client, [CLUSTER_PROFILE])
    for name in (NAMESPACE, "other"):
        hub.api.client.create(NAMESPACES_PATH, build_namespace(name))
    group = {"kind": "Group", "apiGroup": "rbac.authorization.k8s.io", "name": "system:serviceaccounts"}
    role = {"kind": "ClusterRole", "apiGroup": "rbac.authorization.k8s.io", "name": "cluster-admin"}
    hub.member.client.create(
        f"{_RBAC}/clusterrolebindings",
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": "ClusterRoleBinding",
            "metadata": {"name": "plugins"},
            "roleRef": role,
            "subjects": [group],
        },
    )
    stage = Stage(hub, folder)
    plugin = folder / "plugin"
    plugin.write_text(_PLUGIN.format(python=sys.executable, folder=str(folder)))
    plugin.chmod(0o755)
    stage.write_providers()
    return stage
