"""The demo as a user starts it: a command, a few curl calls, Ctrl-C."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from demo.simulator.population import DOCUMENTED_POD
from tests.fakes.waiting import PATIENCE, until
from tests.processes import COMMAND, RunningServer, free_port, open_server
from tests.required import need

START_SECONDS = 2 * PATIENCE
DOCUMENTED_RECIPE = """
USERNAME="openmcp"
PASSWORD="keti"
IP="127.0.0.1"
PORT="{port}"
URL="{path}"
CLUSTER="cluster1"

TOKEN_JSON=`curl -s -XGET -H "Content-type: application/json" "http://$IP:$PORT/token?username=$USERNAME&password=$PASSWORD"`
TOKEN=`echo $TOKEN_JSON | jq .token`
TOKEN=`echo "$TOKEN" | tr -d '"'`

curl -s -XGET -H "Authorization: Bearer $TOKEN" "$IP:$PORT/$URL?clustername=$CLUSTER{more}" | jq .
"""


@pytest.fixture(scope="module")
async def demo(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[RunningServer]:
    """`openmcp-apiserver demo` with three members; the last is ill."""
    port = free_port()
    log = tmp_path_factory.mktemp("demo") / "demo.log"
    arguments = ("demo", "--port", str(port), "--clusters", "3", "--pods", "30")
    async with open_server(*arguments, environment={}, port=port, log=log, ready_seconds=START_SECONDS) as server:
        yield server


async def test_the_first_question_waits_for_no_ill_member(demo: RunningServer) -> None:
    answer: Any = await demo.ask(await demo.sign_in(), "{ pods(first: 1) { clusters { state } } }")

    outcomes = answer["data"]["pods"]["clusters"]
    assert [outcome["state"] for outcome in outcomes] == ["OK", "OK", "OK", "UNREACHABLE"]


async def run_recipe(demo: RunningServer, path: str, more: str = "") -> Any:
    """What the documented shell lines print."""
    for program in ("curl", "jq"):
        need(program)
    script = DOCUMENTED_RECIPE.format(port=demo.port, path=path, more=more)
    process = await asyncio.create_subprocess_exec("sh", "-c", script, stdout=asyncio.subprocess.PIPE)
    output, _ = await asyncio.wait_for(process.communicate(), PATIENCE)
    return json.loads(output)


async def test_the_documented_pod_list_is_answered(demo: RunningServer) -> None:
    answer = await run_recipe(demo, "api/v1/namespaces/default/pods")

    assert answer["kind"] == "PodList"
    assert DOCUMENTED_POD in [item["metadata"]["name"] for item in answer["items"]]


@pytest.mark.parametrize(
    ("path", "list_name"),
    [
        ("metrics/nodes/kube1-worker1", "nodemetrics"),
        (f"metrics/namespaces/default/pods/{DOCUMENTED_POD}", "podmetrics"),
    ],
)
async def test_the_documented_metrics_are_answered(demo: RunningServer, path: str, list_name: str) -> None:
    start = time.strftime("%Y-%m-%d_%H:%M:%S", time.gmtime(time.time() - 600))

    newest = (await run_recipe(demo, path))[list_name]
    since = (await run_recipe(demo, path, f"&timeStart={start}"))[list_name]
    long_ago = (await run_recipe(demo, path, "&timeStart=2020-09-03_09:00:00&timeEnd=2020-09-03_09:00:15"))[list_name]

    assert len(newest) == 1
    assert newest[0]["cpu"]["CPUUsageNanoCores"].endswith("n")
    assert len(since) >= 60
    assert not long_ago


async def test_one_query_shows_usage_and_history_and_names_the_ill_member(demo: RunningServer) -> None:
    query = """{ pods(first: 200, filter: {phases: [RUNNING]}) {
        items { cluster { name } usage { cpuCores } history(last: "1h") { cpuCores } }
        clusters { name state message } } }"""

    token = await demo.sign_in()

    async def has_history() -> bool:
        answer: Any = await demo.ask(token, query)
        pods = answer["data"]["pods"]
        states = {outcome["name"]: outcome["state"] for outcome in pods["clusters"]}
        assert states.pop("cluster3") == "UNREACHABLE"
        assert set(states.values()) == {"OK"}
        members = [pod for pod in pods["items"] if pod["cluster"]["name"] != "openmcp"]
        assert len(members) > 40
        with_history = [pod for pod in members if pod["usage"] and any(pod["history"]["cpuCores"])]
        return len(with_history) >= len(members) - 4  # one that has just started has no usage yet

    await until(has_history, what="the usage of all but a few", every=0.2)


async def test_the_last_known_state_of_the_ill_member_can_be_asked_for(demo: RunningServer) -> None:
    query = (
        '{ pods(first: 1, onUnavailable: STALE, filter: {clusters: ["cluster3"]}) { totalCount clusters { state } } }'
    )

    answer: Any = await demo.ask(await demo.sign_in(), query)

    assert answer["data"]["pods"]["totalCount"] >= 30  # one more while a pod is being replaced
    assert answer["data"]["pods"]["clusters"] == [{"state": "STALE"}]


async def test_usage_moves(demo: RunningServer) -> None:
    token = await demo.sign_in()
    query = f'{{ pod(cluster: "cluster1", namespace: "default", name: "{DOCUMENTED_POD}") {{ usage {{ cpuCores }} }} }}'
    seen: set[float] = set()

    async with asyncio.timeout(PATIENCE):  # its first points wait for two hours of history to be written
        while len(seen) < 2:
            answer: Any = await demo.ask(token, query)
            seen.add(answer["data"]["pod"]["usage"]["cpuCores"])
            await asyncio.sleep(0.2)


async def test_the_welcome_says_where_and_who(demo: RunningServer) -> None:
    welcome = demo.log.read_text()

    for part in (f"{demo.url}/graphql", "openmcp", "keti", "cluster3 is ill", "Ctrl-C"):
        assert part in welcome


async def test_a_taken_port_is_said_at_once(demo: RunningServer) -> None:
    process = await asyncio.create_subprocess_exec(
        COMMAND, "demo", "--port", str(demo.port), stderr=asyncio.subprocess.PIPE
    )
    _, errors = await asyncio.wait_for(process.communicate(), PATIENCE)

    assert process.returncode == 1
    assert f"port {demo.port}" in errors.decode()
    assert "--port" in errors.decode()


@asynccontextmanager
async def started(folder: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A small demo of its own that has said its welcome; its temporary files are in `folder`."""
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        *("demo", "--port", "0", "--clusters", "2", "--pods", "5"),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "TMPDIR": str(folder)},
    )
    assert process.stdout is not None
    try:
        first = await asyncio.wait_for(process.stdout.readline(), START_SECONDS)
        assert first.startswith(b"starting 2 simulated clusters with 5 pods each")
        await asyncio.wait_for(process.stdout.readuntil(b"Ctrl-C ends it.\n"), START_SECONDS)
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
async def test_ctrl_c_ends_it_cleanly(number: signal.Signals, tmp_path: Path) -> None:
    async with started(tmp_path) as process:
        process.send_signal(number)
        _, errors = await asyncio.wait_for(process.communicate(), PATIENCE)

    # How far it was is told every few seconds, on a slow machine.
    assert (process.returncode, [line for line in errors.splitlines() if not line.endswith(b" s)")]) == (0, [])
    assert names_in(tmp_path) == []


async def test_the_simulated_fleet_does_not_outlive_a_killed_demo(tmp_path: Path) -> None:
    async with started(tmp_path) as process:
        assert len(names_in(tmp_path, "simulated-fleet-*")) == 1
        process.kill()
        await process.communicate()

        await until(lambda: not names_in(tmp_path, "simulated-fleet-*"), what="the end of the simulated fleet")


def names_in(folder: Path, pattern: str = "*") -> list[str]:
    """What is in a folder."""
    return [path.name for path in folder.glob(pattern)]
