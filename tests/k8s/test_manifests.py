"""The chart is the source: overlays are what it renders, with the rights of the table, of settings that exist."""

import tomllib
from pathlib import Path
from subprocess import CalledProcessError
from typing import Any

import pytest
import yaml

from checks import member_manifests
from checks.manifests import CHART, K8S, build_files, format_rights, render_chart
from checks.member_manifests import MEMBER
from server.rights import OFFERED, RIGHTS, Right, wanted
from server.settings.environment import list_variables, load_settings
from tests.k8s.rendering import OVERLAYS, by_key, container_of, find, overlay

pytestmark = pytest.mark.real
HERE = {"OPENMCP_SIGNING_KEY": "a key of 16 bytes", "KUBERNETES_SERVICE_HOST": "10.0.0.1", "INFLUX_IP": "influxdb"}
"""What stands in the Secret, and what every pod is told."""
PROVIDERS = ("OPENMCP_PROFILE_PROVIDERS_FILE=/etc/providers.json",)
WRONG = {
    "replicas=none": "at '/replicas': got string, want integer",
    "replica=2": "additional properties 'replica' not allowed",
    "service.type=Ingress": "service/type",
    "settings.OPENMCP_SIGNING_KEY=abc": "settings.OPENMCP_SIGNING_KEY is a secret: put it into the Secret openmcp-",
    "settings.port=8080": "at '/settings': additional properties 'port' not allowed",
    "image.digest=latest": "image/digest",
    "persistence.size=big": "persistence/size",
    "kubeconfigSecret=": "no cluster is named: set kubeconfigSecret to a Secret",
    "persistence.enabled=true,replicas=2": "persistence is for one replica: set replicas to 1",
}


def told(deployment: dict[str, Any]) -> dict[str, str]:
    """The environment as the Deployment writes it down."""
    return {each["name"]: each.get("value", "127.0.0.1") for each in container_of(deployment)["env"]}


def rules_of(objects: list[dict[str, Any]]) -> set[tuple[str | None, str, str, str, tuple[str, ...]]]:
    return {
        (each["metadata"].get("namespace"), group, resource, verb, tuple(rule.get("resourceNames", ())))
        for each in objects
        if each["kind"] in ("Role", "ClusterRole")
        for rule in each.get("rules", ())
        for group in rule["apiGroups"]
        for resource in rule["resources"]
        for verb in rule["verbs"]
    }


def as_rules(rights: list[Right]) -> set[tuple[str | None, str, str, str, tuple[str, ...]]]:
    return {(each.namespace, each.group, each.resource, verb, each.names) for each in rights for verb in each.verbs}


def test_what_is_committed_is_what_is_rendered() -> None:
    rendered = {K8S / place: text for place, text in build_files().items()}
    rendered[CHART / "files" / "rights.yaml"] = format_rights()
    rendered |= {MEMBER / place: text for place, text in member_manifests.build_files().items()}
    assert [str(file) for file, text in rendered.items() if file.read_text() != text] == [], "run make manifests"


@pytest.mark.parametrize(
    "folder", sorted(file.parent for file in K8S.rglob("kustomization.yaml")), ids=lambda f: f.name
)
def test_each_manifest_is_in_its_kustomization(folder: Path) -> None:
    named: dict[str, Any] = yaml.safe_load((folder / "kustomization.yaml").read_text())
    assert {file.name for file in folder.glob("*.yaml")} - {*named["resources"], "kustomization.yaml"} <= {
        "values.yaml"
    }


@pytest.mark.parametrize("name", OVERLAYS)
def test_kustomize_and_helm_say_the_same(name: str) -> None:
    assert by_key(overlay(name)) == by_key(render_chart(name))


@pytest.mark.parametrize("name", OVERLAYS)
def test_its_environment_is_of_settings_that_exist(name: str) -> None:
    environment = told(find(overlay(name), "Deployment"))
    known = {name for variable in list_variables() for name in (variable.name, *variable.aliases)}
    assert environment.keys() - known == set()
    load_settings(HERE | environment)


