"""Each alert fires for what it is about, alone, and none where all is well: `promtool` says so."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from server.figures.own import ROOMS
from tests.required import need

ROOT = Path(__file__).parents[2]
ALERTS = ROOT / "k8s" / "monitoring" / "alerts.yaml"
HOURS = 7
MINUTES = 60 * HOURS
STEADY = f"x{MINUTES}"
BUCKETS = ("0.005", "0.025", "0.1", "0.5", "2.5", "10.0", "+Inf")
AT = '{job="openmcp",instance="a"}'
TIME = "openmcp_graphql_operation_duration_seconds"


def histogram(name: str, counts: tuple[int, ...], labels: str = 'job="openmcp",instance="a"') -> dict[str, str]:
    """So many more a minute up to each bound."""
    found = {
        f'{name}_bucket{{{labels},le="{le}"}}': f"0+{count}{STEADY}" for le, count in zip(BUCKETS, counts, strict=True)
    }
    return found | {f"{name}_count{{{labels}}}": f"0+{counts[-1]}{STEADY}"}


QUICK = (40, 90, 98, 100, 100, 100, 100)
WELL = {
    f"openmcp_up{AT}": f"1+0{STEADY}",
    'openmcp_cluster_ready{cluster="c1"}': f"1+0{STEADY}",
    'openmcp_cluster_age_seconds{cluster="c1"}': f"1+0{STEADY}",
    'openmcp_cluster_usage_age_seconds{cluster="c1"}': f"20+0{STEADY}",
    f"openmcp_metric_store_up{AT}": f"1+0{STEADY}",
    f"openmcp_requests_refused_total{AT}": f"0+1{STEADY}",
    f"openmcp_requests_at_work{AT}": f"2+0{STEADY}",
    f"openmcp_requests_waiting{AT}": f"1+0{STEADY}",
    f"openmcp_http_connections_refused_total{AT}": f"0+0{STEADY}",
    'openmcp_http_requests_total{route="/graphql",code="200"}': f"0+100{STEADY}",
    'openmcp_http_requests_total{route="/clusters/*",code="500"}': f"0+50{STEADY}",
    'openmcp_graphql_operations_total{outcome="ok"}': f"0+100{STEADY}",
    'openmcp_graphql_operations_total{outcome="partial"}': f"0+50{STEADY}",
    'openmcp_sign_ins_total{outcome="refused"}': f"0+2{STEADY}",
    f"openmcp_certificate_end_timestamp_seconds{AT}": f"{90 * 86400}+0{STEADY}",
    'openmcp_collected_waiting_seconds{store="prometheus"}': f"10+0{STEADY}",
    'openmcp_collected_points_lost_total{store="prometheus"}': f"7+0{STEADY}",
    f"process_resident_memory_bytes{AT}": f"{400 << 20}+0{STEADY}",
    'process_resident_memory_bytes{job="another",instance="a"}': f"{4000 << 20}+0{STEADY}",
    f"openmcp_memory_limit_bytes{AT}": f"{1 << 30}+0{STEADY}",
    f"openmcp_state_connected{AT}": f"1+0{STEADY}",
    'openmcp_state_writer{cluster="c1",instance="a"}': f"0+0{STEADY}",
    'openmcp_state_writer{cluster="c1",instance="b"}': f"1+0{STEADY}",
    f"openmcp_audit_lines_lost_total{AT}": f"3+0{STEADY}",
    f"openmcp_metric_file_early_seconds{AT}": f"0+0{STEADY}",
    **histogram(TIME, QUICK),
    **histogram("openmcp_event_loop_lag_seconds", (230, 238, 240, 240, 240, 240, 240)),
}

FIRING: dict[str, dict[str, str]] = {
    "OpenmcpNothingScraped": {f"openmcp_up{AT}": f"1x{MINUTES - 30} _x30"},
    "OpenmcpClusterDown": {
        'openmcp_cluster_ready{cluster="c1"}': f"0+0{STEADY}",
        'openmcp_cluster_age_seconds{cluster="c1"}': f"900+60{STEADY}",
    },
    "OpenmcpClusterStale": {'openmcp_cluster_age_seconds{cluster="c1"}': f"90+0{STEADY}"},
    "OpenmcpMetricStoreDown": {
        f"openmcp_metric_store_up{AT}": f"0+0{STEADY}",
        'openmcp_cluster_usage_age_seconds{cluster="c1"}': f"20+60{STEADY}",
    },
    "OpenmcpUsageOld": {'openmcp_cluster_usage_age_seconds{cluster="c1"}': f"20x{MINUTES - 30} _x30"},
    "OpenmcpShedding": {f"openmcp_requests_refused_total{AT}": f"0+30{STEADY}"},
    # The last hour is slow, and the hours before were quick enough for six hours to be within their bound.
    "OpenmcpSlow": {
        f'{TIME}_bucket{{job="openmcp",instance="a",le="0.5"}}': f"0+100x{MINUTES - 61} {100 * (MINUTES - 61)}+75x61"
    },
    "OpenmcpSlowForHours": histogram(TIME, (40, 80, 85, 90, 100, 100, 100)),
    "OpenmcpFaults": {'openmcp_graphql_operations_total{outcome="failed"}': f"0+5{STEADY}"},
    "OpenmcpSignInsRefused": {'openmcp_sign_ins_total{outcome="delayed"}': f"0+20{STEADY}"},
    "OpenmcpCertificateEnds": {f"openmcp_certificate_end_timestamp_seconds{AT}": f"{6 * 86400}+0{STEADY}"},
    "OpenmcpCollectorBehind": {'openmcp_collected_waiting_seconds{store="prometheus"}': f"300+0{STEADY}"},
    "OpenmcpPointsLost": {'openmcp_collected_points_lost_total{store="prometheus"}': f"7x{MINUTES - 5} 90x5"},
    "OpenmcpEventLoopLate": histogram("openmcp_event_loop_lag_seconds", (100, 150, 200, 220, 240, 240, 240)),
    "OpenmcpMemoryNearLimit": {f"process_resident_memory_bytes{AT}": f"{1000 << 20}+0{STEADY}"},
    "OpenmcpNatsLost": {f"openmcp_state_connected{AT}": f"0+0{STEADY}"},
    "OpenmcpNoWriter": {'openmcp_state_writer{cluster="c1",instance="b"}': f"0+0{STEADY}"},
    "OpenmcpAuditLinesLost": {f"openmcp_audit_lines_lost_total{AT}": f"3x{MINUTES - 5} 4x5"},
    "OpenmcpMetricFileSmall": {f"openmcp_metric_file_early_seconds{AT}": f"60+60{STEADY}"},
}


def rules(kind: str) -> list[dict[str, Any]]:
    groups = yaml.safe_load(ALERTS.read_text())["groups"]
    return [rule for group in groups for rule in group["rules"] if kind in rule]


def build_test(name: str, changed: dict[str, str], firing: list[str]) -> dict[str, Any]:
    fire = [{"labels": f'{{alertname="{alert}"}}', "value": 1} for alert in firing]
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": series, "values": values} for series, values in (WELL | changed).items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{MINUTES}m",
                "exp_samples": fire,
            }
        ],
    }


def test_an_alert_fires_for_what_it_is_about_alone(tmp_path: Path) -> None:
    """One of the two of latency is implied by the other where a whole day is slow, and by nothing else."""
    tests = [build_test("all is well", {}, [])]
    tests += [build_test(alert, changed, [alert]) for alert, changed in FIRING.items()]
    file = tmp_path / "test.yaml"
    file.write_text(yaml.safe_dump({"rule_files": [str(ALERTS)], "evaluation_interval": "5m", "tests": tests}))
    done = subprocess.run(
        [need("promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_is_tried_and_says_what_to_do() -> None:
    alerts = rules("alert")
    assert [rule["alert"] for rule in alerts] == list(FIRING)
    page = (ROOT / "docs" / "troubleshooting.md").read_text()
    anchors = {heading.lower().replace(" ", "-") for heading in re.findall(r"^#+ (.+)$", page, re.MULTILINE)}
    links = {rule["annotations"]["runbook_url"] for rule in alerts}
    assert {link.partition("#")[0] for link in links} == {"docs/troubleshooting.md"}
    assert {link.partition("#")[2] for link in links} <= anchors


@pytest.mark.parametrize(
    "rule", [*rules("alert"), *rules("record")], ids=lambda rule: rule.get("alert") or rule["record"]
)
def test_rules_are_of_figures_that_there_are(rule: dict[str, Any]) -> None:
    known = {figure.name for room in ROOMS.values() for figure in room}
    named = set(re.findall(r"(?<!:)\bopenmcp_[a-z_0-9]+", rule["expr"]))
    assert {re.sub("_(bucket|count|sum)$", "", name) for name in named} <= known
