"""The real autoscaler goes by the figure that the chart names, of the pods that it names."""

import re
from typing import Any

import pytest
import yaml

from checks.manifests import K8S, render_chart
from realfleet.fleet import Fleet
from tests.fakes.custom_metrics import open_custom_metrics
from tests.fakes.waiting import PATIENCE

pytestmark = pytest.mark.real
FIGURE = "openmcp_requests_in_hand"


def test_the_page_makes_it_of_figures_that_exist() -> None:
    docs = K8S.parent / "docs"
    (rule,) = re.findall(r"^# prometheus-adapter\n(.*?)^```", (docs / "how-to" / "install.md").read_text(), re.M | re.S)
    names = set(re.findall(r"openmcp_\w+", rule)) - {FIGURE}
    assert len(names) == 2
    assert {name for name in names if f"`{name}`" not in (docs / "reference" / "figures.md").read_text()} == set()
    assert f"as: {FIGURE}" in rule


def test_replicas_are_added_while_requests_wait(real_fleet: Fleet) -> None:
    member = real_fleet.members[0]
    path = "/apis/autoscaling/v2/namespaces/openmcp/horizontalpodautoscalers/openmcp-apiserver"

    def scaled() -> dict[str, Any]:
        status: dict[str, Any] = member.client.get(path).get("status", {})
        return status

    def averages() -> list[str]:
        metrics = scaled().get("currentMetrics") or []
        return [each["pods"]["current"]["averageValue"] for each in metrics if "pods" in each]

    objects = render_chart("standalone", "--set", f"autoscaling.enabled=true,autoscaling.figure={FIGURE}")
    member.kubectl("apply", "--server-side", "-k", str(K8S / "namespace"))
    try:
        with open_custom_metrics(member, "openmcp", FIGURE, "3") as metrics:
            member.kubectl("apply", "--server-side", "--validate=strict", "-f", "-", stdin=yaml.safe_dump_all(objects))
            wait = member.servers.wait_until
            wait(lambda: averages() == ["3"], "the figure is known", PATIENCE)
            assert scaled()["desiredReplicas"] == 2
            metrics.value = "9"
            wait(lambda: scaled().get("currentReplicas", 0) >= 4, "replicas for 9 requests in hand of each", PATIENCE)
            assert metrics.asked == {"app.kubernetes.io/name=openmcp-apiserver"}
    finally:
        member.kubectl("delete", "namespace", "openmcp")
