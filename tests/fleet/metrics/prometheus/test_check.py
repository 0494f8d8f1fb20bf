"""What `check` says of a Prometheus: what it is, how old, what nobody measures, and which clusters it lacks."""

import re

import pytest

from fleet.model.objects import PodKey
from fleet.ports import Covering
from tests.fleet.metrics.prometheus.times import fresh
from tests.fleet.metrics.stores import PROMETHEUS_STORES, open_filled_prometheus
from tests.fleet.metrics.test_contract import NODE, WEB, full_point

pytestmark = pytest.mark.real

SERVERS = {"prometheus": "real_prometheus", "victoriametrics": "real_victoria_metrics"}


@pytest.mark.parametrize("name", list(PROMETHEUS_STORES))
async def test_what_is_measured_and_how_old_it_is(request: pytest.FixtureRequest, name: str) -> None:
    async with PROMETHEUS_STORES[name](request) as filled:
        (point,) = fresh([full_point(5)])
        await filled.write([(WEB, point)], [(NODE, point)])
        said = await filled.store.check()
    lacking = "" if name == "recorded" else "; nobody measures of pods fs_available_bytes"
    assert re.fullmatch(rf"(Prometheus 2\.[\w.+]+|VictoriaMetrics), pods measured \d+ s ago{lacking}", said)


@pytest.mark.parametrize("name", SERVERS)
async def test_series_that_are_not_there_are_named(request: pytest.FixtureRequest, name: str) -> None:
    """A label that no series has is how a store is asked that has other series than it is told."""
    server = request.getfixturevalue(SERVERS[name])
    async with open_filled_prometheus(server, cluster_label=f"label_of_{name}") as filled:
        store = filled.store
        assert isinstance(store, Covering)
        assert await store.describe_coverage(["cluster1"]) == f"no series of cluster1 by the label label_of_{name}"


@pytest.mark.parametrize("name", SERVERS)
async def test_clusters_without_series_and_series_without_a_cluster(request: pytest.FixtureRequest, name: str) -> None:
    label = f"member_of_{name}"
    async with open_filled_prometheus(request.getfixturevalue(SERVERS[name]), cluster_label=label) as filled:
        pods = [WEB, PodKey("cluster9", "default", "web-0")]
        await filled.write((pod, point) for pod in pods for point in fresh([full_point(5)]))
        store, value = filled.store, filled.options.cluster_value
        assert isinstance(store, Covering)
        assert await store.describe_coverage(["cluster1", "cluster9"]) == ""
        said = await store.describe_coverage(["cluster1", "cluster2"])
        other = value.replace("{cluster}", "cluster9")
        strange = f"series with {label}={other!r}, which is no cluster here"
        assert said == f"no series of cluster2 by the label {label} and {strange}"
    async with open_filled_prometheus(filled.server, only_cluster="cluster7") as alone:
        assert isinstance(alone.store, Covering)
        assert "is 'cluster7', which is no cluster" in await alone.store.describe_coverage(["cluster1"])
