"""What one replica measures and the others write, in metric files of their own."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from fleet.aio.tasks import open_task
from fleet.metrics.embedded.store import EmbeddedOptions, EmbeddedStore, open_embedded_reader, open_embedded_store
from fleet.model.errors import MetricsUnavailable
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import ALL_MEASURES, NANOSECONDS, Kind, Point
from fleet.replication.shared_usage import SharedPoints, UsageInbox
from fleet.replication.usage import encode_usage
from tests.fakes.waiting import until

NOW = 1_800_000_000 * NANOSECONDS
P0, N1 = PodKey("c1", "shop", "p0"), NodeKey("c1", "n1")


def build_point(time_ns: int, received: int = 0) -> Point:
    return Point(time_ns, 0.25, 11, network_receive_bytes=received, node="n1")


def options_of(path: Path) -> EmbeddedOptions:
    return EmbeddedOptions(path, clock=lambda: NOW)


@pytest.fixture
async def stores(tmp_path: Path) -> AsyncIterator[list[EmbeddedStore]]:
    async with AsyncExitStack() as stack:
        yield [
            await stack.enter_async_context(open_embedded_store(options_of(tmp_path / f"{name}.db")))
            for name in ("writer", "follower")
        ]


async def points_of(store: EmbeddedStore, key: PodKey = P0) -> list[Point]:
    return await store.points(Kind.POD, key, start_ns=0, end_ns=NOW + 1, limit=100)


async def test_a_follower_has_what_the_writer_has_and_its_times(stores: list[EmbeddedStore]) -> None:
    own, others = stores
    inbox = UsageInbox(others)
    published: list[tuple[str, list[bytes]]] = []
    points = SharedPoints(own, lambda cluster, bodies: published.append((cluster, bodies)))
    for second in (30, 15, 0):
        time_ns = NOW - second * NANOSECONDS
        await points.write([(P0, build_point(time_ns, 3000 - 100 * second))], [(N1, build_point(time_ns))])
    await points.write([], [])
    assert [cluster for cluster, _ in published] == ["c1", "c1", "c1"]

    async with open_task("inbox", inbox.run):
        # Late, and again: each counts once, at the time that it was measured.
        for place in (2, 0, 1, 2, 0):
            inbox.receive("c1", f"usage.{place}", published[place][1][0])
        await until(lambda: _same_length(stores), what="the follower's file")

    assert await points_of(others) == await points_of(own)
    pods = await others.latest(Kind.POD, frozenset({P0}), ALL_MEASURES)
    nodes = await others.latest(Kind.NODE, frozenset({N1}), ALL_MEASURES)
    assert pods == await own.latest(Kind.POD, frozenset({P0}), ALL_MEASURES)
    assert nodes == await own.latest(Kind.NODE, frozenset({N1}), ALL_MEASURES)
    assert (pods[P0].network_receive_bytes_per_second, nodes[N1].cpu_cores) == (100.0, 0.25)


async def _same_length(stores: list[EmbeddedStore]) -> bool:
    lengths = [len(await points_of(store)) for store in stores]
    return lengths == [3, 3]


async def test_a_process_without_a_file_of_its_own_finds_its_usage_in_the_file_of_the_one_that_has(
    stores: list[EmbeddedStore], tmp_path: Path
) -> None:
    async with open_embedded_reader(options_of(tmp_path / "follower.db")) as reader:
        inbox = UsageInbox(stores[1])

        def publish(cluster: str, bodies: list[bytes]) -> None:
            for number, body in enumerate(bodies):
                inbox.receive(cluster, f"usage.{number}", body)

        async with open_task("inbox", inbox.run):
            await SharedPoints(None, publish).write([(P0, build_point(NOW))], [])
            await until(lambda: points_of(reader), what="its own usage in the file that it reads")
        assert await points_of(reader) == [build_point(NOW)]


async def test_others_have_what_the_own_file_has_no_room_for(stores: list[EmbeddedStore]) -> None:
    class Full:
        async def write(self, _pods: Iterable[tuple[PodKey, Point]], _nodes: Iterable[tuple[NodeKey, Point]]) -> None:
            raise MetricsUnavailable("full")

    published: list[bytes] = []
    points = SharedPoints(Full(), lambda _cluster, bodies: published.extend(bodies))
    with pytest.raises(MetricsUnavailable):
        await points.write([(P0, build_point(NOW))], [])
    assert len(published) == 1


async def test_bodies_are_as_small_as_the_server_of_nats_wants_them() -> None:
    published: list[bytes] = []
    points = SharedPoints(None, lambda _cluster, bodies: published.extend(bodies), lambda: 5_000)
    await points.write([(PodKey("c1", "shop", f"p{number}"), build_point(NOW)) for number in range(100)], [])
    assert len(published) > 1
    assert max(map(len, published)) <= 904


async def test_the_newest_of_each_subject_waits_while_the_file_is_busy() -> None:
    busy = asyncio.Event()
    written: list[int] = []

    class Busy:
        async def write(self, pods: Iterable[tuple[PodKey, Point]], _nodes: Iterable[tuple[NodeKey, Point]]) -> None:
            written.extend(point.time_ns for _, point in pods)
            await busy.wait()

    inbox = UsageInbox(Busy())
    async with open_task("inbox", inbox.run):
        for time_ns in range(1, 6):
            inbox.receive("c1", "usage.0", encode_usage([(P0, build_point(time_ns))], [])[0])
            await until(lambda: written, what="the first body")
        busy.set()
        await until(lambda: len(written) == 2, what="what came meanwhile")
    assert written == [1, 5]


async def test_what_can_t_be_read_is_told_once_and_costs_itself(
    stores: list[EmbeddedStore], caplog: pytest.LogCaptureFixture
) -> None:
    inbox = UsageInbox(stores[1])
    body = encode_usage([(P0, build_point(NOW))], [])[0]
    async with open_task("inbox", inbox.run):
        for number in range(3):
            inbox.receive("c2", f"c2.usage.{number}", b"\x09" + body[1:])
        inbox.receive("c1", "c1.usage.0", body)
        await until(lambda: points_of(stores[1]), what="the body that can be read")
    (told,) = [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]
    assert told == (
        "usage of cluster c2 that another replica measured is lost: "
        "usage of form 09 can't be read, only form 01: upgrade"
    )
