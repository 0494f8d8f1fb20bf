"""Usage of members that one replica asks, on another: the same bytes as where they are asked, once."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from copy import copy
from pathlib import Path

import orjson
import pytest
from msgspec import Struct
from msgspec.structs import replace

from fleet.aio.tasks import open_task
from fleet.collector.collect import Collector, CollectorOptions
from fleet.members.standing import Standing
from fleet.metrics.embedded.store import EmbeddedOptions, EmbeddedStore, open_embedded_store
from fleet.model.objects import PodKey
from fleet.model.usage import NANOSECONDS, Kind, Point
from fleet.registry import FleetOptions, open_federation
from fleet.replication.marks import Mark, encode_mark
from fleet.replication.options import NatsOptions
from fleet.replication.replica import Replica, open_replica
from fleet.replication.shared_usage import SharedPoints, UsageInbox
from fleet.replication.subjects import Subjects
from realfleet.nats import NatsServer
from tests.fakes.kubernetes import FakeSource
from tests.fakes.waiting import until
from tests.fleet.collector.summaries import build_summary
from tests.fleet.collector.test_collect import SUMMARY
from tests.graph.conftest import NOW, Graph, build_cluster

NOW_NS = int(NOW) * NANOSECONDS
P0 = PodKey("c1", "shop", "p0")
OPTIONS = FleetOptions(member_timeout=2.0, fresh_seconds=2.0)
_USAGE = "usage { time cpuCores memoryBytes networkReceiveBytesPerSecond fsUsedBytes }"
ASKED = (
    f"{{ pods(first: 3, orderBy: {{ usage: CPU_CORES, direction: DESC }}) {{ totalCount items {{ id {_USAGE} }} }} }}",
    f"{{ nodes(first: 5, orderBy: {{ usage: CPU_CORES, direction: DESC }}) {{ items {{ id {_USAGE} }} }} }}",
    f'{{ pod(cluster: "c1", namespace: "shop", name: "p0") {{ {_USAGE} }} }}',
    "{ clusters { name usage { time cpuCores memoryBytes } } }",
    "{ pods { groups(by: [NAMESPACE]) { items { count usage { cpuCores } } } } }",
    '{ pod(cluster: "c1", namespace: "shop", name: "p2") { history(last: "2m", step: "15s") { start cpuCores } } }',
)


class Served(Struct):
    """A federation with a metric file of its own, and who asks for usage there."""

    graph: Graph
    store: EmbeddedStore
    collector: Collector
    clock: list[int]
    replica: Replica | None = None

    def is_written(self, cluster: str) -> bool:
        return self.replica is not None and self.replica.is_written(cluster)

    async def points(self) -> list[Point]:
        return await self.store.points(Kind.POD, P0, start_ns=0, end_ns=2 * NOW_NS, limit=100)


def build_own_summary(node: str, pods: list[tuple[str, str]]) -> bytes:
    """Each pod's usage is another."""
    summary = json.loads(build_summary(node, *pods))
    for pod in summary["pods"][:-1]:
        pod["cpu"]["usageNanoCores"] *= 1 + int(pod["podRef"]["name"][1:])
    return orjson.dumps(summary)


class Opening:
    """Opens servers of one source, that collect when they are told to."""

    def __init__(self, stack: AsyncExitStack, folder: Path, nats_url: str) -> None:
        self.source = FakeSource(build_cluster("c1", 6), build_cluster("c2", 4))
        for cluster in self.source.clusters.values():
            for node in ("n1", "n2"):
                pods = [key for key, pod in cluster.objects["Pod"].items() if pod["spec"].get("nodeName") == node]
                cluster.statuses[SUMMARY.format(node)] = (200, build_own_summary(node, pods))
        self._stack = stack
        self._folder = folder
        self._nats_url = nats_url

    def within(self, stack: AsyncExitStack) -> "Opening":
        """Opens what the stack closes."""
        other = copy(self)
        other._stack = stack
        return other

    def count_asked(self) -> int:
        return sum(cluster.count(SUMMARY.format("n1")) for cluster in self.source.clusters.values())

    async def alone(self) -> Served:
        store = await self._open_store("alone")
        federation = await self._stack.enter_async_context(open_federation(self.source, OPTIONS))
        return await self._serve(Graph(self.source, federation), store, None)

    async def shared(self, name: str, *, writes: bool = True) -> Served:
        store = await self._open_store(name)
        options = NatsOptions(servers=(self._nats_url,), replica=name, writes=writes)
        replica = await self._stack.enter_async_context(open_replica(options))
        inbox = UsageInbox(store)
        replica.on_usage = inbox.receive
        await self._stack.enter_async_context(open_task("inbox", inbox.run))
        federation = await self._stack.enter_async_context(open_federation(self.source, OPTIONS, replica.fill))
        return await self._serve(Graph(self.source, federation), store, replica)

    async def _open_store(self, name: str) -> EmbeddedStore:
        options = EmbeddedOptions(self._folder / f"{name}.sqlite", clock=lambda: NOW_NS)
        return await self._stack.enter_async_context(open_embedded_store(options))

    async def _serve(self, graph: Graph, store: EmbeddedStore, replica: Replica | None) -> Served:
        clock = [NOW_NS]
        graph.store = store  # type: ignore[assignment]  # asked as any metric store
        points = store if replica is None else SharedPoints(store, replica.publish_usage)
        options = CollectorOptions(clock=lambda: clock[0])
        if replica is not None:
            options = replace(options, is_ours=replica.is_written)
        await graph.federation.wait_synced(20)
        return Served(graph, store, Collector(graph.federation, points, options), clock, replica)


