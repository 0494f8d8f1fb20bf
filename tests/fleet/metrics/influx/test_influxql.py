"""What InfluxDB alone can do: its cells, its silent failures, its refusals. Against a real server."""

import asyncio
import re
import time
from collections.abc import Callable
from dataclasses import replace

import pytest

from fleet.aio.recorder import Recorder, recording
from fleet.metrics.influx.influxql import InfluxqlStore
from fleet.metrics.influx.opening import open_influx_store
from fleet.metrics.influx.options import InfluxOptions
from fleet.metrics.influx.pool import open_influx_pool
from fleet.model.errors import MetricsUnavailable
from fleet.model.objects import NodeKey, PodKey
from fleet.model.told import detail_of
from fleet.model.usage import ALL_MEASURES, NANOSECONDS, Aggregate, Kind, Measure, Point, TimeRange
from tests.fakes.waiting import until
from tests.fleet.metrics.influxd import InfluxServer
from tests.fleet.metrics.stores import FilledInflux, open_filled_influx

pytestmark = pytest.mark.real

WEB = PodKey("cluster1", "default", "web-0")
NOW = time.time_ns()
SECOND = NANOSECONDS
MINUTE = TimeRange(NOW - 60 * SECOND, NOW, 10 * SECOND)
CPU_MEMORY = frozenset({Measure.CPU_CORES, Measure.MEMORY_BYTES})
MEANS = frozenset({(Measure.CPU_CORES, Aggregate.MEAN)})


async def test_one_question_is_one_request(influx: FilledInflux) -> None:
    keys = frozenset(PodKey(f"c{i % 3}", f"ns{i % 7}", f"web-{i}") for i in range(1000))
    async with open_influx_pool(influx.options) as pool:
        store = InfluxqlStore(influx.options, pool)
        await store.latest(Kind.POD, keys, ALL_MEASURES)
        await store.history(Kind.POD, keys, MINUTE, MEANS)
        await store.latest(Kind.NODE, frozenset(NodeKey("c", str(i)) for i in range(100)), ALL_MEASURES)
        assert pool.calls_sent == 3


async def test_a_newest_point_is_asked_for_once_at_a_time_and_held_for_a_moment(influx: FilledInflux) -> None:
    node, now = NodeKey("cluster1", "n1"), time.time_ns()
    options = replace(influx.options, newest_kept=0.5)
    async with open_influx_pool(options) as pool:
        store = InfluxqlStore(options, pool)

        async def newest() -> list[int]:
            points = await store.points(Kind.NODE, node, start_ns=None, end_ns=None, limit=9)
            return [now - point.time_ns for point in points]

        assert await newest() == []
        for age in (2 * SECOND, SECOND):  # that there is none is not held; a point is, until its moment is over
            await influx.write(nodes=[(node, Point(time_ns=now - age, cpu_cores=1.0))])
            await until(lambda: not store._newest_points, what="the end of what is held")
            sent = pool.calls_sent
            assert await asyncio.gather(*(newest() for _ in range(8))) == [[age]] * 8
            assert pool.calls_sent == sent + 1


@pytest.mark.parametrize(("oldest", "rows"), [(5, 40), (600, 20)], ids=["all of late", "one long ago"])
async def test_newest_points_are_one_question_whenever_they_were_measured(
    influx: FilledInflux, oldest: int, rows: int
) -> None:
    keys = [PodKey("cluster1", "default", f"web-{i}") for i in range(20)]
    ages = {key: 5 if key != WEB else oldest for key in keys}
    now = time.time_ns()  # that of the tests may be a quarter of an hour ago
    async with open_influx_pool(influx.options) as pool:
        store = InfluxqlStore(influx.options, pool)
        for newer in (0, 2):
            await influx.write(
                (key, Point(time_ns=now - (age - newer) * SECOND, cpu_cores=float(age - newer)))
                for key, age in ages.items()
            )
            with recording(recorder := Recorder()):
                usages = await store.latest(Kind.POD, frozenset(keys), CPU_MEMORY)
            assert {key: usage.cpu_cores for key, usage in usages.items()} == {
                key: age - newer for key, age in ages.items()
            }
        assert pool.calls_sent == 2
    # Where all were measured of late, the points that were known come back with the newer ones.
    assert (recorder.metric_queries, recorder.metric_rows) == (1, rows)


def wrong_password(options: InfluxOptions) -> InfluxOptions:
    return replace(options, password="wrong-secret-word")


def without_user(options: InfluxOptions) -> InfluxOptions:
    return replace(options, username="", password="")


