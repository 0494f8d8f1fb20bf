"""The calls of the original's user document, as they are written there, by bash, curl and jq.

Only address and port are this machine's. The one recipe that lacks a closing backtick is run with it.
"""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.fakes.waiting import PATIENCE
from tests.processes import RunningServer, free_port, open_server
from tests.required import need


@pytest.fixture(scope="module", autouse=True)
def tools() -> None:
    """The recipes' own programs."""
    for tool in ("bash", "curl", "jq"):
        need(tool)


POD_RECIPE = """
USERNAME="openmcp"
PASSWORD="keti"
URL="api/v1/namespaces/default/pods"
CLUSTER="cluster1"

TOKEN_JSON=`curl -XGET -H "Content-type: application/json" "http://$IP:$PORT/token?username=$USERNAME&password=$PASSWORD"`
TOKEN=`echo $TOKEN_JSON | jq .token`
TOKEN=`echo "$TOKEN" | tr -d '"'`

curl -XGET -H "Authorization: Bearer $TOKEN" $IP:$PORT/$URL?clustername=$CLUSTER | jq .
"""

METRIC_RECIPE = """
USERNAME="openmcp"
PASSWORD="keti"
URL="metrics/nodes/kube1-worker1"
TIME_START="2020-09-03_09:00:00"
TIME_END="2020-09-03_09:00:15"
CLUSTER="cluster1"

TOKEN_JSON=`curl -XGET -H "Content-type: application/json" "http://$IP:$PORT/token?username=$USERNAME&password=$PASSWORD&timeStart=$TIMNE_START&timeEnd=$TIME_END"`
TOKEN=`echo $TOKEN_JSON | jq .token`
TOKEN=`echo "$TOKEN" | tr -d '"'`

curl -XGET -H "Authorization: Bearer $TOKEN" $IP:$PORT/$URL?clustername=$CLUSTER  | jq .
"""

URLS = [
    f"http://$IP:$PORT/metrics/{path}?clustername=cluster1{times}"
    for path in ("nodes/kube1-worker1", "namespaces/default/pods/nginx-deployment-55fbd9fd6d-h7d8t")
    for times in (
        "",
        "&timeStart=2020-09-03_09:00:00",
        "&timeEnd=2020-09-03_09:00:15",
        "&timeStart=2020-09-03_09:00:00&timeEnd=2020-09-03_09:00:15",
    )
]


@pytest.fixture(scope="module")
async def demo_server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    port = free_port()
    log = tmp_path_factory.mktemp("demo") / "demo.log"
    arguments = ("demo", "--pods", "40", "--port", str(port))
    async with open_server(*arguments, environment={}, port=port, log=log) as server:
        yield server


@pytest.fixture(params=["demo_server", pytest.param("fleet_server", marks=pytest.mark.real)])
def server(request: pytest.FixtureRequest) -> RunningServer:
    """Each recipe runs on the demo and in front of a real fleet."""
    opened: RunningServer = request.getfixturevalue(request.param)
    return opened


async def _run(server: RunningServer, script: str) -> Any:
    """What the script prints, as JSON."""
    head = f'IP="127.0.0.1"\nPORT="{server.port}"\n'
    process = await asyncio.create_subprocess_exec(
        *("bash", "-c", head + script), stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    async with asyncio.timeout(PATIENCE):
        output, errors = await process.communicate()
    assert process.returncode == 0, errors.decode()
    return json.loads(output)


async def _fetch(server: RunningServer, url: str) -> Any:
    token = await server.sign_in()
    return await _run(server, f'curl -sS -XGET -H "Authorization: Bearer {token}" "{url}"')


async def test_the_recipe_for_pods(server: RunningServer) -> None:
    answer = await _run(server, POD_RECIPE)
    assert (answer["kind"], answer["apiVersion"]) == ("PodList", "v1")
    assert {item["metadata"]["namespace"] for item in answer["items"]} == {"default"}


async def test_the_recipe_for_a_nodes_usage(server: RunningServer) -> None:
    answer = await _run(server, METRIC_RECIPE)
    (entry,) = answer["nodemetrics"]
    assert list(entry) == ["time", "cluster", "node", "cpu", "memory", "fs", "network"]
    assert (entry["cluster"], entry["node"]) == ("cluster1", "kube1-worker1")
    assert re.fullmatch(r"\d+n", entry["cpu"]["CPUUsageNanoCores"])
    assert all(re.fullmatch(r"\d+Ki", leaf) for part in ("memory", "fs") for leaf in entry[part].values())
    assert all(re.fullmatch(r"\d+", leaf) for leaf in entry["network"].values())


@pytest.mark.parametrize("url", URLS)
async def test_the_documented_urls(server: RunningServer, url: str) -> None:
    answer = await _fetch(server, url)
    (member,) = answer
    assert member == ("nodemetrics" if "/nodes/" in url else "podmetrics")
    # Nothing here was measured before 2020 ended, and not every fleet has the document's pod.
    if "timeEnd" in url:
        assert answer[member] is None
    elif member == "nodemetrics":
        assert answer[member]


async def test_a_pods_usage_over_the_last_minutes(server: RunningServer) -> None:
    pods = await _run(server, POD_RECIPE)
    name = next(pod["metadata"]["name"] for pod in pods["items"] if pod["status"]["phase"] == "Running")
    now = datetime.now(UTC)
    start, end = ((now + timedelta(minutes=minutes)).strftime("%Y-%m-%d_%H:%M:%S") for minutes in (-11, 1))
    url = f"http://$IP:$PORT/metrics/namespaces/default/pods/{name}?clustername=cluster1"
    newest = (await _fetch(server, url))["podmetrics"]
    ranged = (await _fetch(server, f"{url}&timeStart={start}&timeEnd={end}"))["podmetrics"]
    times = [datetime.fromisoformat(f"{entry['time'][:19]}+00:00") for entry in ranged]
    assert len(newest) == 1
    assert times == sorted(times)
    assert {entry["pod"] for entry in ranged} == {name}
