"""Of many objects the sums are the server's own: what they are beside those of samples."""

import asyncio
import math
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from demo.metric_server import MetricServerConfig, MetricServerKind
from fleet.metrics.aggregate import build_history, build_usage
from fleet.metrics.prometheus.opening import open_prometheus_store
from fleet.model.objects import PodKey
from fleet.model.usage import ALL_MEASURES, NANOSECONDS, Aggregate, Kind, Measure, Point, TimeRange, Usage
from realfleet.metric_server import MetricServer
from realfleet.series import build_scraped
from tests.fleet.metrics.prometheus.times import fresh
from tests.fleet.metrics.stores import PROMETHEUS_STORES, FilledPrometheus, build_series, open_filled_prometheus
from tests.fleet.metrics.test_contract import NODE, NOW, WEB, ago, full_point, rounded

pytestmark = pytest.mark.real

WINDOW = TimeRange(ago(1200), NOW, 60 * NANOSECONDS)
EXACT = (Aggregate.MEAN, Aggregate.LAST)
CPU_MEMORY = frozenset({Measure.CPU_CORES, Measure.MEMORY_BYTES})
SCRAPES = [full_point(second, step) for step, second in enumerate(range(1500, 0, -15))]


def build_window() -> TimeRange:
    """The last twenty minutes by the minute, as those of `fresh` scrapes."""
    now = time.time_ns() // NANOSECONDS * NANOSECONDS
    return TimeRange(now - 1200 * NANOSECONDS, now, 60 * NANOSECONDS)


@asynccontextmanager
async def open_sums(request: pytest.FixtureRequest, name: str, **changes: Any) -> AsyncIterator[FilledPrometheus]:
    """The store of this name, which reads nothing sample by sample but what sums leave out."""
    server = request.getfixturevalue("real_victoria_metrics" if name == "victoriametrics" else "real_prometheus")
    options: dict[str, Any] = {"recorded": name == "recorded", "most_samples": 0, **changes}
    async with open_filled_prometheus(server, **options) as filled:
        yield filled


@pytest.fixture(params=list(PROMETHEUS_STORES))
async def sums(request: pytest.FixtureRequest) -> AsyncIterator[FilledPrometheus]:
    async with open_sums(request, request.param) as filled:
        yield filled


async def test_newest_usage_is_that_of_samples(sums: FilledPrometheus) -> None:
    scrapes = fresh(SCRAPES)
    await sums.write([(WEB, point) for point in scrapes], [(NODE, point) for point in scrapes])
    pods = await sums.store.latest(Kind.POD, frozenset({WEB}), ALL_MEASURES)
    nodes = await sums.store.latest(Kind.NODE, frozenset({NODE}), ALL_MEASURES)
    for kind, found in ((Kind.POD, pods[WEB]), (Kind.NODE, nodes[NODE])):
        kept = [sums.kept(kind, point) for point in scrapes]
        assert rounded(found) == build_usage(build_series(kept, ALL_MEASURES))


async def test_each_measure_is_the_newest_of_its_own(sums: FilledPrometheus) -> None:
    """Samples would say that the newest point has no CPU."""
    points = fresh([full_point(40), full_point(20), Point(time_ns=ago(10), memory_bytes=7)])
    await sums.write((WEB, point) for point in points)
    found = await sums.store.latest(Kind.POD, frozenset({WEB}), CPU_MEMORY)
    assert rounded(found[WEB]) == Usage(time_ns=points[-1].time_ns, cpu_cores=0.218250189, memory_bytes=7)


async def test_means_and_last_values_of_regular_scrapes_are_those_of_samples(sums: FilledPrometheus) -> None:
    columns = frozenset((measure, aggregate) for measure in Measure for aggregate in EXACT)
    await sums.write([(WEB, point) for point in SCRAPES], [(NODE, point) for point in SCRAPES])
    pods = await sums.store.history(Kind.POD, frozenset({WEB}), WINDOW, columns)
    nodes = await sums.store.history(Kind.NODE, frozenset({NODE}), WINDOW, columns)
    for kind, found in ((Kind.POD, pods[WEB]), (Kind.NODE, nodes[NODE])):
        kept = [sums.kept(kind, point) for point in SCRAPES]
        expected = build_history(build_series(kept, ALL_MEASURES), WINDOW, columns)
        assert expected is not None
        assert found.resolution_ns == expected.resolution_ns == 15 * NANOSECONDS
        for column, values in expected.columns.items():
            pairs = zip(found.columns[column], values, strict=True)
            assert all(a == b or math.isclose(a or 0, b or 0, rel_tol=1e-6) for a, b in pairs), column