def other_database(options: InfluxOptions) -> InfluxOptions:
    return replace(options, database="Nowhere")


def without_rights(options: InfluxOptions) -> InfluxOptions:
    return replace(options, username="nobody")


def nothing_there(options: InfluxOptions) -> InfluxOptions:
    return replace(options, url="http://127.0.0.1:9")


def unknown_host(options: InfluxOptions) -> InfluxOptions:
    return replace(options, url="http://influx.invalid:8086")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (wrong_password, "refuses user 'root' \\(401\\): check the name and the password"),
        (without_user, "refuses a query without a user \\(401\\)"),
        (other_database, "no database 'Nowhere'"),
        (without_rights, "user 'nobody'|this server's user"),
        (nothing_there, "at http://127.0.0.1:9 does not accept connections"),
        (unknown_host, "host name of InfluxDB at http://influx.invalid:8086 is not known"),
    ],
)
async def test_refusals_say_what_to_mend_and_no_secret(
    influxd: InfluxServer, change: Callable[[InfluxOptions], InfluxOptions], said: str
) -> None:
    async with open_filled_influx(influxd, change) as filled:
        for question in (
            filled.store.latest(Kind.POD, frozenset({WEB}), CPU_MEMORY),
            filled.store.history(Kind.POD, frozenset({WEB}), MINUTE, MEANS),
            filled.store.points(Kind.POD, WEB, start_ns=None, end_ns=None, limit=1),
        ):
            with pytest.raises(MetricsUnavailable) as refused:
                await question
            detail = detail_of(refused.value)
            assert re.search(said, detail), detail
            assert "SELECT" not in detail
            assert filled.options.password not in detail or not filled.options.password
        with pytest.raises(MetricsUnavailable):
            await filled.store.check()


async def test_options_do_not_show_the_password() -> None:
    assert "hidden" not in repr(InfluxOptions("http://h:1", password="hidden"))
    assert InfluxOptions("http://user:hidden@h:1").place == "http://h:1"


async def test_a_server_that_stops_is_named_and_one_that_comes_back_is_used(
    start_influxd: Callable[..., InfluxServer],
) -> None:
    server = start_influxd()
    async with open_filled_influx(server) as filled:
        filled.write_cells(WEB, NOW, CPUUsageNanoCores='"1"')
        assert await filled.store.latest(Kind.POD, frozenset({WEB}), CPU_MEMORY)
        server.stop()
        with pytest.raises(MetricsUnavailable, match="does not accept connections"):
            await filled.store.latest(Kind.POD, frozenset({WEB}), CPU_MEMORY)
        server.start()
        assert await filled.store.latest(Kind.POD, frozenset({WEB}), CPU_MEMORY)


@pytest.mark.parametrize(
    ("coordinator", "http", "said"),
    [
        ("  max-select-series = 3", "", "reached a limit of InfluxDB \\(max-select-series\\)"),
        ("", "  max-row-limit = 10", "cut its answer short \\(max-row-limit\\)"),
    ],
)
async def test_limits_of_the_server_are_reported(
    start_influxd: Callable[..., InfluxServer], coordinator: str, http: str, said: str
) -> None:
    server = start_influxd(coordinator=coordinator, http=http)
    keys = [PodKey("cluster1", "default", f"web-{i}") for i in range(5)]
    async with open_filled_influx(server) as filled:
        await filled.write((key, Point(time_ns=NOW - s * SECOND, cpu_cores=1.0)) for key in keys for s in range(30))
        with pytest.raises(MetricsUnavailable, match=said):
            await filled.store.history(Kind.POD, frozenset(keys), MINUTE, MEANS)


async def test_an_answer_larger_than_the_bound_is_refused(influxd: InfluxServer) -> None:
    async with open_filled_influx(influxd, lambda options: replace(options, max_answer_bytes=1000)) as filled:
        await filled.write((WEB, Point(time_ns=NOW - s * SECOND, cpu_cores=1.0)) for s in range(1, 60))
        with pytest.raises(MetricsUnavailable, match="larger than 1000 bytes"):
            await filled.store.history(Kind.POD, frozenset({WEB}), MINUTE, MEANS)


async def test_check_names_version_and_database(influxd: InfluxServer, influx: FilledInflux) -> None:
    assert await influx.store.check() == f"InfluxDB {influxd.version}, database {influx.options.database}"


async def test_a_store_opens_though_its_server_is_down() -> None:
    async with open_influx_store(InfluxOptions("http://127.0.0.1:9")) as store:
        with pytest.raises(MetricsUnavailable, match="does not accept connections"):
            await store.check()
