"""A federation of clusters of this process, with short times."""

import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager

import pytest

from fleet.federation import Federation
from fleet.model.objects import Cluster
from fleet.model.visibility import EVERYTHING
from fleet.registry import FleetOptions, open_federation
from tests.fakes.kubernetes import FakeCluster, FakeSource, build_plain, build_pod
from tests.fakes.waiting import until

OPTIONS = FleetOptions(member_timeout=0.3, heartbeat_seconds=0.05, fresh_seconds=0.1, breaker_failures=3)


class Fleet:
    """Fake clusters and the federation over them."""

    def __init__(self, source: FakeSource, federation: Federation) -> None:
        self.source = source
        self.federation = federation

    def __getitem__(self, name: str) -> FakeCluster:
        return self.source.clusters[name]

    def state(self, name: str) -> Cluster:
        return self.federation.get_cluster(EVERYTHING, name)

    async def until_state(self, name: str, condition: Callable[[Cluster], object]) -> None:
        await until(lambda: condition(self.state(name)), what=f"the state of {name}")


OpenFleet = Callable[..., AbstractAsyncContextManager[Fleet]]


def build_cluster(name: str, pods: int) -> FakeCluster:
    cluster = FakeCluster(name)
    for node in ("n1", "n2"):
        cluster.put(build_plain("Node", node))
    for namespace in ("shop", "ops"):
        cluster.put(build_plain("Namespace", namespace))
    for number in range(pods):
        namespace = ("shop", "ops")[number % 2]
        cluster.put(build_pod(namespace, f"p{number}", node=("n1", "n2", None)[number % 3], app=f"a{number % 2}"))
    return cluster


@contextlib.asynccontextmanager
async def _open_fleet(*names: str, pods: int = 4, options: FleetOptions = OPTIONS) -> AsyncIterator[Fleet]:
    source = FakeSource(*(build_cluster(name, pods) for name in names))
    async with open_federation(source, options) as federation:
        await federation.wait_synced(5)
        yield Fleet(source, federation)


@pytest.fixture(name="open_fleet")
def open_fleet_fixture() -> OpenFleet:
    return _open_fleet
