"""What is collected waits for its store: in order, within bounds, and without holding up anything else."""

import asyncio
import logging
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from random import Random

import pytest

from fleet.collector.outputs import BufferOptions, Delivery, Outputs, open_outputs
from fleet.model.errors import MetricsBusy, MetricsUnavailable, PointsRefused
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import Measure, Point
from tests.fakes.waiting import until

WEB, N1 = PodKey("c1", "shop", "web"), NodeKey("c1", "n1")


class Store:
    """Takes points, or fails as it is told to; `takes` shut, it hangs."""

    def __init__(self) -> None:
        self.times: list[int] = []
        self.attempts = 0
        self.failure: Exception | None = None
        self.takes = asyncio.Event()
        self.takes.set()

    async def write(self, pods: Iterable[tuple[PodKey, Point]], nodes: Iterable[tuple[NodeKey, Point]]) -> None:
        self.attempts += 1
        await self.takes.wait()
        if self.failure is not None:
            raise self.failure
        self.times += [point.time_ns for _, point in pods]
        assert [key for key, _ in nodes] == [N1]


def points(time_ns: int) -> tuple[list[tuple[PodKey, Point]], list[tuple[NodeKey, Point]]]:
    return [(WEB, Point(time_ns, cpu_cores=0.5, node="n1"))], [(N1, Point(time_ns, cpu_cores=1.0))]


@asynccontextmanager
async def open_stores(*stores: Store, options: BufferOptions | None = None) -> AsyncIterator[Outputs]:
    named = [(f"store {number}", store) for number, store in enumerate(stores)]
    async with open_outputs(None, named, options or BufferOptions()) as outputs:
        yield outputs


async def test_a_store_that_was_away_has_everything_in_order(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "fleet.collector")
    store = Store()
    store.failure = MetricsUnavailable("it is away")
    async with open_stores(store) as outputs:
        for time_ns in range(5):
            await outputs.write(*points(time_ns))
        (buffer,) = outputs.buffers
        await until(lambda: store.attempts > 1, what="another attempt")
        assert (store.times, buffer.written, buffer.problem) == ([], 0, "it is away")
        assert buffer.waiting_bytes > 0
        assert buffer.waiting_seconds > 0
        store.failure = None
        await until(lambda: buffer.written == 10, what="all points")
        assert (store.times, buffer.lost, buffer.waiting_bytes, buffer.problem) == ([0, 1, 2, 3, 4], 0, 0, None)
    told = [record.getMessage() for record in caplog.records]
    assert told == [
        "usage is not written to store 0 now, and waits: it is away",
        "usage is written to store 0 again",
    ]


async def test_a_hanging_store_holds_up_nobody() -> None:
    hanging, well = Store(), Store()
    hanging.takes.clear()
    async with open_stores(hanging, well) as outputs:
        for time_ns in range(3):
            await outputs.write(*points(time_ns))
        await until(lambda: well.times == [0, 1, 2], what="the other store's points")
        assert hanging.times == []
        hanging.takes.set()
        await until(lambda: hanging.times == [0, 1, 2], what="what had waited")


async def test_the_oldest_goes_first_where_too_much_waits_and_it_is_said(caplog: pytest.LogCaptureFixture) -> None:
    size = Delivery(2, 0.0, points(0)).pack().size
    store = Store()
    store.failure = MetricsUnavailable("it is away")
    async with open_stores(store, options=BufferOptions(most_bytes=3 * size)) as outputs:
        (buffer,) = outputs.buffers
        await outputs.write(*points(0))
        await until(lambda: buffer.problem, what="the first attempt")
        for time_ns in range(1, 7):
            await outputs.write(*points(time_ns))
        assert buffer.waiting_bytes <= 3 * size
        store.failure = None
        await until(lambda: store.times[-1:] == [6], what="the newest")
        assert (store.times, buffer.lost) == ([4, 5, 6], 8)
    assert f"what waits for store 0 has reached {3 * size} bytes or 3600 s, and the oldest goes first" in caplog.text


