"""Subscriptions in front of a real fleet: pods that churn, a member that hangs, real logs, and an orderly end."""

import asyncio
import contextlib
import json
import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed

from realfleet.fleet import Fleet
from tests.acceptance.subscribing import Held, Next, open_socket, over_events, over_websocket
from tests.acceptance.test_ill_members import wait_for_state
from tests.acceptance.truth import list_columns
from tests.fakes.waiting import PATIENCE, until
from tests.fleet.cache.churn import NAMESPACE, open_churn
from tests.processes import COMMAND, RunningServer, free_port, open_server

pytestmark = pytest.mark.real

PODS = """subscription($f: PodFilter) {
  podEvents(filter: $f) { type pod { cluster { name } namespace name ready status restarts } }
}"""


@contextlib.asynccontextmanager
async def holding(server: RunningServer, token: str, **variables: Any) -> AsyncIterator[list[Held]]:
    """Two subscribers over each transport."""
    async with contextlib.AsyncExitStack() as stack:
        held = [
            Held(await stack.enter_async_context(opened(server, token, PODS, **variables)))
            for opened in (over_websocket, over_events, over_websocket, over_events)
        ]
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(one.follow()) for one in held]
            try:
                yield held
            finally:
                for task in tasks:
                    task.cancel()


async def until_as_kubectl_says(fleet: Fleet, held: list[Held]) -> None:
    async def is_told() -> bool:
        columns = await asyncio.to_thread(list_columns, fleet)
        told = [
            {key: (pod["ready"], pod["status"], str(pod["restarts"])) for key, pod in one.pods.items()} for one in held
        ]
        return all({key: row for key, row in one.items() if key[0] != "openmcp"} == columns for one in told)

    await until(is_told, what="what kubectl says", every=0.2)


@pytest.mark.parametrize("what", ["nothing", "a member that hangs", "a member that restarts"])
async def test_subscribers_end_with_what_kubectl_says_after(
    what: str, real_fleet: Fleet, served: RunningServer, token: str
) -> None:
    member = real_fleet.cluster("cluster1")
    async with holding(served, token) as held:
        churning = open_churn(member)
        churn = await asyncio.to_thread(churning.__enter__)
        try:
            await until(lambda: churn.changes >= 40)
            if what == "a member that hangs":
                await asyncio.to_thread(member.pause)
                await wait_for_state(served, token, member.name, "UNREACHABLE")  # it is given up
                await asyncio.to_thread(member.resume)
            elif what == "a member that restarts":
                await asyncio.to_thread(member.restart)
            wanted = churn.changes + 40
            await until(lambda: churn.changes >= wanted)
        finally:
            await asyncio.to_thread(churning.__exit__, None, None, None)
        await until_as_kubectl_says(real_fleet, held)
        assert [one.wrong for one in held] == [[]] * len(held)


async def test_an_event_of_a_filter_arrives_at_once(real_fleet: Fleet, served: RunningServer, token: str) -> None:
    name = f"{NAMESPACE}-one"
    async with over_websocket(served, token, PODS, f={"namespaces": ["default"], "name": {"eq": name}}) as take:
        await asyncio.to_thread(
            real_fleet.kubectl, "cluster2", "run", name, "-n", "default", "--image=none", "--restart=Never"
        )
        first = (await take())["data"]["podEvents"]
        assert (first["type"], first["pod"]["name"], first["pod"]["cluster"]["name"]) == ("ADDED", name, "cluster2")
        await asyncio.to_thread(real_fleet.kubectl, "cluster2", "delete", "pod", "-n", "default", name, "--now")
        seen: list[str] = []
        while not seen or seen[-1] != "DELETED":
            seen.append((await take())["data"]["podEvents"]["type"])
        assert set(seen[:-1]) <= {"MODIFIED"}


