"""On a real cluster, from nothing to pods that run and back, by kubectl and by Helm; and from what there was before."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from checks.manifests import CHART, K8S, OVERLAYS, render_chart
from realfleet.build_clients import find_client
from realfleet.cluster import Cluster
from realfleet.crds import CRDS_PATH, PROMETHEUS_RULE, SERVICE_MONITOR, install_crds
from realfleet.fleet import Fleet
from realfleet.processes import FleetError
from server.settings.environment import SettingsInvalid, load_settings
from tests.fakes.waiting import PATIENCE
from tests.k8s.rendering import by_key, commands_of, container_of, find, kustomize
from tests.k8s.traces import leaving_no_trace, list_objects, wait_for
from tests.k8s.values import ALL
from tests.required import need

pytestmark = pytest.mark.real
BEFORE = Path(__file__).with_name("before_the_chart.yaml")
"""What `kubectl kustomize k8s/base` said when the manifests were written by hand."""
VOLUME = {
    "apiVersion": "v1",
    "kind": "PersistentVolume",
    "spec": {
        "capacity": {"storage": "10Gi"},
        "accessModes": ["ReadWriteOnce"],
        "persistentVolumeReclaimPolicy": "Retain",
        "hostPath": {"path": "/nowhere"},
    },
}
"""For claims that name no class."""
APPLY = ("apply", "--server-side", "--validate=strict")
NAME, NAMESPACE = "openmcp-apiserver", "openmcp"
ACCOUNT = f"system:serviceaccount:{NAMESPACE}:{NAME}"


@pytest.fixture(scope="module")
def cluster(real_fleet: Fleet) -> Iterator[Cluster]:
    """A member with the Prometheus Operator's kinds, volumes, and the namespaces of a host; as it was, in the end."""
    cluster = real_fleet.members[0]
    crds = (SERVICE_MONITOR, PROMETHEUS_RULE)
    with leaving_no_trace(cluster):
        install_crds(cluster.servers, cluster.client, crds)
        cluster.kubectl("create", "namespace", "kube-federation-system")
        names = [f"volume-{number}" for number in range(4)]
        for name in names:
            cluster.client.create("/api/v1/persistentvolumes", VOLUME | {"metadata": {"name": name}})
        yield cluster
        cluster.kubectl("delete", "namespace", NAMESPACE, "kube-federation-system", "--ignore-not-found")
        cluster.kubectl("delete", "persistentvolume", *names)
        for crd in crds:
            cluster.client.delete(f"{CRDS_PATH}/{crd['metadata']['name']}")


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[None]:
    """The platform's: with all that was in it, in the end."""
    cluster.kubectl(*APPLY, "-k", str(K8S / "namespace"))
    before = list_objects(cluster)
    yield
    wait_for(cluster, before)


def wait_available(cluster: Cluster) -> dict[str, Any]:
    """The Deployment, rolled out."""
    cluster.kubectl("-n", NAMESPACE, "rollout", "status", f"deployment/{NAME}", "--timeout=50s")
    deployment: dict[str, Any] = json.loads(cluster.kubectl("-n", NAMESPACE, "get", "deployment", NAME, "-o", "json"))
    return deployment


def check_overlay(cluster: Cluster, name: str, replicas: int) -> None:
    cluster.kubectl(*APPLY, "-k", str(K8S / "overlays" / name))
    cluster.servers.wait_until(
        lambda: wait_available(cluster)["status"].get("availableReplicas") == replicas, f"{replicas} replicas", PATIENCE
    )
    labels = cluster.client.get(f"/api/v1/namespaces/{NAMESPACE}")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.fixture
