"""What the kubelet asks is where the kubelet reaches it."""

from pathlib import Path

import yaml

DEPLOYMENT = Path(__file__).parents[2] / "k8s" / "base" / "deployment.yaml"


def test_the_port_that_is_probed_listens_on_the_pods_address() -> None:
    (container,) = yaml.safe_load(DEPLOYMENT.read_text())["spec"]["template"]["spec"]["containers"]
    said = {each["name"]: each.get("valueFrom") or each["value"] for each in container["env"]}
    probes = [container[name]["httpGet"]["port"] for name in ("livenessProbe", "readinessProbe")]
    assert probes == ["ops", "ops"]
    assert said["OPENMCP_OPS_HOST"] == {"fieldRef": {"fieldPath": "status.podIP"}}