async def test_bounds_and_percentiles_lie_among_the_samples_of_the_step(sums: FilledPrometheus) -> None:
    aggregates = (Aggregate.MIN, Aggregate.P50, Aggregate.P95, Aggregate.P99, Aggregate.MAX)
    await sums.write([(WEB, point) for point in SCRAPES])
    columns = frozenset((measure, aggregate) for measure in CPU_MEMORY for aggregate in aggregates)
    found = await sums.store.history(Kind.POD, frozenset({WEB}), WINDOW, columns)
    expected = build_history(build_series(SCRAPES, ALL_MEASURES), WINDOW, columns)
    assert expected is not None
    for measure in CPU_MEMORY:
        low, *between, high = (found[WEB].columns[measure, aggregate] for aggregate in aggregates)
        least, most = (expected.columns[measure, aggregate] for aggregate in (Aggregate.MIN, Aggregate.MAX))
        assert all(list(row) == sorted(map(float, row)) for row in zip(low, *between, high, strict=True) if all(row))
        # A sum is looked at every 15 s, and so may be of a scrape before the step: the figures grow by one a scrape.
        for near, exact in ((low, least), (high, most)):
            assert all(abs((a or 0) - (b or 0)) <= 1 + 1e-6 for a, b in zip(near, exact, strict=True))


async def test_steps_without_a_sample_and_objects_without_any_have_none(sums: FilledPrometheus) -> None:
    await sums.write([(WEB, Point(time_ns=ago(s), memory_bytes=v)) for s, v in ((100, 1), (61, 2), (60, 4), (20, 8))])
    other = PodKey("cluster1", "default", "other")
    window, column = TimeRange(ago(100), NOW, 20 * NANOSECONDS), (Measure.MEMORY_BYTES, Aggregate.LAST)
    found = await sums.store.history(Kind.POD, frozenset({WEB, other}), window, frozenset({column}))
    assert {key: history.columns for key, history in found.items()} == {WEB: {column: [1, 2, 4, None, 8]}}


@pytest.mark.parametrize("name", ["prometheus", "victoriametrics"])
async def test_containers_that_kubelets_tell_twice_count_once(request: pytest.FixtureRequest, name: str) -> None:
    """`/metrics/resource` has series of the same names as cAdvisor."""
    async with open_sums(request, name) as filled:
        series = build_scraped([(WEB, p) for p in fresh(SCRAPES)], cluster=filled.options.cluster_value, resource=True)
        await filled.put(series)
        found = await filled.store.latest(Kind.POD, frozenset({WEB}), CPU_MEMORY)
        assert rounded(found[WEB]).cpu_cores == SCRAPES[-1].cpu_cores
        assert found[WEB].memory_bytes == SCRAPES[-1].memory_bytes


@pytest.mark.parametrize("name", ["prometheus", "victoriametrics"])
async def test_pods_of_whose_containers_only_the_resource_endpoint_tells(
    request: pytest.FixtureRequest, name: str
) -> None:
    async with open_sums(request, name) as filled:
        series = build_scraped([(WEB, p) for p in fresh(SCRAPES)], cluster=filled.options.cluster_value, resource=True)
        await filled.put([each for each in series if not any(label == "id" for label, _ in each[0])])
        means = frozenset((measure, Aggregate.LAST) for measure in CPU_MEMORY)
        usage = await filled.store.latest(Kind.POD, frozenset({WEB}), CPU_MEMORY)
        history = await filled.store.history(Kind.POD, frozenset({WEB}), build_window(), means)
        assert rounded(usage[WEB]).cpu_cores == SCRAPES[-1].cpu_cores
        assert history[WEB].columns[Measure.MEMORY_BYTES, Aggregate.LAST][-1] == SCRAPES[-1].memory_bytes


