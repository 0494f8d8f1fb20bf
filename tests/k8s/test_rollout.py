"""On a real cluster, from nothing to pods that run and back, by kubectl and by Helm; and from what there was before."""

import json
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from checks.manifests import CHART, K8S, OVERLAYS
from realfleet.build_clients import find_client
from realfleet.cluster import Cluster
from realfleet.crds import CRDS_PATH, PROMETHEUS_RULE, SERVICE_MONITOR, install_crds
from realfleet.fleet import Fleet
from realfleet.processes import NotReadyError
from tests.fakes.waiting import PATIENCE
from tests.k8s.rendering import by_key, container_of, find, kustomize

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
OF_ITS_OWN_ACCORD = {"events", "leases", "endpointslices", "endpoints"}


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
        cluster.kubectl("delete", "namespace", NAMESPACE, "kube-federation-system")
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


def list_objects(cluster: Cluster) -> Counter[str]:
    """Resource, namespace and name of all that is there, but for what comes and goes of its own accord."""

    def read(path: str, kind: str, group: str) -> list[dict[str, Any]]:
        accept = f"application/json;g={group};as={kind}List;v={'v1' if group == 'meta.k8s.io' else 'v2'}"
        status, body = cluster.client.read("GET", path, accept=accept)
        return json.loads(body)["items"] or [] if status == 200 else []

    groups = [group for path in ("/api", "/apis") for group in read(path, "APIGroupDiscovery", "apidiscovery.k8s.io")]
    collections = {
        f"/apis/{group['metadata']['name']}/{version['version']}/{each['resource']}"
        if group["metadata"].get("name")
        else f"/api/{version['version']}/{each['resource']}"
        for group in groups
        for version in group["versions"][:1]
        for each in version["resources"]
        if {"list", "delete"} <= set(each["verbs"]) and each["resource"] not in OF_ITS_OWN_ACCORD
    }
    return Counter(
        f"{path} {item['metadata'].get('namespace', '')} {item['metadata']['name']}"
        for path in collections
        for item in read(path, "PartialObjectMetadata", "meta.k8s.io")
    )


def wait_for(cluster: Cluster, before: Counter[str]) -> None:
    """Until the cluster has what it had, and no more."""
    after = before

    def is_as_before() -> bool:
        nonlocal after
        after = list_objects(cluster)
        return after == before

    try:
        cluster.servers.wait_until(is_as_before, "the cluster is as it was", PATIENCE)
    except NotReadyError as error:
        raise AssertionError(f"left: {after - before}, gone: {before - after}") from error


@contextmanager
def leaving_no_trace(cluster: Cluster) -> Iterator[None]:
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
        lambda: wait_available(cluster)["status"]["availableReplicas"] == replicas, f"{replicas} replicas", PATIENCE
    )
    labels = cluster.client.get(f"/api/v1/namespaces/{NAMESPACE}")["metadata"]["labels"]
    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"


@pytest.mark.parametrize("name", ["standalone", "prometheus"])
def test_an_overlay_with_its_namespace_leaves_no_trace(cluster: Cluster, name: str) -> None:
    with leaving_no_trace(cluster):
        check_overlay(cluster, name, replicas=1)
        cluster.kubectl("delete", "-k", str(K8S / "overlays" / name))


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


def test_what_was_there_before_becomes_the_host_overlay(cluster: Cluster, before: list[dict[str, Any]]) -> None:
    folder = K8S / "overlays" / "host"
    old = wait_available(cluster)
    cluster.kubectl(*APPLY, "--force-conflicts", "-k", str(folder))
    new = wait_available(cluster)
    rendered = kustomize(folder)
    assert by_key(before).keys() - by_key(rendered).keys() == {("Namespace", "", NAMESPACE)}
    assert new["metadata"]["uid"] == old["metadata"]["uid"]
    assert [each["name"] for each in container_of(new)["env"]] == [
        each["name"] for each in container_of(find(rendered, "Deployment"))["env"]
    ]
    cluster.kubectl("delete", "-k", str(folder))


@pytest.fixture
def helm(cluster: Cluster) -> Callable[..., str]:
    """Helm on the cluster, in our namespace; the command's output."""

    def run(*arguments: str) -> str:
        command = [str(find_client("helm")), "--kubeconfig", str(cluster.kubeconfig), "-n", NAMESPACE, *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        assert ran.returncode == 0, ran.stderr
        return ran.stdout

    return run


def values_of(name: str) -> tuple[str, ...]:
    return tuple(word for each in OVERLAYS[name] for word in ("-f", str(K8S / "overlays" / each / "values.yaml")))


@pytest.mark.parametrize("name", OVERLAYS)
def test_helm_finds_nothing_wrong(helm: Callable[..., str], name: str) -> None:
    assert "0 chart(s) failed" in helm("lint", "--strict", str(CHART), *values_of(name))


@pytest.mark.usefixtures("namespace")
def test_helm_installs_upgrades_rolls_back_and_leaves_no_trace(cluster: Cluster, helm: Callable[..., str]) -> None:
    values = values_of("prometheus")
    said = helm("install", NAME, str(CHART), "--create-namespace", "--wait", "--timeout=60s", *values)
    assert f"kubectl -n {NAMESPACE} create secret generic openmcp-apiserver-config" in said
    helm("upgrade", NAME, str(CHART), "--wait", *values, "--set", "persistence.enabled=true")
    assert wait_available(cluster)["spec"]["strategy"] == {"type": "Recreate"}
    helm("rollback", NAME, "1", "--wait")
    assert wait_available(cluster)["spec"]["strategy"]["type"] == "RollingUpdate"
    helm("uninstall", NAME, "--wait")


def test_helm_takes_over_what_was_there_before(
    cluster: Cluster, helm: Callable[..., str], before: list[dict[str, Any]]
) -> None:
    old = wait_available(cluster)
    arguments = ("--install", "--take-ownership", "--force-conflicts", "--wait", "--timeout=60s")
    helm("upgrade", NAME, str(CHART), *arguments, *values_of("host"))
    new = wait_available(cluster)
    assert new["metadata"]["uid"] == old["metadata"]["uid"]
    assert new["metadata"]["labels"]["app.kubernetes.io/managed-by"] == "Helm"
    assert "OPENMCP_METRIC_STORE" in {each["name"] for each in container_of(new)["env"]}
    assert before
    helm("uninstall", NAME, "--wait")
