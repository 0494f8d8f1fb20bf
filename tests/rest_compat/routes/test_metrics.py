"""Stored usage is answered in the documented shapes, over the documented times."""

import asyncio
import json

import pytest

from auth.authenticator import Authenticator
from fleet.aio.tasks import end_tasks
from fleet.kubernetes.connection import HttpConnection, Target
from fleet.model.objects import NodeKey, PodKey
from fleet.model.usage import NANOSECONDS, Point
from rest_compat.times import parse_time
from server.asgi.bounds import BoundedProtocol
from tests.fakes.waiting import PATIENCE, until
from tests.rest_compat.serving import IMPATIENT, Answered, Client, Clusters, Points, open_client, open_served

NINE = 1_599_123_600 * NANOSECONDS  # 2020-09-03 09:00:00 UTC
NODE = "/metrics/nodes/kube1-worker1?clustername=cluster1"
POD = "/metrics/namespaces/shop/pods/web?clustername=cluster1"

FULL = Point(
    time_ns=1_594_711_388_917_378_367,
    cpu_cores=0.218250189,
    memory_bytes=1_730_704 * 1024,
    memory_usage_bytes=3_595_328 * 1024,
    memory_available_bytes=14_692_232 * 1024,
    fs_used_bytes=45_603_580 * 1024,
    fs_capacity_bytes=102_094_168 * 1024,
    fs_available_bytes=51_281_400 * 1024,
    network_receive_bytes=32_699_045_919,
    network_transmit_bytes=28_999_023_941,
    node="kube1-worker1",
)

DOCUMENTED = """{
	"nodemetrics": [
		{
			"time": "2020-07-14T07:23:08.917378367Z",
			"cluster": "cluster1",
			"node": "kube1-worker1",
			"cpu": {
				"CPUUsageNanoCores": "218250189n"
			},
			"memory": {
				"MemoryAvailableBytes": "14692232Ki",
				"MemoryUsageBytes": "3595328Ki",
				"MemoryWorkingSetBytes": "1730704Ki"
			},
			"fs": {
				"FsAvailableBytes": "51281400Ki",
				"FsCapacityBytes": "102094168Ki",
				"FsUsedBytes": "45603580Ki"
			},
			"network": {
				"NetworkRxBytes": "32699045919",
				"NetworkTxBytes": "28999023941"
			}
		}
	]
}"""


def _times(answer: Answered) -> list[str]:
    assert answer.status == 200, answer.body
    return [entry["time"] for entry in json.loads(answer.body)["nodemetrics"] or []]


async def test_a_nodes_newest_point_has_the_documented_bytes(client: Client, points: Points) -> None:
    points.stored[NodeKey("cluster1", "kube1-worker1")] = [Point(time_ns=1), FULL]
    for target in (NODE, NODE.replace("?", "/?")):
        answer = await client.ask("GET", target)
        assert (answer.status, answer.headers["content-type"]) == (200, "application/json")
        assert answer.body.decode() == DOCUMENTED


async def test_a_pods_point_says_where_it_ran(client: Client, points: Points) -> None:
    points.stored[PodKey("cluster1", "shop", "web")] = [FULL]
    answer = await client.ask("POST", POD)
    head = '"cluster": "cluster1",\n\t\t\t"namespace": "shop",\n\t\t\t"node": "kube1-worker1",\n\t\t\t"pod": "web",\n'
    middle = '"cluster": "cluster1",\n\t\t\t"node": "kube1-worker1",\n'
    assert answer.body.decode() == DOCUMENTED.replace(middle, head).replace("nodemetrics", "podmetrics")


async def test_what_is_not_stored_is_an_empty_string(client: Client, points: Points) -> None:
    points.stored[PodKey("cluster1", "shop", "web")] = [Point(time_ns=NINE)]
    answer = await client.ask("GET", POD)
    (entry,) = json.loads(answer.body)["podmetrics"]
    assert entry["time"] == "2020-09-03T09:00:00Z"
    assert entry["node"] == ""
    leaves = [leaf for part in ("cpu", "memory", "fs", "network") for leaf in entry[part].values()]
    assert leaves == [""] * 9


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ("", ["15"]),
        ("&timeStart=&timeEnd=", ["15"]),
        ("&timeStart=2020-09-03_09:00:05", ["05", "10", "15"]),
        ("&timeEnd=2020-09-03_09:00:15", ["00", "05", "10"]),
        ("&timeStart=2020-09-03_09:00:05&timeEnd=2020-09-03_09:00:15", ["05", "10"]),
        ("&timeStart=2020-09-03_09:00:05.000000001&timeEnd=2020-09-03_09:00:15.5", ["10", "15"]),
        ("&timeStart=2020-09-03_09:00:15&timeEnd=2020-09-03_09:00:05", []),
        ("&timeStart=2020-09-03_09:00:10&timeStart=nonsense", ["10", "15"]),
    ],
)
async def test_ranges_are_half_open_and_ascending(
    client: Client, points: Points, times: str, expected: list[str]
) -> None:
    steps = [Point(time_ns=NINE + seconds * NANOSECONDS) for seconds in (0, 5, 10, 15)]
    points.stored[NodeKey("cluster1", "kube1-worker1")] = steps
    assert _times(await client.ask("GET", NODE + times)) == [f"2020-09-03T09:00:{second}Z" for second in expected]