@pytest.mark.parametrize("name", ["prometheus", "victoriametrics"])
async def test_nodes_that_two_jobs_scrape_count_once(request: pytest.FixtureRequest, name: str) -> None:
    async with open_sums(request, name) as filled:
        series = build_scraped(nodes=[(NODE, p) for p in fresh(SCRAPES)], cluster=filled.options.cluster_value)
        for job in ("kubelet", "another"):
            await filled.put([(tuple(sorted({**dict(each), "job": job}.items())), points) for each, points in series])
        columns = frozenset((measure, Aggregate.LAST) for measure in CPU_MEMORY)
        async with open_prometheus_store(replace(filled.options, most_samples=10**9)) as samples:
            for store in (filled.store, samples):
                usage = await store.latest(Kind.NODE, frozenset({NODE}), CPU_MEMORY)
                history = await store.history(Kind.NODE, frozenset({NODE}), build_window(), columns)
                assert rounded(usage[NODE]).cpu_cores == SCRAPES[-1].cpu_cores
                assert history[NODE].columns[Measure.MEMORY_BYTES, Aggregate.LAST][-1] == SCRAPES[-1].memory_bytes


async def test_a_victoriametrics_that_keeps_its_newest_half_minute_back(
    start_real_metric_server: Callable[..., MetricServer],
) -> None:
    """As it does unless told otherwise: newest usage is not held back, charts of many objects are."""
    config = MetricServerConfig(flags=("-search.latencyOffset=30s",))
    server = await asyncio.to_thread(start_real_metric_server, MetricServerKind.VICTORIA_METRICS, config)
    now = time.time_ns() // NANOSECONDS * NANOSECONDS
    points = [Point(time_ns=now - s * NANOSECONDS, memory_bytes=1000 - s) for s in range(90, 0, -5)]
    window, column = TimeRange(now - 90 * NANOSECONDS, now, 15 * NANOSECONDS), (Measure.MEMORY_BYTES, Aggregate.LAST)
    async with open_filled_prometheus(server, most_samples=0, recorded=True) as filled:
        await filled.write([(WEB, point) for point in points])
        usage = await filled.store.latest(Kind.POD, frozenset({WEB}), frozenset({Measure.MEMORY_BYTES}))
        history = await filled.store.history(Kind.POD, frozenset({WEB}), window, frozenset({column}))
    assert usage == {WEB: Usage(time_ns=points[-1].time_ns, memory_bytes=995)}
    *known, before_last, last = history[WEB].columns[column]
    assert known == [920, 935, 950, 965]
    assert before_last == last


async def test_clusters_by_another_label_and_by_none(request: pytest.FixtureRequest) -> None:
    columns = frozenset({(Measure.MEMORY_BYTES, Aggregate.LAST)})
    pod, none = PodKey("cluster1", "of-no-label", "web-0"), PodKey("cluster1", "of-no-label", "none")
    async with open_sums(request, "prometheus", cluster_label="k8s") as other:
        await other.write((pod, point) for point in fresh(SCRAPES))
        async with open_prometheus_store(replace(other.options, only_cluster="cluster1")) as alone:
            for store in (other.store, alone):
                usage = await store.latest(Kind.POD, frozenset({pod, none}), CPU_MEMORY)
                history = await store.history(Kind.POD, frozenset({pod, none}), build_window(), columns)
                assert (list(usage), list(history)) == ([pod], [pod])
                assert rounded(usage[pod]).cpu_cores == SCRAPES[-1].cpu_cores


async def test_many_pods_among_more_are_each_their_own(sums: FilledPrometheus) -> None:
    keys = [PodKey(f"cluster{i % 2}", f"ns{i % 3}", f"web-{i}") for i in range(1000)]
    points = fresh(Point(time_ns=ago(5), cpu_cores=float(i), memory_bytes=i, node="n1") for i in range(len(keys)))
    await sums.write(zip(keys, points, strict=True))
    for _ in range(2):  # the second time it is known that most in these namespaces are others
        for wanted in (keys[:301], keys[:40]):
            usage = await sums.store.latest(Kind.POD, frozenset(wanted), CPU_MEMORY)
            assert {key: value.memory_bytes for key, value in usage.items()} == {k: i for i, k in enumerate(wanted)}
