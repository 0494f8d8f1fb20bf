"""Logs of simulated containers: lines that grow with time, cut and refused as the real server does."""

import asyncio
import math
from datetime import datetime
from typing import Any

import pytest

from demo.simulator import SimulatedCluster
from demo.simulator.logs import KEPT_LINES, ContainerLog
from demo.simulator.population import DOCUMENTED_POD
from tests.demo.asking import Asker, Reply
from tests.fakes.waiting import PATIENCE

PODS = "/api/v1/namespaces/default/pods"
LOG = f"{PODS}/{DOCUMENTED_POD}/log"


async def find_pod(asker: Asker, state: str, *, containers: int = 1) -> Any:
    """A pod of so many containers whose first one is in that state, as kubectl says it."""
    for pod in (await asker.ask("/api/v1/pods")).body["items"]:
        for status in pod.get("status", {}).get("containerStatuses", ())[:1]:
            ((word, more),) = status["state"].items()
            if more.get("reason", word) == state and len(pod["spec"]["containers"]) == containers:
                return pod
    raise AssertionError(state)


def path_of(pod: Any) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}/log"


def test_a_log_grows_by_a_line_a_period_and_ends_with_its_container() -> None:
    log = ContainerLog("uid", "c", web=True, start=1000.0, end=1010.0)
    assert [log.count(at) for at in (999.0, 1000.0, 1000.0 + log.period, 2000.0)] == [
        0,
        1,
        2,
        math.floor(10 / log.period) + 1,
    ]
    assert log.line(3, stamped=False) == log.line(3, stamped=False) != log.line(4, stamped=False)
    stamp, _, text = log.line(0, stamped=True).partition(b" ")
    assert (datetime.fromisoformat(stamp.decode()).timestamp(), text) == (1000.0, log.line(0, stamped=False))


async def test_a_log_has_its_newest_lines_and_not_all_that_ever_were(asker: Asker) -> None:
    whole = (await asker.ask(LOG)).body.splitlines()
    tail = (await asker.ask(LOG, tailLines="3", timestamps="true")).body.splitlines()
    assert 3 < len(whole) <= KEPT_LINES
    assert all('"GET /' in line for line in whole)
    assert tail == sorted(tail)
    assert len(tail) == 3
    assert len((await asker.ask(LOG, limitBytes="10")).body) == 10
    assert len((await asker.ask(LOG, sinceSeconds="60")).body.splitlines()) < 90


async def test_a_followed_log_goes_on_and_ends_with_its_pod(member: SimulatedCluster, asker: Asker) -> None:
    pod = await find_pod(asker, "running", containers=2)
    name = pod["spec"]["containers"][0]["name"]
    asked = {"follow": "true", "tailLines": "1", "container": name}
    async with asker.watch(path_of(pod), **asked) as events, asyncio.timeout(PATIENCE):
        lines = [await events.line() for _ in range(3)]
        assert len(set(lines)) == 3
        assert (await asker.send(path_of(pod).removesuffix("/log"), "DELETE")).status == 200
        while await events.line():
            pass
    assert member.faults.watches == 0


@pytest.mark.parametrize(
    ("query", "code", "words"),
    [
        ({"container": "no"}, 400, f"container no is not valid for pod {DOCUMENTED_POD}"),
        ({"tailLines": "x"}, 400, 'strconv.ParseInt: parsing "x": invalid syntax'),
        ({"sinceTime": "soon"}, 400, 'parsing time "soon"'),
        ({"previous": "true"}, 400, f'previous terminated container "nginx" in pod "{DOCUMENTED_POD}" not found'),
    ],
)
async def test_what_is_asked_wrongly_is_said(query: dict[str, str], code: int, words: str, asker: Asker) -> None:
    reply = await asker.ask(LOG, **query)
    assert (reply.status, reply.body["message"]) == (code, words)


async def test_a_pod_without_a_growing_log_says_so(asker: Asker) -> None:
    assert (await asker.ask(f"{PODS}/no/log")).status == 404
    two = await find_pod(asker, "running", containers=2)
    assert "choose one of: [" in (await asker.ask(path_of(two))).body["message"]
    unplaced = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "unplaced"},
        "spec": {"containers": [{"name": "c", "image": "i"}]},
    }
    assert (await asker.send(PODS, "POST", unplaced)).status == 201
    assert await asker.ask(f"{PODS}/unplaced/log") == Reply(200, "")
    ended = await asker.ask(path_of(await find_pod(asker, "CrashLoopBackOff")), follow="true")
    assert (ended.status, ended.body[-1:]) == (200, "\n")
