"""Rounds over members that answer in full, in part, in another way, and not at all; written to a real file."""

import asyncio
import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fleet.collector.collect import Collector, CollectorOptions, open_collector
from fleet.metrics.embedded.store import EmbeddedOptions, EmbeddedStore, open_embedded_store
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import ALL_MEASURES, NANOSECONDS, Kind, Point, Usage
from fleet.registry import open_federation
from tests.fakes.kubernetes import FakeCluster, FakeSource
from tests.fakes.waiting import PATIENCE, until
from tests.fleet.collector.summaries import FULL_NODE, FULL_POD, build_metrics, build_summary
from tests.fleet.conftest import (
    OPTIONS,
    Fleet,
    OpenFleet,
    build_cluster,
    open_fleet_fixture,  # noqa: F401 - the fixture `open_fleet`
)

NOW = 1_800_000_000 * NANOSECONDS
P0, P1 = PodKey("c1", "shop", "p0"), PodKey("c1", "ops", "p1")
N1, N2 = NodeKey("c1", "n1"), NodeKey("c1", "n2")
SUMMARY = "/api/v1/nodes/{}/proxy/stats/summary"
METRICS = "/apis/metrics.k8s.io/v1beta1/{}"
REFUSED = (403, b'{"kind":"Status","status":"Failure","code":403}')


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[EmbeddedStore]:
    async with open_embedded_store(EmbeddedOptions(tmp_path / "usage.db", clock=lambda: NOW)) as opened:
        yield opened


def serve_kubelets(cluster: FakeCluster) -> None:
    cluster.statuses[SUMMARY.format("n1")] = (200, build_summary("n1", ("shop", "p0")))
    cluster.statuses[SUMMARY.format("n2")] = (200, build_summary("n2", ("ops", "p1")))


def serve_metrics(cluster: FakeCluster) -> None:
    for node in ("n1", "n2"):
        cluster.statuses[SUMMARY.format(node)] = REFUSED
    nodes, pods = build_metrics()
    cluster.statuses[METRICS.format("nodes")] = (200, nodes)
    cluster.statuses[METRICS.format("pods")] = (200, pods)


def build_collector(fleet: Fleet, store: EmbeddedStore) -> Collector:
    return Collector(fleet.federation, store, CollectorOptions(interval=0.5, timeout=0.3, clock=lambda: NOW))


async def newest(store: EmbeddedStore, kind: Kind, key: PodKey | NodeKey) -> list[Point]:
    return await store.points(kind, key, start_ns=None, end_ns=None, limit=1)


async def test_kubelets_tell_all_measures_at_one_time(open_fleet: OpenFleet, store: EmbeddedStore) -> None:
    async with open_fleet("c1") as fleet:
        serve_kubelets(fleet["c1"])
        collector = build_collector(fleet, store)
        await collector.collect()
        assert collector.sources == {"c1": "its kubelets"}
    assert await newest(store, Kind.POD, P1) == [Point(time_ns=NOW, node="n2", **FULL_POD)]
    assert await newest(store, Kind.NODE, N1) == [Point(time_ns=NOW, node="n1", **FULL_NODE)]


async def test_metrics_k8s_io_is_asked_where_kubelets_may_not_be(open_fleet: OpenFleet, store: EmbeddedStore) -> None:
    async with open_fleet("c1") as fleet:
        serve_metrics(fleet["c1"])
        collector = build_collector(fleet, store)
        await collector.collect()
        await collector.collect()
        assert collector.sources == {"c1": "metrics.k8s.io"}
        assert fleet["c1"].count(SUMMARY.format("n1")) == 1
    expected = Point(time_ns=NOW, cpu_cores=0.75, memory_bytes=3 * 2**20, node="n1")
    assert await newest(store, Kind.POD, P0) == [expected]
    assert await store.latest(Kind.NODE, frozenset({N1, N2}), ALL_MEASURES) == {
        N1: Usage(time_ns=NOW, cpu_cores=1.5, memory_bytes=2**30)
    }


async def test_a_kubelet_that_is_down_costs_its_own_node(open_fleet: OpenFleet, store: EmbeddedStore) -> None:
    async with open_fleet("c1") as fleet:
        serve_kubelets(fleet["c1"])
        fleet["c1"].statuses[SUMMARY.format("n1")] = (502, b"dial tcp: refused")
        await build_collector(fleet, store).collect()
    assert await newest(store, Kind.POD, P0) == []
    assert len(await newest(store, Kind.POD, P1)) == 1


