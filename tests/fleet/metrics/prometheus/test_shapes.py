"""Series as fleets really have them: of their own times, without a node or a cluster, and of what began anew."""

import struct
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import replace

import pytest

from fleet.metrics.prometheus.opening import open_prometheus_store
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import ALL_MEASURES, NANOSECONDS, Aggregate, Kind, Measure, Point, TimeRange
from realfleet.series import build_scraped
from tests.fleet.metrics.prometheus.gateway import open_gateway
from tests.fleet.metrics.prometheus.times import fresh, passed_ns
from tests.fleet.metrics.stores import PROMETHEUS_STORES, FilledPrometheus, open_filled_prometheus
from tests.fleet.metrics.test_contract import NODE, NOW, WEB, ago, full_point

pytestmark = pytest.mark.real

CPU_MEMORY = frozenset({Measure.CPU_CORES, Measure.MEMORY_BYTES})
RECEIVED = Measure.NETWORK_RECEIVE_BYTES
Samples = Iterable[tuple[float, float]]
"""A value, and how many seconds ago."""


@pytest.fixture(params=["prometheus", "victoriametrics"])
async def filled(request: pytest.FixtureRequest) -> AsyncIterator[FilledPrometheus]:
    async with PROMETHEUS_STORES[request.param](request) as opened:
        yield opened


