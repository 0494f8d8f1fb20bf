"""What the kubelet asks is where the kubelet reaches it."""

import pytest

from tests.k8s.rendering import OVERLAYS, container_of, find, overlay

pytestmark = pytest.mark.real


@pytest.mark.parametrize("name", OVERLAYS)
def test_the_port_that_is_probed_listens_on_the_pods_address(name: str) -> None:
    container = container_of(find(overlay(name), "Deployment"))
    said = {each["name"]: each.get("valueFrom") or each["value"] for each in container["env"]}
    probes = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert {probe["port"] for probe in probes.values()} == {"ops"}
    assert probes["readinessProbe"]["path"] == "/readyz"
    assert said["OPENMCP_OPS_HOST"] == {"fieldRef": {"fieldPath": "status.podIP"}}