async def test_what_is_too_old_goes() -> None:
    store = Store()
    store.failure = MetricsUnavailable("it is away")
    async with open_stores(store, options=BufferOptions(max_age=0.0)) as outputs:
        await outputs.write(*points(0))
        await until(lambda: outputs.buffers[0].lost == 2, what="its end")


async def test_what_a_store_refuses_is_lost_and_the_next_is_written(caplog: pytest.LogCaptureFixture) -> None:
    store = Store()
    store.failure = PointsRefused("out of bounds")
    async with open_stores(store) as outputs:
        await outputs.write(*points(0))
        await until(lambda: outputs.buffers[0].lost == 2, what="the refusal")
        store.failure = None
        await outputs.write(*points(1))
        await until(lambda: store.times == [1], what="the next")
    assert "2 points of usage are lost so far: store 0 refuses them: out of bounds" in caplog.text


async def test_a_busy_store_is_asked_when_it_said() -> None:
    busy, away = Store(), Store()
    busy.failure, away.failure = MetricsBusy("too many", retry_after=3600.0), MetricsUnavailable("away")
    async with open_stores(busy, away) as outputs:
        await outputs.write(*points(0))
        await until(lambda: away.attempts == 3, what="three attempts at one that says nothing")
        assert busy.attempts == 1


async def test_what_waits_at_the_end_is_written_and_what_can_not_be_is_told(caplog: pytest.LogCaptureFixture) -> None:
    well, away = Store(), Store()
    away.failure = MetricsUnavailable("away")
    async with open_stores(well, away) as outputs:
        await until(lambda: not well.attempts)
        await outputs.write(*points(0))
        await outputs.write(*points(1))
        await until(lambda: away.attempts, what="an attempt")
    assert well.times == [0, 1]
    assert "4 points that store 1 did not take are lost, as the server ends" in caplog.text


async def test_a_large_delivery_is_whole_after_it_waited() -> None:
    """Usage of so many pods is packed in several bodies."""
    many = [
        (PodKey("c1", "shop", f"{number:0200}"), Point(number, cpu_cores=number / 7, node=f"n{number}"))
        for number in range(5000)
    ]
    seen: list[list[tuple[PodKey, Point]]] = []

    class Keeping(Store):
        async def write(self, pods: Iterable[tuple[PodKey, Point]], nodes: Iterable[tuple[NodeKey, Point]]) -> None:
            seen.append(list(pods))
            await super().write(pods, nodes)

    store = Keeping()
    store.failure = MetricsUnavailable("it is away")
    async with open_stores(store) as outputs:
        (buffer,) = outputs.buffers
        await outputs.write(*points(0))
        await until(lambda: buffer.problem, what="the first attempt")
        before = buffer.waiting_bytes
        await outputs.write(many, points(0)[1])
        assert 0 < buffer.waiting_bytes - before < 100 * len(many)
        store.failure = None
        await until(lambda: buffer.written == 5003, what="the delivery")
    assert seen[-1] == many


async def test_twenty_rounds_of_five_thousand_pods_fit_into_what_may_wait() -> None:
    """Five minutes of a round each 15 s, of figures that are all different."""
    figures = Random(5)
    store = Store()
    store.failure = MetricsUnavailable("it is away")

    def measured(time_ns: int) -> Point:
        amounts = {measure.value: figures.randrange(1 << 36) for measure in Measure}
        return Point(time_ns=time_ns, node=f"node-{figures.randrange(200)}", **amounts)

    keys = [PodKey("c1", f"team-{number % 40}", f"web-6f9d8c7b5-{number:05}") for number in range(5000)]
    async with open_stores(store) as outputs:
        (buffer,) = outputs.buffers
        await outputs.write(*points(0))
        await until(lambda: buffer.problem, what="the first attempt")
        for number in range(20):
            await outputs.write([(key, measured(number)) for key in keys], points(0)[1])
        assert buffer.lost == 0
        assert buffer.waiting_bytes < BufferOptions().most_bytes / 4
