"""The real servers take points as series, at any age and in any order, and have of them what the points say."""

import math
import time

import pytest

from fleet.metrics.remote_write.encode import encode_write
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import NANOSECONDS, Point
from realfleet.metric_server import MetricServer
from realfleet.series import build_recorded, build_scraped

WEB = PodKey("cluster1", "default", "web-0")
NODE = NodeKey("cluster1", "n1")
NOW = int(time.time())
AGES = (5, 600, 3 * 3600, 90 * 86_400)


def point(age: int, step: int = 0) -> Point:
    return Point(
        time_ns=(NOW - age) * NANOSECONDS,
        cpu_cores=0.25 + step,
        memory_bytes=3 * 2**30 + step,
        memory_usage_bytes=4 * 2**30,
        memory_available_bytes=2**30,
        fs_used_bytes=7,
        fs_capacity_bytes=20,
        fs_available_bytes=10,
        network_receive_bytes=1000 - age % 1000,
        network_transmit_bytes=2,
        node="n1",
    )


@pytest.fixture(params=["real_prometheus", "real_victoria_metrics"])
def server(request: pytest.FixtureRequest) -> MetricServer:
    found: MetricServer = request.getfixturevalue(request.param)
    return found


def ask(server: MetricServer, expression: str, age: int) -> dict[str, float]:
    found = server.query(expression, time=NOW - age)
    return {
        series["metric"].get("pod", series["metric"].get("node", "")): float(series["value"][1]) for series in found
    }


def test_scraped_series_say_what_the_points_say(server: MetricServer) -> None:
    points = [point(age + before) for age in AGES for before in (0, 10)]
    series = build_scraped([(WEB, each) for each in points], [(NODE, each) for each in points], cluster="s-{cluster}")
    server.write(encode_write(series))
    of_pod = 'cluster="s-cluster1",namespace="default",container!="",container!="POD"'
    for age in AGES:
        cores = f"sum by (pod) (rate(container_cpu_usage_seconds_total{{{of_pod}}}[12s]))"
        memory = f"sum by (pod) (container_memory_working_set_bytes{{{of_pod}}})"
        node = 'container_memory_working_set_bytes{cluster="s-cluster1",id="/"}'
        assert ask(server, memory, age) == {"web-0": 3 * 2**30}
        assert math.isclose(ask(server, cores, age)["web-0"], 0.25)
        assert ask(server, node, age) == {"n1": 3 * 2**30}
        assert ask(server, 'kube_pod_info{cluster="s-cluster1"}', age) == {"web-0": 1}


def test_recorded_series_are_the_points(server: MetricServer) -> None:
    pods, nodes = [(WEB, point(age, age)) for age in AGES], [(NODE, point(age, age)) for age in AGES]
    server.write(encode_write(build_recorded(pods, nodes, cluster="r-{cluster}")))
    for age in AGES:
        assert ask(server, 'namespace_pod:cpu_cores:sum{cluster="r-cluster1",node="n1"}', age) == {"web-0": 0.25 + age}
        assert ask(server, 'node:fs_available_bytes:sum{cluster="r-cluster1"}', age) == {"n1": 10}


def test_what_was_written_outlives_a_restart(server: MetricServer) -> None:
    server.write(encode_write(build_recorded([(WEB, point(600))], cluster="k-{cluster}")))
    server.stop()
    server.start()
    assert ask(server, 'namespace_pod:memory_bytes:sum{cluster="k-cluster1"}', 600) == {"web-0": 3 * 2**30}