def run(cluster: Cluster, tmp_path: Path) -> Callable[[str], str]:
    """Runs commands as they stand on a page, by somebody whose kubectl and Helm are at the cluster."""
    (tmp_path / ".kube").mkdir()
    shutil.copy(cluster.kubeconfig, tmp_path / ".kube" / "config")
    path = f"{cluster.kubectl_program.parent}:{find_client('helm').parent}:{os.environ['PATH']}"

    def run(commands: str) -> str:
        done = subprocess.run(
            [need("bash"), "-euo", "pipefail", "-c", commands],
            env={"PATH": path, "HOME": str(tmp_path)},
            cwd=K8S.parent,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, f"{commands}\n{done.stdout}{done.stderr}"
        return done.stdout

    return run


def test_the_pages_install_upgrade_and_take_away(cluster: Cluster, run: Callable[[str], str]) -> None:
    """By Helm, and by kustomize; the way back and the exchange of the key between."""
    install, remove = commands_of("install.md", "With Helm")
    upgrade, back = commands_of("upgrade.md", "With Helm")
    (secrets,) = commands_of("install.md", "The namespace and the Secrets")
    with leaving_no_trace(cluster):
        run(secrets)
        assert f"kubectl -n {NAMESPACE} create secret generic {NAME}-config" in run(install)
        assert wait_available(cluster)["metadata"]["generation"] == 1
        run(upgrade)
        run(f"helm upgrade {NAME} k8s/chart/{NAME} -n {NAMESPACE} --reuse-values --set persistence.enabled=true --wait")
        assert wait_available(cluster)["spec"]["strategy"] == {"type": "Recreate"}
        run(back)
        assert wait_available(cluster)["spec"]["strategy"]["type"] == "RollingUpdate"
        run(remove)
        apply, delete = commands_of("install.md", "With kustomize")
        run(apply)
        assert commands_of("upgrade.md", "With kustomize") == [apply]
        steps = [read_secret(cluster)]
        for step in commands_of("upgrade.md", "Exchange the signing key"):
            run(step)
            steps.append(read_secret(cluster))
            wait_for_another_second(cluster)
        old, new = steps[0]["OPENMCP_SIGNING_KEY"], steps[1]["OPENMCP_VERIFICATION_KEYS"]
        assert [{*each.items()} - {*steps[-1].items()} for each in steps] == [
            {("OPENMCP_SIGNING_KEY", old)},
            {("OPENMCP_SIGNING_KEY", old), ("OPENMCP_VERIFICATION_KEYS", new)},
            {("OPENMCP_VERIFICATION_KEYS", old)},
            set(),
        ]
        assert (steps[-1]["OPENMCP_SIGNING_KEY"], old != new) == (new, True)
        run(delete)


def test_an_overlay_with_its_namespace_leaves_no_trace(cluster: Cluster) -> None:
    with leaving_no_trace(cluster):
        check_overlay(cluster, "prometheus", replicas=1)
        check_further_rights(cluster)
        cluster.kubectl("delete", "-k", str(K8S / "overlays" / "prometheus"))


def check_further_rights(cluster: Cluster) -> None:
    """A role with the label is the account's too, for as long as it is there."""
    asked = ("auth", "can-i", "list", "ingresses.networking.k8s.io", "--as", ACCOUNT)

    def may() -> bool:
        try:
            return cluster.kubectl(*asked).strip() == "yes"
        except FleetError:
            return False

    assert not may()
    cluster.kubectl("create", "clusterrole", "more", "--verb=list", "--resource=ingresses.networking.k8s.io")
    cluster.kubectl("label", "clusterrole", "more", "openmcp.io/aggregate-to-apiserver=true")
    cluster.servers.wait_until(may, "it is the account's", PATIENCE)
    cluster.kubectl("delete", "clusterrole", "more")
    cluster.servers.wait_until(lambda: not may(), "it is so no more", PATIENCE)


@pytest.mark.usefixtures("namespace")
@pytest.mark.parametrize("name", ["host", "replicas"])
def test_an_overlay_in_the_platforms_namespace_leaves_that_alone(cluster: Cluster, name: str) -> None:
    check_overlay(cluster, name, replicas=3 if name == "replicas" else 1)
    if name == "replicas":
        cluster.kubectl("-n", NAMESPACE, "rollout", "status", "statefulset/openmcp-nats", "--timeout=50s")
    cluster.kubectl("delete", "-k", str(K8S / "overlays" / name))


@pytest.fixture
def before(cluster: Cluster, namespace: None) -> list[dict[str, Any]]:
    """Rolled out as people had it, by `kubectl apply`."""
    cluster.kubectl("apply", "-f", str(BEFORE))
    return list(yaml.safe_load_all(BEFORE.read_text()))


def test_what_was_there_before_becomes_the_host_overlay(
    cluster: Cluster, before: list[dict[str, Any]], run: Callable[[str], str]
) -> None:
    old = wait_available(cluster)
    run(commands_of("upgrade.md", "From manifests of before the chart")[0])
    new = wait_available(cluster)
    rendered = kustomize(K8S / "overlays" / "host")
    assert by_key(before).keys() - by_key(rendered).keys() == {("Namespace", "", NAMESPACE)}
    assert new["metadata"]["uid"] == old["metadata"]["uid"]
    assert environment_of(new).keys() == environment_of(find(rendered, "Deployment")).keys()
    cluster.kubectl("delete", "-k", str(K8S / "overlays" / "host"))


@pytest.mark.usefixtures("before")
def test_helm_takes_over_what_was_there_before(cluster: Cluster, run: Callable[[str], str]) -> None:
    old = wait_available(cluster)
    run(commands_of("upgrade.md", "From manifests of before the chart")[1])
    new = wait_available(cluster)
    assert new["metadata"]["uid"] == old["metadata"]["uid"]
    assert new["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
    assert "OPENMCP_METRIC_STORE" in environment_of(new)
    run(commands_of("install.md", "With Helm")[1])


@pytest.mark.parametrize("name", OVERLAYS)
def test_helm_finds_nothing_wrong(run: Callable[[str], str], name: str) -> None:
    values = " ".join(f"-f k8s/overlays/{each}/values.yaml" for each in OVERLAYS[name])
    assert "0 chart(s) failed" in run(f"helm lint --strict k8s/chart/{NAME} {values}")


def test_all_that_may_be_set_is_taken_by_a_real_api_server(cluster: Cluster, tmp_path: Path) -> None:
    values = yaml.safe_load((CHART / "values.yaml").read_text())
    assert {*ALL} | {"replicas", "settings", "secretName", "resources", "terminationGracePeriodSeconds"} == {*values}
    (tmp_path / "all.yaml").write_text(yaml.safe_dump(ALL))
    objects = render_chart("host", "-f", str(tmp_path / "all.yaml"))
    for each in objects:
        each["metadata"] |= {"namespace": "default"} if "namespace" in each["metadata"] else {}
    said = cluster.kubectl(*APPLY, "--dry-run=server", "-f", "-", stdin=yaml.safe_dump_all(objects))
    assert said.count("(server dry run)") == len(objects)
    pod = find(objects, "Deployment")["spec"]["template"]["spec"]
    set_there = ("imagePullSecrets", "nodeSelector", "tolerations", "affinity", "priorityClassName")
    assert {name: pod[name] for name in set_there} == {name: ALL[name] for name in set_there}
    assert pod["containers"][0]["image"] == f"registry.example.org/openmcp@sha256:{'0' * 64}"


def test_the_example_secrets_are_taken_and_no_server_starts_by_them(cluster: Cluster) -> None:
    file = K8S / "examples" / "secrets.yaml"
    said = cluster.kubectl(*APPLY, "--dry-run=server", "-n", "default", "-f", str(file))
    config, *others = list(yaml.safe_load_all(file.read_text()))
    assert said.count("(server dry run)") == len(others) + 1
    with pytest.raises(SettingsInvalid, match="OPENMCP_SIGNING_KEY"):
        load_settings(config["stringData"])


def environment_of(deployment: dict[str, Any]) -> dict[str, Any]:
    return {each["name"]: each for each in container_of(deployment)["env"]}


def wait_for_another_second(cluster: Cluster) -> None:
    """kubectl names a restart by its second, and restarts once in each."""
    annotations = wait_available(cluster)["spec"]["template"]["metadata"]["annotations"]
    restarted = datetime.fromisoformat(annotations["kubectl.kubernetes.io/restartedAt"])
    cluster.servers.wait_until(
        lambda: datetime.now(UTC) >= restarted + timedelta(seconds=1), "the next second", PATIENCE
    )


def read_secret(cluster: Cluster) -> dict[str, str]:
    data = cluster.client.get(f"/api/v1/namespaces/{NAMESPACE}/secrets/{NAME}-config")["data"]
    return {name: base64.b64decode(value).decode() for name, value in data.items()}
