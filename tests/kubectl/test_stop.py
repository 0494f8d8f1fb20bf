"""SIGTERM with everything open that can be: each is finished or told, `/readyz` says so first, it is over in time."""

import asyncio
import json
import os
import signal
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from realfleet.fleet import Fleet
from realfleet.kubeconfig import build_kubeconfig
from tests.fakes.faults import Faults, open_proxy
from tests.fakes.waiting import PATIENCE, until
from tests.kubectl.conftest import Both, Secured, open_secured
from tests.kubectl.running import Kubectl, stop
from tests.kubectl.test_rights_end import LOOP, open_subscription
from tests.kubectl.test_streams import SPDY

pytestmark = pytest.mark.real

END_SECONDS = 10.0
SHELL = ["exec", "box", "-c", "box", "--", "sh", "-c", LOOP]
STREAMS: dict[str, tuple[Any, dict[str, str], int, str]] = {
    "exec": (SHELL, {}, 1, "this server is shutting down: connect again"),
    "exec over SPDY": (SHELL, SPDY, 1, "this server is shutting down: connect again"),
    "logs": ("logs box -c box -f", {}, 1, "unexpected EOF"),
    "port-forward": ("port-forward pod/box :8080", {}, 1, "lost connection to pod"),
    "port-forward over SPDY": ("port-forward pod/box :8080", SPDY, 1, "lost connection to pod"),
    "watch": ("get pods -w -o name", {}, 0, ""),
}
"""kubectl's line and environment, the code that it exits with, and what it says."""


@dataclass(frozen=True)
class Stopped:
    """A server in front of the fleet, the line to whose cluster2 can be bad."""

    secured: Secured
    kubectl: Kubectl
    line: Faults

    async def is_unready(self) -> bool:
        url = f"{self.secured.ops_url}/readyz"
        async with aiohttp.ClientSession() as session, session.get(url) as answer:
            return answer.status == 503

    def terminate(self) -> float:
        os.kill(self.secured.server.pid, signal.SIGTERM)
        return time.monotonic()

    async def wait_ended(self) -> int:
        return await asyncio.wait_for(self.secured.server.process.wait(), PATIENCE)


@asynccontextmanager
async def open_stopped(fleet: Fleet, program: Path, folder: Path, **settings: str) -> AsyncIterator[Stopped]:
    member = fleet.cluster("cluster2")
    async with open_proxy(member.url) as (url, line):
        kubeconfig = folder / "kubeconfig"
        accesses = [fleet.cluster("cluster1").access, member.access._replace(url=url)]
        kubeconfig.write_text(build_kubeconfig(accesses))
        environment = fleet.environment(kubeconfig) | {"OPENMCP_CLUSTER_SOURCE": "kubeconfig", **settings}
        del environment["OPENMCP_HOST_CONTEXT"]
        async with open_secured(environment, folder) as secured:
            through = secured.write_kubeconfig(folder / "through", ["cluster1"])
            yield Stopped(secured, Kubectl(program, through, folder), line)


async def test_everything_that_is_open_is_finished_or_told(stage: Both, real_fleet: Fleet, tmp_path: Path) -> None:
    async with (
        open_stopped(real_fleet, stage.through.program, tmp_path, OPENMCP_SHUTDOWN_DRAIN="2s") as server,
        AsyncExitStack() as stack,
    ):
        processes = {}
        for name, (line, over, _, _) in STREAMS.items():
            processes[name] = process = await server.kubectl.start(line, **over)
            stack.push_async_callback(stop, process)
        socket = await stack.enter_async_context(open_subscription(server.secured, server.secured.token))
        for name, process in processes.items():
            assert process.stdout is not None
            assert await asyncio.wait_for(process.stdout.readline(), PATIENCE), name
        ends = {name: asyncio.create_task(process.communicate()) for name, process in processes.items()}
        closing = asyncio.create_task(read_close(socket))
        hung = [
            asyncio.create_task(ask_hung(server, target)) for target in ("clusters/cluster2/api/v1/pods", "graphql")
        ]
        server.line.black_hole = True
        await until(lambda: server.line.waiting > 0, what="a call that hangs")

        begin = server.terminate()
        await until(server.is_unready, what="the 503 of /readyz")
        assert time.monotonic() - begin < 1.0
        # Whoever has not noticed yet is still served, and told to go elsewhere by its next request.
        async with aiohttp.ClientSession() as session, session.get(server.secured.plain.url + "/healthz") as answer:
            assert (answer.status, answer.headers["Connection"]) == (200, "close")
        assert not any(end.done() for end in [*ends.values(), closing])

        assert await server.wait_ended() == 0
        assert time.monotonic() - begin < END_SECONDS
        for name, (_, _, code, words) in STREAMS.items():
            said = (await ends[name])[1].decode()
            assert (processes[name].returncode, words in said) == (code, True), (name, said)
        assert await closing == (1012, "the server is shutting down: subscribe again")
        passed_on, queried = [await one for one in hung]
        assert passed_on[0] == passed_on[1]["code"] == 503
        assert "this server is shutting down" in passed_on[1]["message"]
        assert queried == (200, {"data": {"resources": {"clusters": [{"name": "cluster2", "state": "TIMEOUT"}]}}})


async def read_close(socket: aiohttp.ClientWebSocketResponse) -> tuple[int | None, str]:
    while True:
        message = await socket.receive()
        if message.type is aiohttp.WSMsgType.CLOSE:
            return message.data, str(message.extra)


async def ask_hung(server: Stopped, target: str) -> tuple[int, Any]:
    async with aiohttp.ClientSession(headers={"Authorization": f"Bearer {server.secured.token}"}) as session:
        url = f"{server.secured.plain.url}/{target}"
        if target == "graphql":
            asked = 'resources(apiVersion: "v1", kind: "ConfigMap", filter: { clusters: ["cluster2"] })'
            query = f"{{ {asked} {{ clusters {{ name state }} }} }}"
            async with session.post(url, json={"query": query}) as answer:
                return answer.status, await answer.json(content_type=None)
        async with session.get(url, headers={"Accept": "application/json"}) as answer:
            return answer.status, json.loads(await answer.read())
