"""Servers behind nginx, restarted in turn under load: nobody notices, and who follows something goes on."""

import asyncio
import getpass
import os
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import NoReturn

import aiohttp
import nats
import pytest
from websockets.exceptions import ConnectionClosed

from fleet.aio.tasks import open_task
from fleet.replication.records import NEWEST
from fleet.replication.subjects import Subjects
from realfleet.cluster import Cluster
from realfleet.fleet import Fleet
from realfleet.nats import NatsCluster
from tests.acceptance.subscribing import Held, Next, over_events, over_websocket
from tests.fakes.waiting import until
from tests.processes import COMMAND, RunningServer, free_port, open_server
from tests.required import need

pytestmark = pytest.mark.real

CLIENTS = 3
"""As many as one server takes of one user however busy the machine is: more may be refused, which is no fault here."""
NGINX = """
{user} daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}
http {{
  access_log off; {temporary}
  map $http_upgrade $connection_upgrade {{ default upgrade; '' ''; }}
  upstream openmcp {{
    {servers}
    keepalive 32;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://openmcp; proxy_http_version 1.1; proxy_buffering off;
      add_header Served-By $upstream_addr;
      proxy_set_header Upgrade $http_upgrade; proxy_set_header Connection $connection_upgrade;
    }}
  }}
}}
"""
QUERY = {"query": "{ pods(first: 5) { items { name } clusters { name state } } }"}


Program = Sequence[str | Path]
THIS: Program = (COMMAND,)
NEXT: Program = (
    sys.executable,
    "-c",
    "from fleet.replication import records; records.NEWEST += 1; from server.commands.main import main; main()",
)
"""The version after this one, whose messages this one can't read; it reads and writes this one's."""
POD = "rolling"
PODS = "/api/v1/namespaces/default/pods"
FOLLOWED = f"""subscription {{ podEvents(filter: {{ name: {{ startsWith: "{POD}" }} }}) {{
  type pod {{ namespace name labels {{ key value }} cluster {{ name }} }} }} }}"""


class Load:
    """Clients that ask without a pause over kept connections, by POST and by GET, and what they were answered."""

    def __init__(self, url: str, token: str) -> None:
        self.answered: Counter[str] = Counter()
        self.served: Counter[str] = Counter()
        self.url = url
        self.token = token
        self._headers = {"Authorization": f"Bearer {token}"}

    async def run(self) -> None:
        async with aiohttp.ClientSession(headers=self._headers) as session, asyncio.TaskGroup() as group:
            for number in range(CLIENTS):
                group.create_task(self._ask(session, by_post=number % 2 == 0))

    async def _ask(self, session: aiohttp.ClientSession, *, by_post: bool) -> None:
        method, path, body = "GET", "/api/v1/namespaces/shop/pods?clustername=cluster1&limit=2", None
        if by_post:
            method, path, body = "POST", "/graphql", QUERY
        while True:
            try:
                async with session.request(method, self.url + path, json=body) as answer:
                    text = await answer.text()
                whole = answer.status == 200 and ("errors" not in text) and ('"kind":"PodList"' in text or by_post)
                self.answered["whole" if whole else f"{method} {answer.status} {text[:300]}"] += 1
                self.served[answer.headers.get("Served-By", "")] += 1
            except aiohttp.ClientError as error:
                self.answered[f"{method} {error!r}"] += 1

    async def go_on(self, port: int) -> None:
        """Until the proxy has a server answer, as it does seconds after it last failed to."""
        served = f"127.0.0.1:{port}"
        before = self.served[served]
        await until(lambda: self.served[served] > before + 50, what=f"answers of {served}")


class Subscriber:
    """Who follows pods, and comes back whenever that ends."""

    def __init__(self, follow: Callable[..., AbstractAsyncContextManager[Next]], load: Load) -> None:
        self.resumed = 0
        self.wrong: list[str] = []
        self._held: Held | None = None
        self._follow, self._load = follow, load

    async def run(self) -> NoReturn:
        while True:
            # It ends by a close over a WebSocket, by a bare end over server-sent events.
            with suppress(ConnectionClosed, AssertionError):
                async with self._follow(self._load, self._load.token, FOLLOWED) as take:
                    self._held = Held(take)
                    await self._held.follow()
            self.resumed += 1
            self.wrong += self._held.wrong if self._held else []

    def turn(self, cluster: str) -> int:
        """The newest change that it has heard of, since it came back."""
        held = self._held.pods.get((cluster, "default", POD)) if self._held else None
        return max((int(each["value"]) for each in held["labels"] if each["key"] == "turn"), default=0) if held else 0


class Turns:
    """A pod of each member that is changed without a pause."""

    def __init__(self, members: Sequence[Cluster]) -> None:
        self.turn = 0
        self.members = members

    async def run(self) -> NoReturn:
        spec = {"containers": [{"name": "c", "image": "none"}]}
        manifest = {"metadata": {"name": POD, "labels": {"turn": "0"}}, "spec": spec}
        for member in self.members:
            await asyncio.to_thread(member.client.create, PODS, manifest)
        try:
            while True:
                change = {"metadata": {"labels": {"turn": str(self.turn + 1)}}}
                for member in self.members:
                    await asyncio.to_thread(member.client.merge, f"{PODS}/{POD}", change)
                self.turn += 1
                await asyncio.sleep(0.1)
        finally:
            for member in self.members:
                member.client.delete(f"{PODS}/{POD}")


