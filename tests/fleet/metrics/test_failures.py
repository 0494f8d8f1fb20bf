"""A store that can't be asked says what to mend, and never answers that there is nothing."""

import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager

import pytest

from fleet.metrics.influx.options import Dialect
from fleet.model.errors import MetricsUnavailable
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import ALL_MEASURES, NANOSECONDS, Aggregate, Kind, Measure, Point, TimeRange
from fleet.ports import MetricStore
from realfleet.influx2 import Influx2
from tests.fakes.faults import Faults, open_proxy
from tests.fleet.metrics.influxd import InfluxServer
from tests.fleet.metrics.stores import FilledInflux, open_filled_flux, reopen

pytestmark = pytest.mark.real

PODS = frozenset(PodKey("cluster1", "default", f"web-{number}") for number in range(20))
WEB = PodKey("cluster1", "default", "web-0")
NOW = time.time_ns()
MINUTE = TimeRange(NOW - 60 * NANOSECONDS, NOW, 10 * NANOSECONDS)
MEANS = frozenset({(Measure.CPU_CORES, Aggregate.MEAN)})

QUESTIONS: Mapping[str, Callable[[MetricStore], object]] = {
    "latest of pods": lambda store: store.latest(Kind.POD, PODS, ALL_MEASURES),
    "latest of nodes": lambda store: store.latest(Kind.NODE, frozenset({NodeKey("cluster1", "n1")}), ALL_MEASURES),
    "history": lambda store: store.history(Kind.POD, PODS, MINUTE, MEANS),
    "points": lambda store: store.points(Kind.POD, WEB, start_ns=None, end_ns=None, limit=1),
    "placements": lambda store: store.placements(PODS, start_ns=NOW - 60 * NANOSECONDS, end_ns=NOW),
    "pods on nodes": lambda store: store.pods_on_nodes(frozenset({NodeKey("cluster1", "n1")}), NOW),
    "check": lambda store: store.check(),
}
SECRET = "wrong-secret-word"


async def fill(filled: FilledInflux) -> None:
    points = [Point(time_ns=NOW - second * NANOSECONDS, cpu_cores=1.0, memory_bytes=1) for second in range(1, 60)]
    await filled.write((pod, point) for pod in PODS for point in points)


async def assert_refused(store: MetricStore, said: str) -> None:
    for name, ask in QUESTIONS.items():
        with pytest.raises(MetricsUnavailable, match=said) as refused:
            await ask(store)  # type: ignore[misc]  # every question is a coroutine
        words = str(refused.value)
        assert not any(word in words for word in ("SELECT", "from(", SECRET)), name


async def test_a_missing_database_or_bucket_is_named(any_influx: FilledInflux) -> None:
    what = "bucket" if any_influx.options.dialect is Dialect.FLUX else "database"
    async with reopen(any_influx, database="Nowhere") as store:
        await assert_refused(store, f"has no {what} 'Nowhere'")


async def test_a_wrong_credential_is_named_and_not_shown(any_influx: FilledInflux) -> None:
    what = "token" if any_influx.options.dialect is Dialect.FLUX else "password"
    async with reopen(any_influx, **{what: SECRET}) as store:
        await assert_refused(store, f"refuses .* \\(401\\): check the .*{what}")


async def test_an_organisation_that_does_not_exist_is_named(real_influx2: Influx2) -> None:
    async with open_filled_flux(real_influx2) as flux, reopen(flux, org="no/where") as store:
        await assert_refused(store, "has no organisation 'no/where'")


async def test_a_caller_without_rights_is_told_so(
    any_influx: FilledInflux, influxd: InfluxServer, real_influx2: Influx2
) -> None:
    first = any_influx.options.url == influxd.url
    changes = {"username": influxd.reader} if first else {"token": real_influx2.create_token(None)}
    async with reopen(any_influx, **changes) as store:
        await assert_refused(store, "user 'nobody'|this server's user|no database 'Metrics|server's token may read")


