"""A real API server takes what is rendered as it is, and its pods meet the strictest standard of pod security."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from realfleet.fleet import Fleet

K8S = Path(__file__).parents[2] / "k8s"
FOLDERS = sorted(file.parent.relative_to(K8S).as_posix() for file in K8S.rglob("kustomization.yaml"))
RENDERED = [folder for folder in FOLDERS if folder != "nats"]
"""What somebody applies."""
APPLY = ("apply", "--server-side", "--dry-run=server", "--validate=strict", "-f", "-")


def render(fleet: Fleet, folder: str) -> str:
    command = [str(fleet.members[0].kubectl_program), "kustomize", str(K8S / folder)]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout


@pytest.fixture(scope="module")
def member(real_fleet: Fleet) -> Iterator[str]:
    """A member that had none of the platform's namespaces. Pods of ours are held to the restricted standard."""
    member = real_fleet.members[0].name
    namespaces = ("openmcp", "kube-federation-system")
    for namespace in namespaces:
        real_fleet.kubectl(member, "create", "namespace", namespace)
    real_fleet.kubectl(member, "label", "namespace", "openmcp", "pod-security.kubernetes.io/enforce=restricted")
    real_fleet.kubectl(member, "-n", "openmcp", "create", "serviceaccount", "openmcp-apiserver")
    try:
        yield member
    finally:
        real_fleet.kubectl(member, "delete", "namespace", *namespaces)


@pytest.mark.parametrize("folder", FOLDERS)
def test_each_manifest_is_in_its_kustomization(folder: str) -> None:
    named: dict[str, Any] = yaml.safe_load((K8S / folder / "kustomization.yaml").read_text())
    used = {*named["resources"], *(patch["path"] for patch in named.get("patches", ())), "kustomization.yaml"}
    assert {file.name for file in (K8S / folder).glob("*.yaml")} - used == set()


@pytest.mark.real
@pytest.mark.parametrize("folder", RENDERED)
def test_a_real_api_server_takes_it(real_fleet: Fleet, member: str, folder: str) -> None:
    rendered = render(real_fleet, folder)
    said = real_fleet.kubectl(member, *APPLY, stdin=rendered)
    assert said.count("(server dry run)") == len(list(yaml.safe_load_all(rendered)))


@pytest.mark.real
@pytest.mark.parametrize("folder", RENDERED)
def test_its_pods_meet_the_restricted_standard(real_fleet: Fleet, member: str, folder: str) -> None:
    owners = [each for each in yaml.safe_load_all(render(real_fleet, folder)) if "template" in each.get("spec", ())]
    for owner in owners:
        template = owner["spec"]["template"]
        named = template["metadata"] | {"name": owner["metadata"]["name"], "namespace": "openmcp"}
        # The claims of a StatefulSet become volumes of its pods.
        claims = [{"name": claim["metadata"]["name"]} for claim in owner["spec"].get("volumeClaimTemplates", ())]
        spec = template["spec"] | {"volumes": template["spec"]["volumes"] + [c | {"emptyDir": {}} for c in claims]}
        pod = {"apiVersion": "v1", "kind": "Pod", "metadata": named, "spec": spec}
        assert "(server dry run)" in real_fleet.kubectl(member, *APPLY, stdin=yaml.safe_dump(pod))
    assert owners


@pytest.mark.parametrize("file", sorted(K8S.rglob("deployment.yaml")), ids=lambda file: file.parent.name)
def test_its_environment_is_of_settings_that_exist(file: Path) -> None:
    (container,) = yaml.safe_load(file.read_text())["spec"]["template"]["spec"]["containers"]
    reference = (K8S.parent / "docs" / "reference" / "configuration.md").read_text()
    assert [each["name"] for each in container["env"] if f"| `{each['name']}` |" not in reference] == []