async def test_usage_is_followed_as_it_is_stored(real_fleet: Fleet, served: RunningServer, token: str) -> None:
    cluster, namespace, name = min(list_columns(real_fleet))
    query = """subscription($p: [PodRef!]) {
      usage(pods: $p, interval: "1s") { pod { name } usage { time cpuCores memoryBytes } }
    }"""
    ref = {"cluster": cluster, "namespace": namespace, "name": name}
    async with over_websocket(served, token, query, p=[ref]) as take:
        first, second = [(await take())["data"]["usage"] for _ in range(2)]
    assert first[0]["pod"] == second[0]["pod"] == {"name": name}
    assert first[0]["usage"]["time"] < second[0]["usage"]["time"]
    assert first[0]["usage"]["memoryBytes"] > 0  # an idle pod uses no CPU


async def test_a_real_log_is_followed(real_fleet: Fleet, served: RunningServer, token: str) -> None:
    cluster, namespace, name = min(list_columns(real_fleet))
    query = f"""subscription {{
      logs(cluster: "{cluster}", namespace: "{namespace}", pod: "{name}", tailLines: 3) {{ time container line }}
    }}"""
    said = await asyncio.to_thread(real_fleet.kubectl, cluster, "logs", "-n", namespace, name, "--tail=3")
    async with over_websocket(served, token, query) as take:
        lines = [(await take())["data"]["logs"]["line"] for _ in range(3)]
        assert lines == said.splitlines()
        with real_fleet.cluster(cluster).container_log.open("a") as log:
            log.write(f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%f}000Z stdout F said while it was followed\n")
        assert (await take())["data"]["logs"]["line"] == "said while it was followed"


@contextlib.asynccontextmanager
async def open_own_server(fleet: Fleet, folder: Path, **more: str) -> AsyncIterator[RunningServer]:
    """A server of this test alone."""
    port = free_port()
    environment = fleet.environment() | more
    environment |= {"OPENMCP_HOST": "127.0.0.1", "OPENMCP_PORT": str(port), "OPENMCP_OPS_PORT": str(free_port())}
    async with open_server("serve", environment=environment, port=port, log=folder / "serve.log") as server:
        yield server


async def take_all(take: Next) -> None:
    while True:
        await take()


async def test_a_server_that_is_stopped_ends_its_subscriptions(real_fleet: Fleet, tmp_path: Path) -> None:
    async with open_own_server(real_fleet, tmp_path) as server:
        token = await server.sign_in()
        async with open_socket(server, token, PODS) as socket, over_events(server, token, PODS) as take:
            await take()
            os.kill(server.pid, 15)
            with pytest.raises(AssertionError, match="the stream ended"):
                await take_all(take)
            async with asyncio.timeout(PATIENCE):
                with contextlib.suppress(ConnectionClosed):
                    while True:
                        await socket.recv()
        assert socket.close_code == 1012


async def run_user_command(users: Path, *arguments: str) -> None:
    process = await asyncio.create_subprocess_exec(
        COMMAND,
        "user",
        *arguments,
        "--file",
        str(users),
        env={"PATH": os.environ["PATH"], "OPENMCP_PASSWORD": "a long password"},
    )
    assert await process.wait() == 0


async def test_a_user_who_is_removed_loses_the_subscription(real_fleet: Fleet, tmp_path: Path) -> None:
    users = tmp_path / "users.yaml"
    await run_user_command(users, "add", "kim", "--role", "view")
    async with open_own_server(real_fleet, tmp_path, OPENMCP_USERS_FILE=str(users)) as server:
        token = await server.sign_in("kim", "a long password")
        async with open_socket(server, token, PODS) as socket:
            assert json.loads(await socket.recv())["type"] == "next"
            await run_user_command(users, "remove", "kim")
            async with asyncio.timeout(PATIENCE):
                with contextlib.suppress(ConnectionClosed):
                    while True:
                        assert json.loads(await socket.recv())["type"] == "next"
        assert socket.close_code == 4403
