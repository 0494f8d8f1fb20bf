"""What questions take of clusters and metric store, as the answer says it: on a real fleet, and the demo."""

import asyncio
from typing import Any

import pytest

from realfleet.fleet import Fleet
from tests.acceptance.test_ill_members import ANSWERED_WITHIN, wait_for_state
from tests.fakes.waiting import PATIENCE
from tests.processes import RunningServer

PAGE = "pods(first: 10000) { totalCount items { name usage { cpuCores } } }"
HISTORY = 'history(last: "10m", step: "1m") { cpuCores }'
CONFIG_MAPS = """{
  resources(apiVersion: "v1", kind: "ConfigMap", first: 400) { items { name } clusters { name state } }
}"""


@pytest.fixture(params=["demo", pytest.param("served", marks=pytest.mark.real)])
def server(request: pytest.FixtureRequest) -> RunningServer:
    """The demo, and the server in front of a real fleet."""
    found: RunningServer = request.getfixturevalue(request.param)
    return found


async def explain(server: RunningServer, query: str) -> tuple[Any, Any]:
    """The answer's data, and what it took."""
    body: Any = await server.ask(await server.sign_in(), query, extensions={"explain": True})
    assert set(body) == {"data", "extensions"}, body
    return body["data"], body["extensions"]["explain"]


def calls(explained: Any) -> dict[str, int]:
    """Upstream calls of each cluster that something was taken from."""
    return {cluster["name"]: cluster["upstreamCalls"] for cluster in explained["clusters"]}


@pytest.mark.parametrize(
    ("query", "queries"),
    [
        ("{ pods(first: 10000) { items { name status node { name } } } }", 0),
        ("{ " + PAGE + " }", 1),
        ("{ pods(first: 20, orderBy: [{ usage: CPU_CORES, direction: DESC }]) { items { usage { cpuCores } } } }", 1),
        ("{ pods(first: 10000) { items { name usage { cpuCores } " + HISTORY + " } } }", 2),
        ("{ nodes { items { usage { cpuCores } pods { items { usage { cpuCores } } } } } }", 2),
        ("{ nodes { items { " + HISTORY + " pods { items { " + HISTORY + " } } } } }", 2),
    ],
    ids=["plain", "usage", "ranked", "usage and history", "usage of nodes and pods", "history of nodes and pods"],
)
async def test_a_metric_question_is_one_query_whatever_the_number_of_objects(
    server: RunningServer, query: str, queries: int
) -> None:
    _, explained = await explain(server, query)
    assert (explained["metricQueries"], explained["upstreamCalls"]) == (queries, 0)
    assert set(calls(explained).values()) == {0}


async def test_a_page_tells_the_objects_and_the_rows_it_is_made_of(
    server: RunningServer, request: pytest.FixtureRequest
) -> None:
    data, explained = await explain(server, "{ " + PAGE + " }")
    measured = [pod for pod in data["pods"]["items"] if pod["usage"] is not None]
    assert explained["cachedObjects"] == data["pods"]["totalCount"] > 0
    assert explained["metricRows"] >= len(measured) > 0
    if request.node.callspec.params["server"] == "demo":  # InfluxDB may answer the points before the newest as well
        assert explained["metricRows"] == len(measured)
    assert 0 < explained["metricsTookMs"] < explained["tookMs"]


async def test_objects_of_any_kind_are_one_call_a_cluster(server: RunningServer) -> None:
    await explain(server, CONFIG_MAPS)  # what the clusters serve is known from here on
    data, explained = await explain(server, CONFIG_MAPS)
    answering = {each["name"] for each in data["resources"]["clusters"] if each["state"] == "OK"}
    assert {name: count for name, count in calls(explained).items() if name in answering} == dict.fromkeys(answering, 1)
    assert (explained["metricQueries"], explained["cacheHits"]) == (0, 0)
    assert all(each["tookMs"] > 0 for each in explained["clusters"] if each["upstreamCalls"])


async def test_questions_at_once_are_told_each_its_own(server: RunningServer) -> None:
    await explain(server, CONFIG_MAPS)
    questions = ["{ " + PAGE + " }", CONFIG_MAPS, "{ viewer { name } }"] * 3
    answers = await asyncio.gather(*(explain(server, question) for question in questions))
    taken = [(each["metricQueries"], each["upstreamCalls"] > 0, each["cacheHits"] > 0) for _, each in answers]
    assert taken == [(1, False, True), (0, True, False), (0, False, False)] * 3


@pytest.mark.real
async def test_the_time_lost_to_a_hanging_member_is_told_to_be_its(
    real_fleet: Fleet, served: RunningServer, token: str
) -> None:
    ill = real_fleet.members[1]
    ill.process.pause()
    try:
        async with asyncio.timeout(PATIENCE):
            while True:  # it is answered for from memory until it should have given a sign of life
                _, explained = await explain(served, "{ pods { totalCount } }")
                if explained["probesAwaited"]:
                    break
    finally:
        ill.process.resume()
    took = {each["name"]: each["tookMs"] for each in explained["clusters"]}
    assert max(took, key=lambda name: took[name]) == ill.name
    assert 500 < took[ill.name] <= explained["tookMs"] < ANSWERED_WITHIN * 1000
    assert explained["upstreamCalls"] == 0
    await wait_for_state(served, token, ill.name, "OK")