@pytest.fixture
async def opening(tmp_path: Path, nats_server: NatsServer) -> AsyncIterator[Opening]:
    async with AsyncExitStack() as stack:
        yield Opening(stack, tmp_path, nats_server.url)


async def wait_written(served: Served, *clusters: str) -> None:
    await until(lambda: all(map(served.is_written, clusters)), what="the leases")


async def test_pages_by_usage_are_the_same_bytes(opening: Opening) -> None:
    alone, writer = await opening.alone(), await opening.shared("writer")
    await wait_written(writer, "c1", "c2")
    follower = await opening.shared("follower", writes=False)
    for second in (15, 0):
        for each in (alone, writer, follower):
            each.clock[0] = NOW_NS - second * NANOSECONDS
            await each.collector.collect()
        await until(lambda: _same_points(writer, follower), what="the round on the follower")
    asked = opening.count_asked()

    for text in ASKED:
        by_side = [orjson.dumps(await each.graph.ask(text)) for each in (alone, writer, follower)]
        assert by_side[1:] == by_side[:1] * 2, text
    assert asked == 2 * 2 * 2  # rounds, members, and who asks: the one that watches alone, and the writer
    assert follower.collector.sources == {}


async def _same_points(one: Served, other: Served) -> bool:
    return await one.points() == await other.points()


async def test_who_comes_later_has_the_newest_usage_at_its_time(opening: Opening) -> None:
    writer = await opening.shared("writer")
    await wait_written(writer, "c1", "c2")
    for second in (30, 15):
        writer.clock[0] = NOW_NS - second * NANOSECONDS
        await writer.collector.collect()
    assert writer.replica is not None
    figures = writer.replica.figures
    await until(lambda: not any(each.pending for each in figures()), what="all is published")

    follower = await opening.shared("follower", writes=False)
    await until(follower.points, what="the newest usage")
    assert [point.time_ns for point in await follower.points()] == [NOW_NS - 15 * NANOSECONDS]


async def test_who_takes_over_asks_from_the_next_round_on(opening: Opening) -> None:
    async with AsyncExitStack() as first:
        writer = await opening.within(first).shared("writer")
        await wait_written(writer, "c1", "c2")
        follower = await opening.shared("follower")

        async def has_round() -> bool:  # while they find out who writes what, a member may be nobody's
            await writer.collector.collect()
            await follower.collector.collect()
            return bool(await follower.points())

        await until(has_round, what="a round")
    asked = opening.count_asked()
    await wait_written(follower, "c1", "c2")
    follower.clock[0] += NANOSECONDS
    await follower.collector.collect()
    assert opening.count_asked() == asked + 2
    assert [point.time_ns for point in await follower.points()] == [NOW_NS, NOW_NS + NANOSECONDS]


async def test_of_what_is_measured_while_nats_is_away_others_get_the_newest(
    opening: Opening, nats_server: NatsServer
) -> None:
    writer, follower = await opening.shared("writer"), await opening.shared("follower", writes=False)
    await wait_written(writer, "c1", "c2")
    await asyncio.to_thread(nats_server.stop)
    for _ in range(3):
        writer.clock[0] += NANOSECONDS
        await writer.collector.collect()
    assert len(await writer.points()) == 3

    await asyncio.to_thread(nats_server.start)
    await until(follower.points, what="the newest usage")
    assert await follower.points() == (await writer.points())[-1:]


async def test_usage_of_who_lost_its_lease_unknowingly_is_refused(opening: Opening, nats_server: NatsServer) -> None:
    writer, follower = await opening.shared("writer"), await opening.shared("follower", writes=False)
    await wait_written(writer, "c1", "c2")
    await writer.collector.collect()
    await until(follower.points, what="a round")
    assert writer.replica is not None
    subjects, js = Subjects("openmcp", "c1"), writer.replica.nats.js
    before = await js.get_last_msg(subjects.stream, subjects.usage(0))

    # Another replica claims the stream, and the writer measures and publishes as if nothing was.
    mark = Mark(writer="another", complete=False, age=None, standing=Standing())
    claimed = await js.publish(subjects.mark, encode_mark(mark))
    writer.clock[0] += NANOSECONDS
    await writer.collector.collect()
    await until(lambda: not writer.is_written("c1"), what="that it knows")

    after = await js.get_last_msg(subjects.stream, subjects.usage(0))
    assert (after.seq, after.data) == (before.seq, before.data)
    assert before.seq is not None
    assert before.seq < claimed.seq
    assert [point.time_ns for point in await follower.points()] == [NOW_NS]
