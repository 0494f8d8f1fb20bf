"""What servers tell operators of the state that they share, and usage among workers that have one metric file."""

import asyncio
import re
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from demo.simulator import SimulatedFleet, open_simulated_fleet
from demo.simulator.kinds import NODES
from fleet.metrics.embedded.store import EmbeddedOptions, EmbeddedStore, open_embedded_reader
from fleet.model.objects import NodeKey
from fleet.model.usage import Kind, Point
from realfleet.nats import NatsServer
from tests.fakes.waiting import PATIENCE, until
from tests.processes import RunningServer, free_port, open_server

CLUSTERS = 16
"""So many that each of two workers watches some."""


class Replica:
    """A server process and what its operators are told."""

    def __init__(self, server: RunningServer, ops: str, usage_file: Path) -> None:
        self.server = server
        self.usage_file = usage_file
        self._ops = ops

    async def ask(self, path: str) -> tuple[int, str]:
        async with aiohttp.request("GET", f"{self._ops}{path}") as answer:
            return answer.status, await answer.text()

    async def figures(self, name: str) -> dict[str, float]:
        """The samples of a family, by their labels."""
        _, text = await self.ask("/metrics")
        return {labels: float(value) for labels, value in re.findall(rf"^{name}({{.*}}|) (\S+)$", text, re.MULTILINE)}


@asynccontextmanager
async def open_replica(fleet: SimulatedFleet, nats: NatsServer, folder: Path, **more: str) -> AsyncIterator[Replica]:
    port, ops_port, file = free_port(), free_port(), folder / f"usage-{free_port()}.sqlite"
    environment = {
        "OPENMCP_CLUSTER_SOURCE": "kubeconfig",
        "OPENMCP_KUBECONFIG": str(fleet.kubeconfig),
        "OPENMCP_STATE": "nats",
        "OPENMCP_NATS_URL": nats.url,
        "OPENMCP_EMBEDDED_FILE": str(file),
        "OPENMCP_COLLECT_INTERVAL": "1s",
        "OPENMCP_SIGNING_KEY": "a key for the tests of shared state",
        "OPENMCP_HOST": "127.0.0.1",
        "OPENMCP_PORT": str(port),
        "OPENMCP_OPS_PORT": str(ops_port),
        "API_USER_NAME": "openmcp",
        "API_USER_PW": "keti",
        **more,
    }
    async with open_server("serve", environment=environment, port=port, log=file.with_suffix(".log")) as server:
        yield Replica(server, f"http://127.0.0.1:{ops_port}", file)


@pytest.fixture
async def fleet() -> AsyncIterator[SimulatedFleet]:
    async with open_simulated_fleet(clusters=1, pods=8) as opened:
        yield opened


async def test_who_watches_is_told_and_what_it_costs(
    fleet: SimulatedFleet, nats_server: NatsServer, tmp_path: Path
) -> None:
    async with AsyncExitStack() as stack:
        writer = await stack.enter_async_context(open_replica(fleet, nats_server, tmp_path))
        follower = await stack.enter_async_context(
            open_replica(fleet, nats_server, tmp_path, OPENMCP_NATS_WRITES="false")
        )

        async def are_even() -> bool:
            ends = [await each.figures("openmcp_state_last_sequence") for each in (writer, follower)]
            return len(ends[0]) == 2 and ends[0] == ends[1]

        await until(are_even, what="the follower has applied what was written", every=0.05)
        both = {'{cluster="openmcp"}', '{cluster="cluster1"}'}
        for replica, writes in ((writer, 1.0), (follower, 0.0)):
            assert await replica.figures("openmcp_state_connected") == {"": 1.0}
            assert await replica.figures("openmcp_state_writer") == dict.fromkeys(both, writes)
        for name in ("messages_published", "bytes_published", "lists"):
            assert min((await writer.figures(f"openmcp_state_{name}_total")).values()) > 0
        for name in ("messages_received", "bytes_received", "snapshots"):
            assert min((await follower.figures(f"openmcp_state_{name}_total")).values()) > 0
        lags = await follower.figures("openmcp_state_lag_seconds")
        assert lags.keys() == both
        assert all(0 <= lag < PATIENCE for lag in lags.values())
        assert await writer.figures("openmcp_state_lag_seconds") == {}


async def test_a_replica_without_nats_is_ready_and_says_so(
    fleet: SimulatedFleet, nats_server: NatsServer, tmp_path: Path
) -> None:
    async with open_replica(fleet, nats_server, tmp_path) as replica:
        assert '"state":"ok"' in (await replica.ask("/readyz"))[1]
        await asyncio.to_thread(nats_server.stop)

        async def says_so() -> bool:
            return "NATS at 127.0.0.1" in (await replica.ask("/readyz"))[1]

        await until(says_so, what="that NATS is gone", every=0.05)
        status, _ = await replica.ask("/readyz")
        assert (status, await replica.figures("openmcp_state_connected")) == (200, {"": 0.0})
        async with aiohttp.request("GET", f"{replica.server.url}/readyz") as answer:
            public = await answer.text()
        assert "the shared state can't be reached: answers are what was known until then" in public
        assert "127.0.0.1" not in public

        await asyncio.to_thread(nats_server.start)
        await until(lambda: _is_connected(replica), what="that NATS is back", every=0.05)
        assert '"state":"ok"' in (await replica.ask("/readyz"))[1]


async def _is_connected(replica: Replica) -> bool:
    return await replica.figures("openmcp_state_connected") == {"": 1.0}


async def test_workers_with_one_file_have_the_usage_of_all_clusters_in_it(
    nats_server: NatsServer, tmp_path: Path
) -> None:
    """Whoever of them watches a cluster asks it; the first writes what all measured."""
    async with (
        open_simulated_fleet(clusters=CLUSTERS, pods=2) as fleet,
        open_replica(fleet, nats_server, tmp_path, OPENMCP_WORKERS="2") as replica,
        open_embedded_reader(EmbeddedOptions(replica.usage_file)) as store,
    ):
        by_second: list[str] = []

        async def are_shared() -> bool:
            writes = await replica.figures("openmcp_state_writer")
            by_second[:] = [labels for labels, value in writes.items() if value and 'worker="1"' in labels]
            return len(by_second) > 0 and sum(writes.values()) == CLUSTERS + 1

        await until(are_shared, what="each worker watches some", every=0.1)
        for labels in by_second:
            (cluster,) = re.findall('cluster="(.*?)"', labels)
            node = NodeKey(cluster, next(name for _, name in fleet[cluster].store.entries(NODES)))
            seen = await newest(store, node)
            await until(partial(_is_newer, store, node, seen), what=f"usage of {cluster}", every=0.05)


async def newest(store: EmbeddedStore, node: NodeKey) -> list[Point]:
    return await store.points(Kind.NODE, node, start_ns=None, end_ns=None, limit=1)


async def _is_newer(store: EmbeddedStore, node: NodeKey, seen: list[Point]) -> bool:
    return (await newest(store, node) or seen) != seen