async def test_a_token_that_reads_one_bucket_is_enough(real_influx2: Influx2) -> None:
    bucket = real_influx2.create_bucket("read-only")
    token = real_influx2.create_token(bucket)
    async with open_filled_flux(real_influx2) as flux, reopen(flux, database="read-only", token=token) as store:
        assert (await store.check()).endswith("bucket read-only of organisation openmcp")
        assert await store.latest(Kind.POD, PODS, ALL_MEASURES) == {}
    real_influx2.delete_bucket(bucket)


async def test_a_server_of_another_kind_is_named(any_influx: FilledInflux, influxd: InfluxServer) -> None:
    other = "http://127.0.0.1:9"
    if any_influx.options.dialect is Dialect.FLUX:
        other = influxd.url
    async with reopen(any_influx, url=other) as store:
        await assert_refused(store, "there is no InfluxDB 2.x|does not accept connections")


@asynccontextmanager
async def open_line(filled: FilledInflux, timeout: float = 5.0) -> AsyncIterator[tuple[MetricStore, Faults]]:
    await fill(filled)
    async with (
        open_proxy(filled.options.url) as (url, faults),
        reopen(filled, url=url, timeout=timeout) as store,
    ):
        yield store, faults


@pytest.mark.parametrize("size", [1, 100, 300, 800, 3000])
async def test_an_answer_cut_off_half_way_is_named(any_influx: FilledInflux, size: int) -> None:
    async with open_line(any_influx) as (store, faults):
        assert len(await store.history(Kind.POD, PODS, MINUTE, MEANS)) == len(PODS)
        faults.reset()
        faults.cut_after = size
        with pytest.raises(MetricsUnavailable, match=r"broke off its answer|is cut short"):
            await store.history(Kind.POD, PODS, MINUTE, MEANS)


async def test_a_silent_server_costs_the_timeout(any_influx: FilledInflux) -> None:
    async with open_line(any_influx, timeout=0.4) as (store, faults):
        faults.black_hole = True
        with pytest.raises(MetricsUnavailable, match=r"did not answer within 0\.4 s"):
            await store.history(Kind.POD, PODS, MINUTE, MEANS)


async def test_a_dead_server_is_named_and_one_that_is_back_is_used(
    any_influx: FilledInflux, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "fleet.metrics")
    async with open_line(any_influx) as (store, faults):
        faults.refusing = True
        faults.reset()
        for _ in range(3):
            await assert_refused(store, "broke off its answer|does not accept connections")
        faults.refusing = False
        for _ in range(2):
            assert len(await store.history(Kind.POD, PODS, MINUTE, MEANS)) == len(PODS)
    told = [record for record in caplog.records if record.name.startswith("fleet.metrics")]
    *warnings, back = [(record.levelname, record.getMessage()) for record in told]
    assert {level for level, _ in warnings} == {"WARNING"}
    assert len(warnings) == len(set(warnings))
    assert (back[0], back[1].endswith("answers again")) == ("INFO", True)


async def test_an_answer_larger_than_the_bound_is_refused(any_influx: FilledInflux) -> None:
    await fill(any_influx)
    async with reopen(any_influx, max_answer_bytes=2000) as store:
        with pytest.raises(MetricsUnavailable, match="larger than 2000 bytes"):
            await store.history(Kind.POD, PODS, MINUTE, MEANS)


async def test_a_limit_of_the_server_is_named(start_real_influx2: Callable[..., Influx2]) -> None:
    bounds = ("--query-concurrency=2", "--query-queue-size=2", "--query-initial-memory-bytes=4000")
    server = start_real_influx2(*bounds, "--query-memory-bytes=4000", "--query-max-memory-bytes=8000")
    async with open_filled_flux(server) as flux:
        await fill(flux)
        with pytest.raises(MetricsUnavailable, match="reached a limit of InfluxDB \\(memory\\)"):
            await flux.store.history(Kind.POD, PODS, MINUTE, MEANS)
