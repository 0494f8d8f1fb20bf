"""`/status`: the platform's scores in the shape the original answered, from the InfluxDB it writes to."""

import json

import aiohttp
import pytest

from fleet.metrics.influx.opening import open_influx_store
from fleet.metrics.influx.options import InfluxOptions
from fleet.model.cluster_status import ClusterStatus
from fleet.model.errors import MetricsUnavailable
from fleet.model.usage import NANOSECONDS
from realfleet.influx import Influx
from rest_compat.routes.status import format_score
from tests.rest_compat.serving import Client, Points

NINE = 1_599_123_600 * NANOSECONDS  # 2020-09-03 09:00:00 UTC
STATUS = "/status?clustername=cluster1"

SHAPE = """{
	"cluster_status": [
		{
			"time": "2020-09-03T09:00:00.5Z",
			"cluster": "cluster1",
			"cpu_score": "12.5",
			"memory_score": "40",
			"disk_score": "0",
			"network_score": "0.25",
			"latency_score": "",
			"cpu_warning": "false",
			"memory_warning": "true",
			"disk_warning": "false",
			"network_warning": "",
			"latency_warning": "false"
		}
	]
}"""


class Scored(Points):
    """A store that the platform writes its scores to."""

    async def cluster_statuses(
        self, cluster: str, *, start_ns: int | None, end_ns: int | None, limit: int
    ) -> list[ClusterStatus]:
        if self.broken:
            raise MetricsUnavailable("InfluxDB can't be reached")
        assert (cluster, start_ns, end_ns) in (("cluster1", None, None), ("cluster1", NINE, NINE + 15 * NANOSECONDS))
        status = ClusterStatus(NINE + NANOSECONDS // 2, 12.5, 40, 0, 0.25, None, False, True, False, None, False)
        return [status]


@pytest.fixture
async def points() -> Points:
    return Scored()


@pytest.mark.parametrize(
    "target",
    [
        STATUS,
        STATUS.replace("?", "/?"),
        f"{STATUS}&timeStart=2020-09-03_09:00:00&timeEnd=2020-09-03_09:00:15",
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_scores_have_the_original_bytes(client: Client, method: str, target: str) -> None:
    answer = await client.ask(method, target)
    assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
    assert answer.body.decode() == SHAPE


@pytest.mark.parametrize(
    ("target", "status"),
    [
        ("/status", 400),
        ("/status?clustername=nowhere", 404),
        (f"{STATUS}&timeStart=2020-09-03", 400),
        (f"{STATUS}&timeEnd=2020-09-03_09:00:00'%20OR%201=1", 400),
    ],
)
async def test_errors_keep_the_null_list(client: Client, target: str, status: int) -> None:
    answer = await client.ask("GET", target)
    content = json.loads(answer.body)
    assert (answer.status, list(content), content["cluster_status"]) == (status, ["cluster_status", "error"], None)


async def test_a_store_that_is_down_is_a_null_list(client: Client, points: Points) -> None:
    points.broken = True
    answer = await client.ask("GET", STATUS)
    assert (answer.status, json.loads(answer.body)["cluster_status"]) == (503, None)


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_nothing_is_read_without_a_token(client: Client, method: str) -> None:
    assert (await client.ask(method, STATUS, Authorization="")).status == 401


async def test_who_is_limited_to_namespaces_reads_no_sums_of_a_cluster(client: Client, viewer: str) -> None:
    assert (await client.ask("GET", STATUS, token=viewer)).status == 403


def read_options(influx: Influx) -> InfluxOptions:
    return InfluxOptions(influx.url, influx.database, username=influx.username, password=influx.password)


NUMBERS = ["3", "0", "-3", "3.5", "100", "0.1", "1e15", "1e16", "123456789012345680000", "1e20", "1e21", "1.5e22"]
NUMBERS += ["0.00001", "0.0000015", "1e-6", "9e-7", "1.25e-7", "1e-10", "-2.5e-11", "1e100", "33.333333333333336"]


@pytest.mark.real
@pytest.mark.parametrize("number", NUMBERS)
async def test_a_score_is_the_text_that_its_store_answers(real_influx: Influx, number: str) -> None:
    """The original had the store's own JSON, which Go writes."""
    real_influx.write(f"ClusterStatus,cluster=written cpuScore={number} {NINE}")
    asked = {"q": "SELECT cpuScore FROM ClusterStatus WHERE cluster='written'", "db": real_influx.database}
    asked |= {"u": real_influx.username, "p": real_influx.password}
    async with (
        aiohttp.ClientSession() as session,
        session.get(f"{real_influx.url}/query", params=asked) as answer,
    ):
        text = (await answer.text()).partition('Z",')[2].partition("]")[0]
    assert format_score(float(number)) == text


@pytest.mark.real
async def test_scores_come_from_the_platforms_measurement(real_influx: Influx) -> None:
    lines = (
        f"ClusterStatus,cluster=scored cpuScore={number},memScore=2,diskScore=0.5,netScore=0,latencyScore=1.25,"
        f"cpuWarning=false,memWarning=true,diskWarning=false,netWarning=false,latencyWarning=false "
        f"{NINE + number * NANOSECONDS}"
        for number in range(3)
    )
    real_influx.write("\n".join(lines))
    async with open_influx_store(read_options(real_influx)) as store:
        read = store.cluster_statuses  # type: ignore[attr-defined]  # this store has it
        newest = await read("scored", start_ns=None, end_ns=None, limit=100)
        ranged = await read("scored", start_ns=NINE, end_ns=NINE + 2 * NANOSECONDS, limit=100)
        assert await read("scored' OR cluster = 'x", start_ns=None, end_ns=None, limit=1) == []
    assert newest == [ClusterStatus(NINE + 2 * NANOSECONDS, 2, 2, 0.5, 0, 1.25, False, True, False, False, False)]
    assert [status.cpu_score for status in ranged] == [0, 1]


@pytest.mark.real
async def test_a_score_that_changed_its_type_has_all_its_points(real_influx: Influx) -> None:
    """A shard of each type: a text is no score, and its point is there."""
    times = [NINE + weeks * 604_800 * NANOSECONDS for weeks in (10, 12, 14)]
    for time_ns, score in zip(times, ('"3"', "2i", "1.5"), strict=True):
        real_influx.write(f"ClusterStatus,cluster=mixed cpuScore={score} {time_ns}")
    async with open_influx_store(read_options(real_influx)) as store:
        read = store.cluster_statuses  # type: ignore[attr-defined]  # this store has it
        statuses = await read("mixed", start_ns=NINE, end_ns=None, limit=100)
    assert [(status.time_ns, status.cpu_score) for status in statuses] == list(zip(times, (None, 2, 1.5), strict=True))
