"""The server in front of a real fleet that a real Prometheus, or VictoriaMetrics, scrapes."""

import json
import re
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from statistics import fmean
from typing import Any

import pytest

from demo.metric_server import MetricServerKind
from fleet.metrics.remote_write.encode import encode_write
from fleet.model.usage import NANOSECONDS
from realfleet.exporter import open_exporter
from realfleet.fleet import Fleet
from realfleet.metric_server import MetricServer
from realfleet.readings import Readings
from realfleet.usage import Amounts
from rest_compat.times import format_time
from tests.fakes.waiting import until
from tests.processes import RunningServer, free_port, open_server
from tests.rest_compat.serving import open_client

pytestmark = pytest.mark.real

RULES = Path(__file__).parents[2] / "k8s" / "prometheus" / "recording-rules.yaml"
MEMBERS = ("cluster1", "cluster2")
PAST = [int(time.time()) // 60 * 60 - 60 * minutes for minutes in range(60, 0, -1)]
"""When the fleet was scraped before its store began to do so."""
STEP = 300
START = (PAST[0] // STEP + 1) * STEP
END = START + 6 * STEP

SCRAPED = pytest.mark.parametrize("scraping", ["prometheus", "victoria-metrics"], indirect=True)
EACH = pytest.mark.parametrize("scraping", ["prometheus", "victoria-metrics", "recorded"], indirect=True)
SHOWN = 'filter: {clusters: ["cluster1", "cluster2"], phases: [RUNNING]}, first: 200'
USAGE = f"""{{ pods({SHOWN}, orderBy: [{{usage: CPU_CORES, direction: DESC}}]) {{
  items {{ usage {{ time cpuCores memoryBytes fsUsedBytes fsCapacityBytes networkReceiveBytesPerSecond }} }} }} }}"""
NODES = """{ nodes(filter: {clusters: ["cluster1"]}) {
  items { usage { cpuCores memoryBytes memoryAvailableBytes fsAvailableBytes networkTransmitBytesPerSecond } } } }"""
HISTORY = f"""query ($start: DateTime!, $end: DateTime!) {{ pods({SHOWN}) {{ items {{
  namespace name nodeName cluster {{ name }}
  placements(start: $start, end: $end) {{ nodeName }}
  history(start: $start, end: $end, step: "5m") {{ memoryBytes(aggregate: MAX) cpuCores networkReceiveBytesPerSecond }}
}} }} }}"""


@pytest.fixture(scope="module")
def scraping(
    request: pytest.FixtureRequest, real_fleet: Fleet, start_real_metric_server: Callable[..., MetricServer]
) -> Iterator[tuple[str, MetricServer]]:
    """What scrapes the fleet each second and has an hour of it; `recorded` evaluates the rules as often."""
    rules = RULES if request.param == "recorded" else None
    kind = MetricServerKind("prometheus" if rules else request.param)
    with open_exporter([member.api for member in real_fleet.members]) as exporter:
        past = encode_write(exporter.build_past(PAST))
        server = start_real_metric_server(kind, exporter.build_config(1.0, rules))
        server.write(past)
        yield request.param, server


@pytest.fixture(scope="module")
async def served(
    real_fleet: Fleet, scraping: tuple[str, MetricServer], tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[RunningServer]:
    name, store = scraping
    settings = {
        "OPENMCP_METRIC_STORE": "prometheus",
        "OPENMCP_PROMETHEUS_URL": store.url,
        "OPENMCP_PROMETHEUS_RECORDED": str(name == "recorded").lower(),
    }
    async with open_served(real_fleet, settings, tmp_path_factory.mktemp("prometheus")) as server:
        yield server


@pytest.fixture(scope="module")
async def before(real_fleet: Fleet, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    """The same in front of the fleet's InfluxDB."""
    async with open_served(real_fleet, {}, tmp_path_factory.mktemp("influx")) as server:
        yield server


def open_served(fleet: Fleet, settings: dict[str, str], folder: Path) -> AbstractAsyncContextManager[RunningServer]:
    port = free_port()
    ports = {"OPENMCP_HOST": "127.0.0.1", "OPENMCP_PORT": str(port), "OPENMCP_OPS_PORT": str(free_port())}
    return open_server("serve", environment=fleet.environment() | ports | settings, port=port, log=folder / "log")


async def load_measured(server: RunningServer, query: str, objects: str, count: int) -> list[Any]:
    """The objects of an answer in which each has each figure."""
    token = await server.sign_in()
    found: list[Any] = []

    async def all_are_measured() -> bool:
        answer: Any = await server.ask(token, query)
        assert "errors" not in answer, answer
        found[:] = answer["data"][objects]["items"]
        return len(found) == count and all(each["usage"] and None not in each["usage"].values() for each in found)

    await until(all_are_measured, what=f"usage of all {objects}", every=0.5)
    return found


@EACH
async def test_all_pods_that_run_have_usage_and_are_ordered_by_it(served: RunningServer) -> None:
    pods = await load_measured(served, USAGE, "pods", 120)
    cores = [pod["usage"]["cpuCores"] for pod in pods]
    assert cores == sorted(cores, reverse=True)
    assert 0.05 < cores[0] < 0.5


@EACH
async def test_nodes_are_measured_with_their_pods_and_their_system(served: RunningServer) -> None:
    nodes = await load_measured(served, NODES, "nodes", 3)
    assert all(0.5 < node["usage"]["cpuCores"] < 10 for node in nodes)
    assert all(node["usage"]["memoryBytes"] > 400 * 2**20 for node in nodes)


@SCRAPED
async def test_history_and_placements_are_those_of_the_scrapes(served: RunningServer, real_fleet: Fleet) -> None:
    span = {"start": format_time(START * NANOSECONDS), "end": format_time(END * NANOSECONDS)}
    answer: Any = await served.ask(await served.sign_in(), HISTORY, span)
    expected = {key: steps for name in MEMBERS for key, steps in read_steps(real_fleet, name).items()}

    assert "errors" not in answer, answer
    pods = {(pod["cluster"]["name"], pod["namespace"], pod["name"]): pod for pod in answer["data"]["pods"]["items"]}
    assert pods.keys() == expected.keys()
    for key, pod in pods.items():
        history = pod["history"]
        assert history["memoryBytes"] == [max(each.memory_working_set for each in step) for step in expected[key]]
        assert history["cpuCores"] == pytest.approx([fmean(each.cpu / 1e9 for each in step) for step in expected[key]])
        assert None not in history["networkReceiveBytesPerSecond"]
        assert pod["placements"] == [{"nodeName": pod["nodeName"]}]


def read_steps(fleet: Fleet, cluster: str) -> dict[tuple[str, str, str], list[list[Amounts]]]:
    """What each pod used at each scrape of each step."""
    running = Readings(fleet.cluster(cluster).api, since=0.0).load()
    found: dict[tuple[str, str, str], list[list[Amounts]]] = defaultdict(lambda: [[] for _ in range(START, END, STEP)])
    for moment in (moment for moment in PAST if START <= moment < END):
        for pod in running.measure(moment)[0]:
            found[cluster, pod.namespace, pod.name][(moment - START) // STEP].append(pod.amounts)
    return found


@SCRAPED
@pytest.mark.parametrize("kind", ["nodes", "pods"])
async def test_legacy_answers_have_the_form_of_influxdb(
    served: RunningServer, before: RunningServer, real_fleet: Fleet, kind: str
) -> None:
    path = "/metrics/nodes/kube1-worker1"
    if kind == "pods":
        pod = next(pod for pod in real_fleet.cluster("cluster1").list_pods() if pod["status"]["phase"] == "Running")
        path = f"/metrics/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"
    times = "&timeStart={}&timeEnd={}".format(
        *(time.strftime("%Y-%m-%d_%H:%M:%S", time.gmtime(moment)) for moment in (START, END))
    )
    newest, span = [await read_form(served, f"{path}?clustername=cluster1{span}") for span in ("", times)]
    newest_before = await read_form(before, f"{path}?clustername=cluster1")
    if kind == "pods":
        newest_before[0]["fs"]["FsAvailableBytes"] = ""  # nothing that is scraped says it
    assert newest == newest_before
    assert len(span) == (END - START) // 60
    assert {str(form) for form in span} == {str(newest[0])}


async def read_form(server: RunningServer, target: str) -> list[Any]:
    """The points of an answer: who each is of, and what was measured, amounts being amounts."""
    async with open_client(server.url, await server.sign_in()) as client:
        answer = await client.ask("GET", target)
    assert answer.status == 200, answer.body
    (points,) = json.loads(answer.body).values()
    return [
        {
            name: {field: re.sub(r"^\d+(n|u|m|Ki|Mi|Gi)?$", "amount", str(cell)) for field, cell in value.items()}
            if isinstance(value, dict)
            else value
            for name, value in point.items()
            if name != "time"
        }
        for point in points
    ]