@pytest.mark.parametrize(
    ("status", "body", "said"),
    [
        (404, b"404 page not found", "nothing: /apis/metrics.k8s.io/v1beta1/nodes is answered with 404"),
        (200, b'{"items":[{"metadata":{}}]}', "nothing: not what the Kubernetes API promises"),
        (200, b'{"items":[{"metadata":{"name":"n"},"usage":{"cpu":"many"}}]}', "nothing: 'many' is not a quantity"),
        (200, b"<html>", "nothing: not what the Kubernetes API promises"),
    ],
)
async def test_a_member_without_usage_is_told_of_and_others_are_collected(
    open_fleet: OpenFleet, store: EmbeddedStore, status: int, body: bytes, said: str
) -> None:
    async with open_fleet("c1", "c2") as fleet:
        serve_kubelets(fleet["c1"])
        serve_metrics(fleet["c2"])
        fleet["c2"].statuses[METRICS.format("nodes")] = (status, body)
        collector = build_collector(fleet, store)
        await collector.collect()
        assert collector.sources["c2"].startswith(said)
    assert len(await newest(store, Kind.POD, P0)) == 1


async def test_a_member_is_asked_while_it_is_ours(open_fleet: OpenFleet, store: EmbeddedStore) -> None:
    ours = {"c1"}
    async with open_fleet("c1", "c2") as fleet:
        for name in ("c1", "c2"):
            serve_kubelets(fleet[name])
        options = CollectorOptions(clock=lambda: NOW, is_ours=ours.__contains__)
        collector = Collector(fleet.federation, store, options)
        await collector.collect()
        assert (collector.sources, fleet["c2"].count(SUMMARY.format("n1"))) == ({"c1": "its kubelets"}, 0)
        ours.symmetric_difference_update({"c1", "c2"})
        await collector.collect()
        assert (collector.sources, fleet["c1"].count(SUMMARY.format("n1"))) == ({"c2": "its kubelets"}, 1)


async def test_a_member_s_lasting_trouble_is_told_once_and_its_end(
    open_fleet: OpenFleet, store: EmbeddedStore, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fleet.collector")
    async with open_fleet("c1") as fleet:
        serve_metrics(fleet["c1"])
        collector = build_collector(fleet, store)
        await collector.collect()
        fleet["c1"].refusing = True
        words: set[str] = set()
        async with asyncio.timeout(PATIENCE):
            while len(words) < 4:  # they count attempts
                await collector.collect()
                words.add(collector.sources["c1"])
        fleet["c1"].refusing = False
        async with asyncio.timeout(PATIENCE):
            while collector.sources["c1"].startswith("nothing"):
                await collector.collect()

    told = [record for record in caplog.records if record.name == "fleet.collector.collect"]
    before, *trouble, after = [(record.levelname, record.getMessage().partition(":")[0]) for record in told]
    assert before == ("INFO", "usage of cluster c1 comes from metrics.k8s.io")
    assert trouble == [("WARNING", "no usage of cluster c1 is collected")]
    assert after == before


async def test_a_member_that_hangs_costs_its_own_delivery(open_fleet: OpenFleet, store: EmbeddedStore) -> None:
    async with open_fleet("c1", "c2") as fleet:
        serve_kubelets(fleet["c1"])
        fleet["c2"].answering.clear()
        collector = build_collector(fleet, store)
        async with asyncio.timeout(PATIENCE):
            await collector.collect()
        assert collector.sources["c2"].startswith("nothing: ")
        fleet["c2"].answering.set()
    assert len(await newest(store, Kind.NODE, N1)) == 1


async def test_rounds_go_on(open_fleet: OpenFleet, store: EmbeddedStore) -> None:
    async with open_fleet("c1") as fleet:
        serve_kubelets(fleet["c1"])
        async with open_collector(fleet.federation, store, CollectorOptions(interval=0.02)):
            await until(lambda: fleet["c1"].count(SUMMARY.format("n1")) >= 3, what="three rounds")


async def test_the_first_round_is_made_when_the_members_are_in_memory(store: EmbeddedStore) -> None:
    cluster = build_cluster("c1", 1)
    serve_kubelets(cluster)
    cluster.answering.clear()
    async with (
        open_federation(FakeSource(cluster), OPTIONS) as federation,
        open_collector(federation, store, CollectorOptions(interval=2 * PATIENCE)) as collector,
    ):
        await until(lambda: cluster.count("/readyz") == 2, what="a second look at the member")
        cluster.answering.set()
        await until(lambda: collector.sources, what="the first round")
        assert collector.sources == {"c1": "its kubelets"}