async def test_a_long_range_is_whole(client: Client, points: Points) -> None:
    stored = [Point(time_ns=NINE + number) for number in range(1, 1_000)]
    points.stored[NodeKey("cluster1", "kube1-worker1")] = stored
    times = _times(await client.ask("GET", f"{NODE}&timeStart=2020-09-03_09:00:00"))
    assert times == [f"2020-09-03T09:00:00.{number:09d}".rstrip("0") + "Z" for number in range(1, 1_000)]


@pytest.mark.parametrize(
    ("target", "body"),
    [
        (NODE, b'{\n\t"nodemetrics": null\n}'),
        (POD, b'{\n\t"podmetrics": null\n}'),
        ("/metrics/nodes/n?clustername=", b'{\n\t"nodemetrics": null\n}'),
        ("/metrics/pods/web?clustername=cluster1", b'{\n\t"podmetrics": null\n}'),
    ],
)
async def test_no_data_is_a_null_list(client: Client, target: str, body: bytes) -> None:
    answer = await client.ask("GET", target)
    assert (answer.status, answer.body) == (200, body)


@pytest.mark.parametrize(
    ("target", "status", "error"),
    [
        ("/metrics/nodes/n", 400, "add ?clustername=NAME"),
        ("/metrics/nodes/n?clustername=nowhere", 404, "no cluster is named"),
        (f"{NODE}&timeStart=2020-09-03", 400, "expected YYYY-MM-DD_HH:MM:SS"),
        (f"{NODE}&timeStart=2020-09-03_09:00:00'%20OR%201=1", 400, "expected YYYY-MM-DD_HH:MM:SS"),
        (f"{NODE}&timeEnd=2020-13-03_09:00:00", 400, "expected YYYY-MM-DD_HH:MM:SS"),
        (f"{NODE}&timeEnd=9999-01-01_00:00:00", 400, "between the years"),
        (f"{POD}&timeEnd=now", 400, "expected YYYY-MM-DD_HH:MM:SS"),
        *((path, 404, "is not served") for path in ("/metrics", "/metrics/", "/metrics/nodes", "/metrics/nodes/")),
        *((path, 404, "is not served") for path in ("/metrics/namespaces/x/pods", "/metrics/other/x")),
        ("/metrics/nodes/a%2Fb?clustername=cluster1", 404, "is not served"),
    ],
)
async def test_errors_keep_the_null_list(client: Client, target: str, status: int, error: str) -> None:
    answer = await client.ask("GET", target)
    member = "nodemetrics" if target.startswith("/metrics/nodes") else "podmetrics"
    content = json.loads(answer.body)
    assert (answer.status, list(content), content[member]) == (status, [member, "error"], None)
    assert error in content["error"]


@IMPATIENT
@pytest.mark.parametrize(("broken", "hung"), [(True, False), (False, True)])
async def test_a_store_that_does_not_answer_is_a_null_list_in_time(
    client: Client, points: Points, broken: bool, hung: bool
) -> None:
    points.broken, points.hung = broken, hung
    answer = await client.ask("GET", NODE)
    assert (answer.status, json.loads(answer.body)["nodemetrics"]) == (503, None)


async def test_a_question_that_the_store_refuses_as_too_large_says_what_would_do(
    client: Client, points: Points
) -> None:
    points.costly = True
    answer = await client.ask("GET", NODE)
    told = {"nodemetrics": None, "error": "a later `timeStart` would do"}
    assert (answer.status, json.loads(answer.body)) == (400, told)


@pytest.mark.parametrize("method", ["GET", "OPTIONS"])
async def test_nothing_is_read_without_a_token(client: Client, method: str) -> None:
    for target in (NODE, POD, "/metrics"):
        answer = await client.ask(method, target, Authorization="")
        assert (answer.status, answer.body) == (401, b"Required authorization token not found\n")


@pytest.mark.parametrize(
    ("target", "status"),
    [
        (POD, 200),
        (POD.replace("shop", "other"), 403),
        (POD.replace("cluster1", "openmcp"), 404),
        (NODE, 403),
        ("/metrics/pods/web?clustername=cluster1", 403),
    ],
)
async def test_usage_is_read_within_the_callers_reach(client: Client, viewer: str, target: str, status: int) -> None:
    answer = await client.ask("GET", target, token=viewer)
    assert (answer.status, next(iter(json.loads(answer.body).values()))) == (status, None)


def test_times_are_utc_to_the_nanosecond() -> None:
    assert parse_time("2020-09-03_09:00:00") == NINE
    assert parse_time("2020-09-03_09:00:00.25") == NINE + NANOSECONDS // 4
    assert parse_time("1969-12-31_23:59:59.999999999") == -1


async def test_the_store_works_for_nobody_who_hung_up(authenticator: Authenticator) -> None:
    points = Points(hung=True)
    connections = {"cluster1": HttpConnection("cluster1", Target("http://127.0.0.1:1"))}
    state = {
        "federation": Clusters(connections),
        "metric_store": points,
        "authenticator": authenticator,
        "request_timeout": PATIENCE,
    }
    token = await authenticator.login("openmcp", "keti")
    async with open_served(state, http=BoundedProtocol) as url, open_client(url, token) as client:
        asking = [asyncio.create_task(client.ask("GET", POD)) for _ in range(5)]
        await until(lambda: points.waiting == 5)
        await end_tasks(*asking)  # type: ignore[arg-type]  # what they return is not looked at
        await until(lambda: points.waiting == 0)
