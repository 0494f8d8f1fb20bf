"""A graph over a real federation of clusters of this process and a metric store that counts."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import pytest
from strawberry.types.execution import ExecutionResult

from auth.principal import Principal
from fleet.federation import Federation
from fleet.live.usage_cache import UsageCache
from fleet.model.objects import NodeKey, PodKey
from fleet.model.redaction import EnvValues
from fleet.model.usage import NANOSECONDS, Usage
from fleet.model.visibility import Role, Scope
from fleet.registry import FleetOptions, open_federation
from graph.limits.limits import DEFAULT_LIMITS
from graph.loading.context import Context
from graph.loading.loaders import build_loaders
from graph.schema import schema
from tests.fakes.graph import CountingStore
from tests.fakes.kubernetes import FakeCluster, FakeSource, Object, build_plain, build_pod
from tests.fakes.waiting import until

NOW = 1_790_000_000.0
OPTIONS = FleetOptions(member_timeout=0.3, heartbeat_seconds=0.05, fresh_seconds=0.1, breaker_failures=1000)
ADMIN = Principal("ann", Scope(Role.ADMIN), groups=("platform",))
SHOPPER = Principal("sam", Scope(Role.VIEW, clusters=("c1",), namespaces=("shop",)))


class Graph:
    """What a test asks, and what stands behind it."""

    def __init__(self, source: FakeSource, federation: Federation) -> None:
        self.source = source
        self.federation = federation
        self.store = CountingStore()
        self.limits = DEFAULT_LIMITS
        self.held: UsageCache | None = None
        self.redact_env = EnvValues.SHOWN

    def __getitem__(self, name: str) -> FakeCluster:
        return self.source.clusters[name]

    async def hang(self, name: str) -> None:
        """Stops a cluster from answering, until its last sign of life is too old to count."""
        self[name].answering.clear()
        described = self.federation.get_cluster
        await until(lambda: (described(ADMIN.scope, name).age_seconds or 0) > OPTIONS.fresh_seconds)

    async def execute(
        self, query: str, variables: dict[str, Any] | None = None, *, who: Principal = ADMIN, seconds: float = 5.0
    ) -> ExecutionResult:
        deadline = asyncio.get_running_loop().time() + seconds
        loaders = build_loaders(self.federation, who.scope, self.store, now=NOW, deadline=deadline, held=self.held)
        context = Context(who, self.federation, loaders, limits=self.limits, redact_env=self.redact_env)
        return await schema.execute(query, variable_values=variables, context_value=context)

    async def ask(self, query: str, variables: dict[str, Any] | None = None, *, who: Principal = ADMIN) -> Any:
        """The data of a query that has no errors."""
        result = await self.execute(query, variables, who=who)
        assert result.errors is None, result.errors
        return result.data

    async def fail(self, query: str, variables: dict[str, Any] | None = None, *, who: Principal = ADMIN) -> Any:
        """The extensions of a query's only error, with its message."""
        result = await self.execute(query, variables, who=who)
        assert result.errors is not None
        assert len(result.errors) == 1, result.errors
        return {"message": result.errors[0].message, **(result.errors[0].extensions or {})}


OpenGraph = Callable[..., AbstractAsyncContextManager[Graph]]


def build_node(name: str) -> Object:
    node = build_plain("Node", name)
    amounts = {"cpu": "4", "memory": "8Gi", "pods": "110"}
    return node | {"status": {"capacity": amounts, "allocatable": amounts | {"cpu": "2"}}}


def build_cluster(name: str, pods: int) -> FakeCluster:
    """`p0` ... in namespaces shop and ops, on nodes n1, n2 and none."""
    cluster = FakeCluster(name)
    for node in ("n1", "n2"):
        cluster.put(build_node(node))
    for number in range(pods):
        namespace = ("shop", "ops")[number % 2]
        cluster.put(build_pod(namespace, f"p{number}", node=("n1", "n2", None)[number % 3], app=f"a{number % 2}"))
    return cluster


def build_usage(cpu_cores: float, memory_bytes: int = 1 << 20, *, at: float = NOW) -> Usage:
    return Usage(
        time_ns=int(at) * NANOSECONDS,
        cpu_cores=cpu_cores,
        memory_bytes=memory_bytes,
        network_receive_bytes_per_second=12.5,
    )


@contextlib.asynccontextmanager
async def _open_graph(*names: str, pods: int = 4, options: FleetOptions = OPTIONS) -> AsyncIterator[Graph]:
    source = FakeSource(*(build_cluster(name, pods) for name in names))
    async with open_federation(source, options) as federation:
        await federation.wait_synced(5)
        kept = options.events_kept > 0
        await until(lambda: all(each.count("/api/v1/events", watch=True) == kept for each in source.clusters.values()))
        graph = Graph(source, federation)
        for name, cluster in source.clusters.items():
            for namespace, pod in cluster.objects["Pod"]:
                graph.store.known[PodKey(name, namespace, pod)] = build_usage(0.05)
            for _, node in cluster.objects["Node"]:
                graph.store.known[NodeKey(name, node)] = build_usage(1.0, 2 << 30)
        yield graph


@pytest.fixture(name="open_graph")
def open_graph_fixture() -> OpenGraph:
    return _open_graph
