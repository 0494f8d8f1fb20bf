"""Real API servers that let nobody reach a kubelet and serve no `metrics.k8s.io`: the reason is told."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from fleet.collector.collect import Collector, CollectorOptions
from fleet.federation import Federation
from fleet.kubernetes.sources.kubeconfig import open_kubeconfig_source
from fleet.metrics.embedded.store import EmbeddedOptions, open_embedded_store
from fleet.registry import FleetOptions, open_federation
from realfleet.fleet import Fleet

pytestmark = pytest.mark.real


@pytest.fixture
async def federation(real_fleet: Fleet) -> AsyncIterator[Federation]:
    source = open_kubeconfig_source((real_fleet.kubeconfig,), host_context=None, member_timeout=5.0)
    async with source as opened, open_federation(opened, FleetOptions()) as federation:
        await federation.wait_synced(20)
        yield federation


async def test_a_member_without_metrics_says_so(federation: Federation, tmp_path: Path) -> None:
    async with open_embedded_store(EmbeddedOptions(tmp_path / "usage.db")) as store:
        collector = Collector(federation, store, CollectorOptions())
        await collector.collect()
    reason = "nothing: /apis/metrics.k8s.io/v1beta1/nodes is answered with 404"
    assert collector.sources == dict.fromkeys(("openmcp", "cluster1", "cluster2"), reason)
