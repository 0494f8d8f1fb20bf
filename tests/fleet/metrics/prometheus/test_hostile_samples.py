"""Samples that are no numbers, containers that agree by halves, and what has ended: sample by sample and as sums."""

import math
import struct
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from fleet.metrics.pool import HttpAnswer
from fleet.metrics.prometheus.answer import Decoder
from fleet.metrics.prometheus.opening import open_prometheus_store
from fleet.model.errors import MetricsUnavailable
from fleet.model.objects import PodKey
from fleet.model.usage import NANOSECONDS, Aggregate, Kind, Measure, TimeRange
from fleet.ports import MetricStore
from tests.fleet.metrics.prometheus.test_shapes import CPU_MEMORY, RECEIVED, put, put_container
from tests.fleet.metrics.stores import PROMETHEUS_STORES, FilledPrometheus
from tests.fleet.metrics.test_contract import NOW, WEB, ago, full_point

pytestmark = pytest.mark.real

ENDED = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
"""What Prometheus writes where a series was not scraped any more."""
SCRAPES = [90.0, 75.0, 60.0, 45.0, 30.0, 15.0]
CPU_MEAN = (Measure.CPU_CORES, Aggregate.MEAN)
MEMORY_MIN = (Measure.MEMORY_BYTES, Aggregate.MIN)


@pytest.fixture(params=["prometheus", "victoriametrics"])
async def filled(request: pytest.FixtureRequest) -> AsyncIterator[FilledPrometheus]:
    async with PROMETHEUS_STORES[request.param](request) as opened:
        yield opened


@pytest.fixture(params=[20_000, 0], ids=["samples", "sums"])
async def store(request: pytest.FixtureRequest, filled: FilledPrometheus) -> AsyncIterator[MetricStore]:
    async with open_prometheus_store(replace(filled.options, most_samples=request.param)) as opened:
        yield opened


@pytest.mark.parametrize("odd", [math.nan, math.inf, -math.inf], ids=str)
@pytest.mark.parametrize("name", ["container_memory_working_set_bytes", "container_cpu_usage_seconds_total"])
async def test_what_is_no_number_is_no_sample(
    filled: FilledPrometheus, store: MetricStore, name: str, odd: float
) -> None:
    other = PodKey(WEB.cluster, WEB.namespace, "other")
    await put_container(filled, "app", 0.5, 100, SCRAPES)
    await put(filled, name, [(odd, 5)], container="app", image="an image", id="/pods/app", node="n1")
    await filled.write([(other, full_point(20)), (other, full_point(5))])
    found = await store.latest(Kind.POD, frozenset({WEB, other}), CPU_MEMORY)
    assert found[other].memory_bytes == full_point(5).memory_bytes
    values = [found[WEB].cpu_cores, found[WEB].memory_bytes] if WEB in found else []
    history = await store.history(
        Kind.POD, frozenset({WEB}), TimeRange(ago(90), NOW, 30 * NANOSECONDS), frozenset({CPU_MEAN, MEMORY_MIN})
    )
    values += [value for column in history[WEB].columns.values() for value in column]
    assert all(value is None or math.isfinite(value) for value in values)
    points = await store.points(Kind.POD, WEB, start_ns=ago(90), end_ns=None, limit=10)
    assert {point.memory_bytes for point in points} <= {100, None}


async def test_containers_that_share_half_of_their_times_count_both(
    filled: FilledPrometheus, store: MetricStore
) -> None:
    await put_container(filled, "app", 0.5, 100, SCRAPES)
    await put_container(filled, "sidecar", 0.25, 10, [90, 74.9, 60, 44.9, 30, 14.9])
    usage = (await store.latest(Kind.POD, frozenset({WEB}), CPU_MEMORY))[WEB]
    assert (usage.memory_bytes, round(usage.cpu_cores or 0, 6)) == (110, 0.75)
    window = TimeRange(ago(90), NOW, 15 * NANOSECONDS)
    history = (await store.history(Kind.POD, frozenset({WEB}), window, frozenset({MEMORY_MIN})))[WEB]
    assert {*history.columns[MEMORY_MIN]} <= {110, None}


async def test_a_pod_without_a_first_device_has_the_network_of_others(
    filled: FilledPrometheus, store: MetricStore
) -> None:
    await put_container(filled, "app", 0.5, 100, SCRAPES)
    for device, by in (("ens5", 20), ("net1", 5), ("veth1", 1000)):
        grown = [(90_000.0 - by * second, second) for second in SCRAPES]
        await put(filled, "container_network_receive_bytes_total", grown, interface=device, image="a", id="/x")
    usage = (await store.latest(Kind.POD, frozenset({WEB}), CPU_MEMORY | {RECEIVED}))[WEB]
    assert usage.network_receive_bytes_per_second == pytest.approx(25)
    columns = frozenset({(RECEIVED, Aggregate.MEAN)})
    history = await store.history(Kind.POD, frozenset({WEB}), TimeRange(ago(60), NOW, 30 * NANOSECONDS), columns)
    assert history[WEB].columns[RECEIVED, Aggregate.MEAN] == [pytest.approx(25)] * 2


async def test_clusters_that_are_scraped_at_other_intervals_have_all_their_steps(
    filled: FilledPrometheus, store: MetricStore
) -> None:
    slow = PodKey("slow", "default", "web-0")
    fast = [PodKey("fast", "default", f"web-{number}") for number in range(6)]
    await filled.write([(slow, full_point(second)) for second in range(1207, 0, -60)])
    await filled.write([(key, full_point(second)) for key in fast for second in range(1200, 0, -15)])
    window = TimeRange(ago(600), NOW, 60 * NANOSECONDS)
    found = await store.history(Kind.POD, frozenset({slow, *fast}), window, frozenset({CPU_MEAN}))
    for key, seconds in ((slow, 60), *((key, 15) for key in fast)):
        assert found[key].resolution_ns == seconds * NANOSECONDS
        assert found[key].columns[CPU_MEAN] == [pytest.approx(0.218250189)] * 10


async def test_a_container_that_ended_counts_no_more(filled: FilledPrometheus, store: MetricStore) -> None:
    """It used more than the one that is there since, and its samples are in the span that rates are of."""
    await put_container(filled, "app#1", 3, 5000, [second + 45 for second in SCRAPES])
    labels = {"container": "app", "image": "an image", "id": "/pods/app#1", "node": "n1"}
    for name in ("container_cpu_usage_seconds_total", "container_memory_working_set_bytes"):
        await put(filled, name, [(ENDED, 50)], **labels)
    await put_container(filled, "app#2", 0.5, 100, [45, 30, 15])
    usage = (await store.latest(Kind.POD, frozenset({WEB}), CPU_MEMORY))[WEB]
    assert (usage.memory_bytes, round(usage.cpu_cores or 0, 6)) == (100, 0.5)


@pytest.mark.parametrize("time", ['"nan"', '"inf"', "1e300", "-5"])
def test_an_answer_whose_times_are_none_is_refused(time: str) -> None:
    body = f'{{"data": {{"result": [{{"metric": {{}}, "values": [[{time}, "1"]]}}]}}}}'.encode()
    with pytest.raises(MetricsUnavailable, match="not one of its query API"):
        Decoder("cluster").decode(HttpAnswer(body, {}))
