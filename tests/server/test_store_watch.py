"""How the metric store is, is told before a caller finds out."""

import time

import pytest

from fleet.model.objects import NodeKey
from fleet.model.usage import NANOSECONDS, Usage
from fleet.registry import FleetOptions, open_federation
from server.figures.stores import WATCHED
from server.store_watch import StoreWatch
from tests.fakes.graph import CountingStore
from tests.fakes.kubernetes import FakeCluster, FakeSource, build_plain
from tests.fakes.waiting import PATIENCE
from tests.server.figures.reading import read_samples, write

AGE = 'openmcp_cluster_usage_age_seconds{cluster="c1"}'


def told(watch: StoreWatch) -> dict[str, float]:
    samples = read_samples(write(WATCHED, watch))
    return {name: value for name, value in samples.items() if name.startswith("openmcp_")}


async def test_a_store_is_down_or_up_and_usage_has_an_age() -> None:
    cluster, silent = FakeCluster("c1"), FakeCluster("c2")
    for name in ("n1", "n2"):
        cluster.put(build_plain("Node", name))
        silent.put(build_plain("Node", name))
    store = CountingStore()
    store.known[NodeKey("c1", "n2")] = Usage(time_ns=time.time_ns() - 40 * NANOSECONDS, cpu_cores=1.0)
    store.known[NodeKey("c1", "n1")] = Usage(time_ns=time.time_ns() - 90 * NANOSECONDS, cpu_cores=1.0)
    async with open_federation(FakeSource(cluster, silent), FleetOptions()) as federation:
        await federation.wait_synced(PATIENCE)
        watch = StoreWatch(federation, store)
        assert told(watch) == {}
        store.failure = "it is away"
        await watch.look()
        assert told(watch) == {"openmcp_metric_store_up": 0}
        store.failure = None
        await watch.look()

    assert set(told(watch)) == {"openmcp_metric_store_up", AGE}
    assert told(watch)["openmcp_metric_store_up"] == 1
    assert told(watch)[AGE] == pytest.approx(40, abs=PATIENCE)
    assert told(watch)[AGE] < 90