async def put(filled: FilledPrometheus, name: str, samples: Samples, **labels: str) -> None:
    cluster = filled.options.cluster_value.replace("{cluster}", WEB.cluster)
    named = {"__name__": name, "cluster": cluster, "namespace": WEB.namespace, "pod": WEB.name} | labels
    since_ns = passed_ns() if name in ("kube_node_info", "node_uname_info") else 0  # names of nodes are those of now
    times = sorted(((ago(seconds) + since_ns) // 1_000_000, value) for value, seconds in samples)
    kept = tuple(sorted((label, value) for label, value in named.items() if value))
    await filled.put([(kept, [(value, time_ms) for time_ms, value in times])])


async def put_container(filled: FilledPrometheus, name: str, cores: float, memory: float, seconds: list[float]) -> None:
    labels = {"container": name.partition("#")[0], "image": "an image", "id": f"/pods/{name}", "node": "n1"}
    grown = [(1000.0 - cores * second, second) for second in seconds]
    await put(filled, "container_cpu_usage_seconds_total", grown, **labels)
    await put(filled, "container_memory_working_set_bytes", [(memory, second) for second in seconds], **labels)


async def test_containers_that_were_measured_at_times_of_their_own_are_one_pod(filled: FilledPrometheus) -> None:
    """As cAdvisor tells times: no two containers' are the same."""
    await put_container(filled, "app", 0.5, 100, [90, 75, 60, 45, 30, 15])
    await put_container(filled, "sidecar", 0.25, 10, [83, 71, 54, 41.5, 22, 8])
    await put(
        filled,
        "container_network_receive_bytes_total",
        [(5000 - 20 * second, second) for second in (88, 68, 48, 28, 11)],
        interface="eth0",
    )
    usage = (await filled.store.latest(Kind.POD, frozenset({WEB}), CPU_MEMORY | {RECEIVED}))[WEB]
    assert (round(usage.cpu_cores or 0, 6), usage.memory_bytes) == (0.75, 110)
    assert usage.time_ns in (ago(15), ago(8))
    assert usage.network_receive_bytes_per_second == pytest.approx(20)
    window = TimeRange(ago(60), NOW, 30 * NANOSECONDS)
    columns = frozenset({(Measure.MEMORY_BYTES, Aggregate.MIN), (Measure.CPU_CORES, Aggregate.MEAN)})
    history = (await filled.store.history(Kind.POD, frozenset({WEB}), window, columns))[WEB]
    assert history.columns[Measure.MEMORY_BYTES, Aggregate.MIN] == [110, 110]
    assert history.columns[Measure.CPU_CORES, Aggregate.MEAN] == [pytest.approx(0.75)] * 2


async def test_a_container_that_began_anew_counts_once(filled: FilledPrometheus) -> None:
    await put_container(filled, "app#1", 0.5, 100, [90, 75, 60])
    await put_container(filled, "app#2", 0.25, 40, [45, 30, 15])
    found = await filled.store.latest(Kind.POD, frozenset({WEB}), CPU_MEMORY)
    points = await filled.store.points(Kind.POD, WEB, start_ns=ago(100), end_ns=None, limit=10)
    assert (round(found[WEB].cpu_cores or 0, 6), found[WEB].memory_bytes) == (0.25, 40)
    assert [point.memory_bytes for point in points] == [100, 100, 100, 40, 40, 40]


async def test_a_limit_that_not_every_container_has_leaves_no_figure_of_what_is_left(filled: FilledPrometheus) -> None:
    for container, limit in (("app", 500), ("sidecar", 0)):
        await put_container(filled, container, 0.1, 100, [30, 15])
        labels = {"container": container, "image": "an image", "id": f"/pods/{container}", "node": "n1"}
        await put(filled, "container_spec_memory_limit_bytes", [(limit, 30), (limit, 15)], **labels)
    left = frozenset({Measure.MEMORY_AVAILABLE_BYTES, Measure.MEMORY_BYTES})
    async with open_prometheus_store(replace(filled.options, most_samples=0)) as sums:
        for store in (filled.store, sums):
            found = await store.latest(Kind.POD, frozenset({WEB}), left)
            assert (found[WEB].memory_bytes, found[WEB].memory_available_bytes) == (200, None)


async def test_pods_and_nodes_whose_series_name_a_host_alone(filled: FilledPrometheus) -> None:
    """kube-state-metrics says which node has the address."""
    for name, samples in (
        ("container_memory_working_set_bytes", [(7.0, 20), (8.0, 10)]),
        ("container_cpu_usage_seconds_total", [(100.0, 20), (105.0, 10)]),
    ):
        labels = {"container": "app", "image": "an image", "id": "/pods/app", "instance": "10.1.2.3:10250"}
        await put(filled, name, samples, **labels)
        root = {"namespace": "", "pod": "", "id": "/", "instance": "10.1.2.3:10250"}
        await put(filled, name, samples, **root)
    await put(
        filled, "kube_node_info", [(1.0, 20), (1.0, 10)], namespace="", pod="", node=NODE.name, internal_ip="10.1.2.3"
    )
    nodes = await filled.store.latest(Kind.NODE, frozenset({NODE}), CPU_MEMORY)
    assert (nodes[NODE].cpu_cores, nodes[NODE].memory_bytes) == (0.5, 8)
    there = await filled.store.pods_on_nodes(frozenset({NODE}), ago(5))
    assert [placement.pod for placement in there[NODE]] == [WEB]
    (newest,) = await filled.store.points(Kind.POD, WEB, start_ns=None, end_ns=None, limit=1)
    assert newest.node == NODE.name


async def test_where_only_kube_state_metrics_tells_of_nodes(filled: FilledPrometheus) -> None:
    await put(filled, "kube_pod_info", [(1.0, 40), (1.0, 20), (1.0, 10)], node="n1", instance="kube-state-metrics")
    there = await filled.store.pods_on_nodes(frozenset({NodeKey("cluster1", "n1")}), ago(5))
    assert [placement.pod for placement in there[NodeKey("cluster1", "n1")]] == [WEB]


async def test_nodes_of_node_exporter_alone(filled: FilledPrometheus) -> None:
    of_node = {"namespace": "", "pod": "", "instance": "10.9.9.9:9100"}
    await put(filled, "node_uname_info", [(1.0, 20), (1.0, 10)], nodename="worker-9", **of_node)
    for cpu in ("0", "1"):
        for mode, seconds in (("idle", 6.0), ("user", 3.0), ("system", 1.0)):
            samples = [(100.0, 20), (100.0 + seconds, 10)]
            await put(filled, "node_cpu_seconds_total", samples, cpu=cpu, mode=mode, **of_node)
    for name, value in (("MemTotal", 1000.0), ("MemAvailable", 300.0)):
        await put(filled, f"node_memory_{name}_bytes", [(value, 20), (value, 10)], **of_node)
    key = NodeKey("cluster1", "worker-9")
    found = await filled.store.latest(Kind.NODE, frozenset({key}), ALL_MEASURES)
    assert (round(found[key].cpu_cores or 0, 6), found[key].memory_bytes) == (0.8, 700)
    assert found[key].memory_available_bytes == 300


async def test_of_network_devices_those_that_carry_others_traffic_do_not_count(filled: FilledPrometheus) -> None:
    counted = {"ens5": 10.0, "ens6": 5.0, "lo": 100.0, "veth12ab": 10.0, "cni0": 10.0, "docker0": 1.0}
    for device, growth in counted.items():
        samples = [(50.0, 20), (50.0 + growth, 10)]
        await put(
            filled, "node_network_receive_bytes_total", samples, namespace="", pod="", instance="n1", device=device
        )
    node = NodeKey("cluster1", "n1")
    found = await filled.store.latest(Kind.NODE, frozenset({node}), frozenset({RECEIVED}))
    assert found[node].network_receive_bytes_per_second == 1.5


async def test_a_prometheus_of_one_cluster_without_a_label_for_it(request: pytest.FixtureRequest) -> None:
    async with open_filled_prometheus(request.getfixturevalue("real_prometheus"), only_cluster="alone") as filled:
        pod = PodKey("alone", "of-one-cluster", "web-0")
        series = build_scraped([(pod, full_point(20)), (pod, full_point(10))])
        await filled.put((tuple(p for p in labels if p[0] != "cluster"), samples) for labels, samples in series)
        other = PodKey("other", "of-one-cluster", "web-0")
        found = await filled.store.latest(Kind.POD, frozenset({pod, other}), CPU_MEMORY)
        placed = await filled.store.placements(frozenset({pod, other}), start_ns=ago(60), end_ns=NOW)
        assert list(found) == [pod]
        assert {key.cluster: len(runs) for key, runs in placed.items()} == {"alone": 1, "other": 0}


async def test_where_a_pod_ran_within_a_day_is_told_by_the_minute(filled: FilledPrometheus) -> None:
    runs = {"n1": range(80_000, 60_000, -60), "n2": range(59_990, 40_000, -60)}
    points = [(WEB, Point(time_ns=ago(at), memory_bytes=1, node=node)) for node, times in runs.items() for at in times]
    await filled.write(points)
    found = await filled.store.placements(frozenset({WEB}), start_ns=ago(86_400), end_ns=NOW)
    assert [run.node for run in found[WEB]] == ["n1", "n2"]
    for run, times in zip(found[WEB], runs.values(), strict=True):
        assert abs(run.since_ns - ago(times[0])) <= 60 * NANOSECONDS
        assert abs(run.until_ns - ago(times[-1])) <= 60 * NANOSECONDS


async def test_pods_that_have_ended_are_not_looked_for_each_time(filled: FilledPrometheus) -> None:
    ended = PodKey("cluster1", "default", "ended")
    await filled.write((WEB, point) for point in fresh([full_point(20), full_point(10)]))
    async with (
        open_gateway(filled.server.url) as (url, gateway),
        open_prometheus_store(replace(filled.options, url=url)) as store,
    ):
        asked = []
        for _ in range(2):
            assert list(await store.latest(Kind.POD, frozenset({WEB, ended}), CPU_MEMORY)) == [WEB]
            asked.append(len(gateway.seen))
        assert asked[1] - asked[0] == 1 < asked[0]
        await filled.write((ended, point) for point in fresh([full_point(15), full_point(5)]))
        assert set(await store.latest(Kind.POD, frozenset({WEB, ended}), CPU_MEMORY)) == {WEB, ended}


async def test_a_series_that_was_told_to_have_ended_has_what_it_had(filled: FilledPrometheus) -> None:
    """Prometheus writes a certain NaN where a scrape no longer has a series."""
    (ended,) = struct.unpack("<d", bytes.fromhex("020000000000f07f"))
    labels = {"container": "app", "image": "an image", "id": "/pods/app", "node": "n1"}
    await put(filled, "container_memory_working_set_bytes", [(7.0, 30), (8.0, 20), (ended, 10)], **labels)
    points = await filled.store.points(Kind.POD, WEB, start_ns=ago(60), end_ns=None, limit=10)
    assert [(point.time_ns, point.memory_bytes) for point in points] == [(ago(30), 7), (ago(20), 8)]


async def test_what_was_written_twice_is_there_once(filled: FilledPrometheus) -> None:
    points = [full_point(30, 1), full_point(20, 2), full_point(10, 3)]
    for _ in range(2):
        await filled.write([(WEB, point) for point in points])
    found = await filled.store.points(Kind.POD, WEB, start_ns=ago(60), end_ns=None, limit=10)
    assert [round(point.cpu_cores or 0, 6) for point in found] == [round(point.cpu_cores or 0, 6) for point in points]


async def test_questions_are_cut_where_names_are_too_long_for_one(filled: FilledPrometheus) -> None:
    pods: Mapping[PodKey, Point] = {
        PodKey("cluster1", "default", f"{number:03d}-{'x' * 150}"): full_point(10, number) for number in range(300)
    }
    await filled.write(pods.items())
    found = await filled.store.latest(Kind.POD, frozenset(pods), frozenset({Measure.MEMORY_BYTES}))
    assert {pod: usage.memory_bytes for pod, usage in found.items()} == {
        pod: point.memory_bytes for pod, point in pods.items()
    }