@asynccontextmanager
async def open_nginx(folder: Path, ports: list[int]) -> AsyncIterator[str]:
    port = free_port()
    kinds = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    config = NGINX.format(
        user=f"user {getpass.getuser()};" if os.geteuid() == 0 else "",
        folder=folder,
        temporary="".join(f"{kind}_temp_path {folder}/{kind}; " for kind in kinds),
        servers=" ".join(f"server 127.0.0.1:{each} fail_timeout=1s;" for each in ports),
        port=port,
    )
    (folder / "nginx.conf").write_text(config)
    error_log = str(folder / "error.log")
    started = await asyncio.create_subprocess_exec(
        need("nginx"), "-p", str(folder), "-e", error_log, "-c", str(folder / "nginx.conf")
    )
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        started.terminate()
        await started.wait()


class Rolling:
    """Servers of one fleet, behind nginx and under load, of which each is restarted by itself."""

    def __init__(self, stack: AsyncExitStack, folder: Path, environment: Mapping[str, str], ports: list[int]) -> None:
        self.folder = folder
        self.ports = ports
        self.servers: dict[int, RunningServer] = {}
        self._stack = stack
        self._environment = environment

    async def start(self, number: int, program: Program = THIS) -> None:
        port = self.ports[number]
        environment = {
            "OPENMCP_HOST": "127.0.0.1",
            "OPENMCP_PORT": str(port),
            "OPENMCP_OPS_PORT": "0",
            "OPENMCP_SHUTDOWN_DRAIN": "1s",
        }
        log = self.folder / f"{number}-{time.monotonic_ns()}.log"
        opened = open_server(
            "serve", environment={**self._environment, **environment}, port=port, log=log, program=program
        )
        self.servers[number] = await self._stack.enter_async_context(opened)

    async def restart(self, number: int, load: Load, program: Program = THIS) -> None:
        """Under load, and so that all servers are under load again when this returns."""
        self.servers[number].process.terminate()
        assert await self.servers[number].process.wait() == 0
        await self.start(number, program)
        for port in self.ports:
            await load.go_on(port)


@asynccontextmanager
async def open_rolling(folder: Path, environment: Mapping[str, str], count: int) -> AsyncIterator[tuple[Rolling, Load]]:
    """Fails where a single request was not answered as it should be."""
    ports = [free_port() for _ in range(count)]
    async with AsyncExitStack() as stack:
        rolling = Rolling(stack, folder, environment, ports)
        await asyncio.gather(*(rolling.start(number) for number in range(count)))
        url = await stack.enter_async_context(open_nginx(folder, ports))
        load = Load(url, await rolling.servers[0].sign_in())
        loading = asyncio.create_task(load.run())
        try:
            for port in ports:
                await load.go_on(port)
            yield rolling, load
        finally:
            loading.cancel()
            await asyncio.wait([loading])
    assert set(load.answered) == {"whole"}, (load.answered, (folder / "error.log").read_text()[-2000:])


async def test_restarting_two_servers_in_turn_fails_no_request(real_fleet: Fleet, tmp_path: Path) -> None:
    async with open_rolling(tmp_path, real_fleet.environment(), 2) as (rolling, load):
        for number in (0, 1):
            await rolling.restart(number, load)


async def has_form(cluster: NatsCluster, form: int) -> bool:
    """Whether the last mark of each member's stream is in it."""
    running = [server.url for server in cluster.servers if server.process.is_running]
    async with await nats.connect(running) as client:
        streams = [Subjects("openmcp", member) for member in ("openmcp", "cluster1", "cluster2")]
        try:
            marks = [await client.jetstream().get_last_msg(each.stream, each.mark) for each in streams]
        except nats.errors.Error:  # while a stream has no leader
            return False
    return {mark.data[0] for mark in marks if mark.data} == {form}


async def test_replicas_of_two_versions_are_restarted_in_turn(
    real_fleet: Fleet, nats_cluster: NatsCluster, tmp_path: Path
) -> None:
    environment = real_fleet.environment() | {
        "OPENMCP_STATE": "nats",
        "OPENMCP_NATS_URL": nats_cluster.url,
        "OPENMCP_NATS_STREAM_REPLICAS": "3",
    }
    turns = Turns(real_fleet.members)
    async with open_rolling(tmp_path, environment, 3) as (rolling, load), AsyncExitStack() as stack:
        subscribers = [Subscriber(follow, load) for follow in (over_events, over_websocket)]
        for run in (turns.run, *(each.run for each in subscribers)):
            await stack.enter_async_context(open_task("rolling", run))
        # All are brought up, meanwhile without a server of NATS, and one goes back.
        for number, program, form in ((0, NEXT, 0), (1, NEXT, 0), (2, NEXT, 1), (0, THIS, 0)):
            await rolling.restart(number, load, program)
            await until(lambda: has_form(nats_cluster, NEWEST + form), what="the form of streams")  # noqa: B023
            if number == 1:
                await asyncio.to_thread(nats_cluster.servers[0].kill)
            made = turns.turn
            hear = [(each, member.name) for each in subscribers for member in turns.members]
            await until(lambda: all(each.turn(name) > made for each, name in hear), what="changes")  # noqa: B023
        assert [each.wrong for each in subscribers] == [[], []]
        assert all(each.resumed for each in subscribers)
