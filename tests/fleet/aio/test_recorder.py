"""What a question takes is counted at the seams, for whoever wants to know, and for nobody else."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from fleet.aio.fanout import ask_all
from fleet.aio.recorder import Recorder, Span, current_recorder, recording
from fleet.kubernetes.connection import HttpConnection, Target
from fleet.metrics.embedded.store import EmbeddedOptions, EmbeddedStore, open_embedded_store
from fleet.model.errors import ClusterUnreachable
from fleet.model.kinds import PODS
from fleet.model.objects import OnUnavailable, PodKey
from fleet.model.queries import PageRequest, PodFilter
from fleet.model.usage import NANOSECONDS, Aggregate, Kind, Measure, Point, TimeRange
from fleet.model.visibility import EVERYTHING
from fleet.ports import Call
from tests.fleet.conftest import OpenFleet
from tests.fleet.kubernetes.servers import open_http_server

CPU = frozenset({Measure.CPU_CORES})


class Counting:
    """An API server that counts the requests of each path."""

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}

    async def answer(self, request: web.BaseRequest) -> web.Response:
        self.seen[request.path] = self.seen.get(request.path, 0) + 1
        return web.Response(status=404 if request.path == "/none" else 200)


@asynccontextmanager
async def open_counting() -> AsyncIterator[tuple[Counting, HttpConnection]]:
    server = Counting()
    async with open_http_server(server.answer) as url:
        connection = HttpConnection("c1", Target(url))
        try:
            yield server, connection
        finally:
            await connection.close()


async def ask_times(connection: HttpConnection, path: str, times: int) -> Recorder:
    """One question that asks so often, in tasks of its own."""
    recorder = Recorder()

    async def ask(_: str) -> None:
        await connection.request(Call("GET", path, timeout=5))

    with recording(recorder):
        await ask_all([f"{number}" for number in range(times)], ask, timeout=5)
    return recorder


async def test_questions_at_once_count_each_its_own_requests() -> None:
    async with open_counting() as (server, connection):
        none, three, seven = await asyncio.gather(
            connection.request(Call("GET", "/background", timeout=5)),
            ask_times(connection, "/three", 3),
            ask_times(connection, "/seven", 7),
        )
        assert none.status == 200
        assert server.seen == {"/background": 1, "/three": 3, "/seven": 7}
        assert (three.clusters["c1"].upstream_calls, seven.clusters["c1"].upstream_calls) == (3, 7)
        assert current_recorder() is None


async def test_streams_and_failed_requests_are_calls_too(unused_port: Callable[[], int]) -> None:
    recorder = Recorder()
    async with open_counting() as (_, connection):
        with recording(recorder):
            await connection.request(Call("GET", "/none", timeout=5))
            async with connection.open_stream(Call("GET", "/stream", timeout=5)):
                pass
    nowhere = HttpConnection("c2", Target(f"http://127.0.0.1:{unused_port()}"))
    with recording(recorder), pytest.raises(ClusterUnreachable):
        await nowhere.request(Call("GET", "/", timeout=5))
    await nowhere.close()
    assert {name: record.upstream_calls for name, record in recorder.clusters.items()} == {"c1": 2, "c2": 1}


async def test_lists_come_from_memory_and_ask_nobody(open_fleet: OpenFleet) -> None:
    recorder = Recorder()
    async with open_fleet("c1", "c2", pods=4) as fleet:
        with recording(recorder):
            await fleet.federation.list_page(
                PODS, EVERYTHING, PodFilter(), (), PageRequest(first=1), OnUnavailable.PARTIAL
            )
            await fleet.federation.get(PODS, EVERYTHING, PodKey("c1", "shop", "p0"))
            await fleet.federation.get(PODS, EVERYTHING, PodKey("c1", "shop", "nope"))
    hits = {name: (record.cache_hits, record.cached_objects) for name, record in recorder.clusters.items()}
    assert hits == {"c1": (3, 5), "c2": (1, 4)}
    assert sum(record.upstream_calls for record in recorder.clusters.values()) == 0


async def test_all_who_wait_for_one_probe_have_awaited_it(open_fleet: OpenFleet) -> None:
    recorders = [Recorder(), Recorder()]

    async def ask(recorder: Recorder) -> None:
        with recording(recorder):
            await fleet.federation.select(PODS, EVERYTHING, PodFilter(), OnUnavailable.PARTIAL)

    async with open_fleet("c1", "c2") as fleet:
        fleet["c1"].answering.clear()
        await fleet.until_state("c1", lambda cluster: (cluster.age_seconds or 0) > 0.1)
        await asyncio.gather(*map(ask, recorders))
    for recorder in recorders:
        assert recorder.clusters["c1"].probes_awaited == 1
        assert recorder.clusters["c1"].waited.seconds > 0
        assert recorder.clusters["c1"].upstream_calls == 0


@asynccontextmanager
async def open_filled(folder: Path, *, pods: int, points: int) -> AsyncIterator[tuple[EmbeddedStore, list[PodKey]]]:
    """A metric file with so many points of each pod, a second apart, the newest a second old."""
    keys = [PodKey("c1", "shop", f"p{number}") for number in range(pods)]
    now = time.time_ns()
    async with open_embedded_store(EmbeddedOptions(folder / "usage.db")) as store:
        times = [now - (number + 1) * NANOSECONDS for number in range(points)]
        await store.write(
            [
                (key, Point(time_ns=at, cpu_cores=1.0, network_receive_bytes=at // NANOSECONDS))
                for key in keys
                for at in times
            ]
        )
        yield store, keys


async def test_rows_decoded_in_threads_are_the_askers(tmp_path: Path) -> None:
    one, all_of_them = Recorder(), Recorder()

    async def ask(recorder: Recorder, asked: list[PodKey]) -> None:
        with recording(recorder):
            await store.latest(Kind.POD, frozenset(asked), CPU)

    async with open_filled(tmp_path, pods=5, points=3) as (store, keys):
        await asyncio.gather(ask(one, keys[:1]), ask(all_of_them, keys))
        await store.latest(Kind.POD, frozenset(keys), CPU)
    assert (one.metric_queries, one.metric_rows) == (1, 1)
    assert (all_of_them.metric_queries, all_of_them.metric_rows) == (1, 5)
    assert all_of_them.metrics_waited.seconds > 0


@pytest.mark.parametrize(("measure", "points"), [(Measure.CPU_CORES, 1), (Measure.NETWORK_RECEIVE_BYTES, 2)])
@pytest.mark.parametrize("known", [0, 2, 5], ids=["all read", "some known", "all known"])
async def test_newest_points_count_whether_they_are_read_or_known(
    tmp_path: Path, known: int, measure: Measure, points: int
) -> None:
    recorder = Recorder()
    async with open_filled(tmp_path, pods=5, points=3) as (store, keys):
        silent = PodKey("c1", "shop", "silent")
        await store.latest(Kind.POD, frozenset(keys[:known]), frozenset({measure}))
        with recording(recorder):
            usages = await store.latest(Kind.POD, frozenset({*keys, silent}), frozenset({measure}))
            assert set(usages) == set(keys)
    assert (recorder.metric_queries, recorder.metric_rows) == (1, 5 * points)


@pytest.mark.parametrize("aggregate", [Aggregate.MEAN, Aggregate.P95])
async def test_rows_are_what_the_store_answers(tmp_path: Path, aggregate: Aggregate) -> None:
    recorder = Recorder()
    second = time.time_ns() // NANOSECONDS - 60
    window = TimeRange(second * NANOSECONDS, (second + 100) * NANOSECONDS, 50 * NANOSECONDS)
    async with open_embedded_store(EmbeddedOptions(tmp_path / "usage.db")) as store:
        keys = [PodKey("c1", "shop", f"p{number}") for number in range(2)]
        times = [(second + 5 * number) * NANOSECONDS for number in range(12)]
        await store.write([(key, Point(time_ns=at, cpu_cores=1.0)) for key in keys for at in times])
        with recording(recorder):
            await store.history(Kind.POD, frozenset(keys), window, frozenset({(Measure.CPU_CORES, aggregate)}))
    # Every point once, of two pods.
    assert (recorder.metric_queries, recorder.metric_rows) == (1, 24)


def test_waits_side_by_side_count_once() -> None:
    span = Span()
    began = time.monotonic()
    with contextlib.ExitStack() as waits:
        for _ in range(1000):
            waits.enter_context(span)
        under_way = span.seconds
    assert under_way <= span.seconds <= time.monotonic() - began
