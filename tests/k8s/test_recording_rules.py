"""The recording rules make of scraped series what the points behind them say: `promtool` says so."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from fleet.metrics.recorded import recorded_name
from fleet.metrics.remote_write.encode import Labels, Series
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import ALL_MEASURES, NANOSECONDS, Kind, Point
from realfleet.series import build_recorded, build_scraped
from tests.required import need

RULES = Path(__file__).parents[2] / "k8s" / "prometheus" / "recording-rules.yaml"
INTERVAL = 16
LAST = 16
NODES = {name: NodeKey(cluster, name) for cluster, name in (("cluster1", "n1"), ("cluster2", "n2"))}
FREE = 40 * 2**30


def points(cores: float, node: str, **changes: Any) -> list[Point]:
    figures = {
        "memory_bytes": 3 * 2**20,
        "memory_usage_bytes": 4 * 2**20,
        "memory_available_bytes": 2**20,
        "fs_used_bytes": 9 * 2**30,
        "fs_capacity_bytes": 50 * 2**30,
        "fs_available_bytes": FREE,
    }
    return [
        Point(
            time_ns=number * INTERVAL * NANOSECONDS,
            cpu_cores=cores,
            network_receive_bytes=number * 1000,
            network_transmit_bytes=number * 500,
            node=node,
            **figures | changes,
        )
        for number in range(LAST + 1)
    ]


PODS = {
    PodKey("cluster1", "default", "web"): points(0.5, "n1"),
    PodKey("cluster1", "default", "web-odd"): points(2.0, "n1"),
    PodKey("cluster2", "default", "web"): points(0.125, "n2", memory_available_bytes=None),
}
PODS_BY_POINT = [(key, point) for key, there in PODS.items() for point in there]
NODES_BY_POINT = [(key, point) for key in NODES.values() for point in points(4.0, key.name)]


def build_test(series: list[Series], expected: list[Series]) -> dict[str, Any]:
    """What `promtool test rules` reads: series as scraped, and all that rules have to have made of them at the end."""
    names = {dict(labels)["__name__"] for labels, _ in expected}
    wanted = {
        name: [
            {"labels": format_labels(labels), "value": samples[-1][0]}
            for labels, samples in expected
            if dict(labels)["__name__"] == name
        ]
        for name in names
    }
    end = f"{INTERVAL * LAST}s"
    return {
        "rule_files": [str(RULES)],
        "evaluation_interval": f"{INTERVAL}s",
        "tests": [
            {
                "interval": f"{INTERVAL}s",
                "input_series": [{"series": format_labels(labels), "values": format_values(s)} for labels, s in series],
                "promql_expr_test": [
                    {"expr": name, "eval_time": end, "exp_samples": samples} for name, samples in wanted.items()
                ],
            }
        ],
    }


def format_labels(labels: Labels) -> str:
    """As promtool writes a series."""
    name, *others = (value if key == "__name__" else f'{key}="{value}"' for key, value in labels)
    return f"{name}{{{', '.join(others)}}}"


def format_values(samples: Any) -> str:
    by_time = {time_ms: value for value, time_ms in samples}
    return " ".join(str(by_time.get(number * INTERVAL * 1000, "_")) for number in range(LAST + 1))


def run_promtool(folder: Path, series: list[Series]) -> str:
    """What it has to say; empty where all is as expected."""
    file = folder / "test.yaml"
    file.write_text(yaml.safe_dump(build_test(series, build_recorded(PODS_BY_POINT, NODES_BY_POINT))))
    done = subprocess.run(
        [need("promtool"), "test", "rules", str(file)], capture_output=True, text=True, check=False, timeout=60
    )
    return "" if done.returncode == 0 else done.stdout + done.stderr


def restart(series: list[Series]) -> list[Series]:
    """Each container began anew a while ago: rows of the one before are still there, and say less."""
    return series + [
        (
            (*(pair for pair in labels if pair[0] != "id"), ("id", "/before")),
            [(value / 2, time) for value, time in samples],
        )
        for labels, samples in series
        if dict(labels).get("container") in ("app", "sidecar")
    ]


def test_promtool_takes_the_file() -> None:
    done = subprocess.run(
        [need("promtool"), "check", "rules", str(RULES)], capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr


def test_a_rule_for_each_measure_of_pods_and_nodes() -> None:
    records = [rule["record"] for group in yaml.safe_load(RULES.read_text())["groups"] for rule in group["rules"]]
    assert sorted(records) == sorted(recorded_name(kind, measure) for kind in Kind for measure in ALL_MEASURES)


@pytest.mark.parametrize("resource", [False, True], ids=["cadvisor", "both paths of kubelets"])
def test_what_is_recorded_is_what_the_points_say(tmp_path: Path, resource: bool) -> None:
    assert run_promtool(tmp_path, build_scraped(PODS_BY_POINT, NODES_BY_POINT, resource=resource)) == ""


def test_a_container_that_was_restarted_counts_once(tmp_path: Path) -> None:
    assert run_promtool(tmp_path, restart(build_scraped(PODS_BY_POINT, NODES_BY_POINT))) == ""


def test_a_node_that_two_jobs_scrape_counts_once(tmp_path: Path) -> None:
    series = build_scraped(PODS_BY_POINT, NODES_BY_POINT)
    again = [
        (
            tuple(
                (name, {"job": "other", "instance": f"10.0.0.1:9100 of {value}"}.get(name, value))
                for name, value in labels
            ),
            samples,
        )
        for labels, samples in series
        if "pod" not in dict(labels)
    ]
    assert run_promtool(tmp_path, series + again) == ""