@pytest.mark.parametrize(
    ("name", "further"),
    [
        *((name, ()) for name in OVERLAYS),
        ("standalone", ("OPENMCP_CLUSTER_SOURCE=secrets", "OPENMCP_SECRETS_NAMESPACE=fleet")),
        ("standalone", ("OPENMCP_CLUSTER_SOURCE=clusterprofile", "OPENMCP_PROFILE_NAMESPACE=fleet", *PROVIDERS)),
        ("host", ("OPENMCP_JOIN=true", "OPENMCP_EVENTS_KEPT=0", "OPENMCP_WORKLOADS=false")),
        ("host", ("OPENMCP_TOKEN_REVIEW=true", "OPENMCP_AUTHORIZATION=impersonate")),
        (
            "host",
            ("OPENMCP_METRIC_STORE=Embedded", "OPENMCP_JOIN=Yes", "OPENMCP_WORKLOADS=off", "OPENMCP_EVENTS_KEPT=00"),
        ),
        ("host", ("OPENMCP_CLUSTER_SOURCE=KubeFed\\, secrets", "OPENMCP_SECRETS_NAMESPACE=a\\, b")),
        ("host", ("OPENMCP_CLUSTER_SOURCE=", "OPENMCP_METRIC_STORE=embedded", "OPENMCP_COLLECT_INTERVAL=0m")),
        ("host", ("OPENMCP_CLUSTER_SOURCE=secrets", "OPENMCP_SECRETS_NAMESPACE=*", "OPENMCP_TOKEN_REVIEW=1")),
        ("prometheus", ("OPENMCP_USAGE_FROM=collector", "OPENMCP_PLATFORM_NAMESPACE=other")),
    ],
)
def test_its_rights_are_those_that_its_settings_take(name: str, further: tuple[str, ...]) -> None:
    none = ("--set", ",".join(f"rbac.{need}=false" for need in OFFERED))
    objects = render_chart(name, *none, *(word for each in further for word in ("--set-string", f"settings.{each}")))
    settings = load_settings(HERE | told(find(objects, "Deployment")))
    is_member = "kubefed" in settings.clusters.cluster_source or name == "prometheus"
    hosts = settings.clusters.cluster_source != ("kubeconfig",) or settings.auth.token_review
    rights = (wanted(settings, "host") if hosts else []) + (wanted(settings, "member") if is_member else [])
    assert rules_of(objects) == as_rules(rights)


@pytest.mark.parametrize("need", OFFERED)
def test_wide_rights_are_given_where_they_are_asked_for(need: str) -> None:
    more = rules_of(render_chart("prometheus", "--set", f"rbac.{need}=true"))
    more -= rules_of(render_chart("prometheus"))
    given = as_rules([right for right in RIGHTS if right.needs == need and right.where == "member"])
    assert more == given


@pytest.mark.parametrize("name", OVERLAYS)
def test_each_selector_chooses_what_it_is_for(name: str) -> None:
    objects = overlay(name)
    pods = [each["spec"]["template"]["metadata"]["labels"] for each in objects if "template" in each.get("spec", ())]
    services = [each["metadata"]["labels"] for each in objects if each["kind"] == "Service" and "ops" in str(each)]
    chosen = {
        (each["kind"], each["metadata"]["name"]): [labels for labels in of if chooses(each).items() <= labels.items()]
        for kinds, of in (({"Service", "NetworkPolicy", "PodDisruptionBudget"}, pods), ({"ServiceMonitor"}, services))
        for each in objects
        if each["kind"] in kinds
    }
    assert {key for key, found in chosen.items() if len(found) != 1} == set()
    assert len(chosen) == {"host": 4, "standalone": 4, "prometheus": 5, "replicas": 7}[name]


def test_monitoring_wraps_the_files_that_stand_beside_the_chart() -> None:
    objects = render_chart("prometheus")
    files = {file.suffix: file.read_text() for file in (K8S / "monitoring").iterdir() if file.is_file()}
    assert find(objects, "PrometheusRule")["spec"] == yaml.safe_load(files[".yaml"])
    dashboards = [each["data"] for each in objects if each["metadata"]["name"] == "openmcp-apiserver-dashboard"]
    assert dashboards == [{"openmcp-apiserver.json": files[name]} for name in files if name == ".json"]


def chooses(each: dict[str, Any]) -> dict[str, str]:
    spec = each["spec"]
    selector: dict[str, Any] = spec.get("selector") or spec["podSelector"]
    labels: dict[str, str] = selector.get("matchLabels", selector)
    return labels


@pytest.mark.parametrize("wrong", WRONG)
def test_a_wrong_value_is_an_error_that_names_it(wrong: str) -> None:
    with pytest.raises(CalledProcessError) as caught:
        render_chart("standalone", "--set", wrong)
    assert WRONG[wrong] in caught.value.stderr


def test_a_value_reaches_the_pod_as_it_was_written() -> None:
    objects = render_chart(
        "standalone", "--set", "settings.OPENMCP_AUDIT_LOG_BYTES=67108864,settings.OPENMCP_JOIN=true"
    )
    environment = told(find(objects, "Deployment"))
    assert (environment["OPENMCP_AUDIT_LOG_BYTES"], environment["OPENMCP_JOIN"]) == ("67108864", "true")


def test_ports_are_where_the_server_listens() -> None:
    objects = render_chart("host", "--set", "settings.OPENMCP_PORT=8443,settings.OPENMCP_OPS_PORT=9000")
    ports = {port["name"]: port["containerPort"] for port in container_of(find(objects, "Deployment"))["ports"]}
    settings = load_settings(HERE | told(find(objects, "Deployment"))).http
    assert ports == {"api": settings.port, "ops": settings.ops_port} == {"api": 8443, "ops": 9000}
    services = [port["targetPort"] for each in objects if each["kind"] == "Service" for port in each["spec"]["ports"]]
    assert services == ["api", "ops"]


def test_the_chart_has_the_projects_version() -> None:
    chart = yaml.safe_load((CHART / "Chart.yaml").read_text())
    version = tomllib.loads((K8S.parent / "pyproject.toml").read_text())["project"]["version"]
    assert (chart["version"], chart["appVersion"]) == (version, version)
    assert container_of(find(overlay("host"), "Deployment"))["image"] == f"openmcp-apiserver:{version}"
