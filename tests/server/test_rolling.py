"""Servers behind nginx, restarted in turn under load: nobody notices."""

import asyncio
import getpass
import os
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiohttp
import pytest

from realfleet.fleet import Fleet
from tests.fakes.waiting import until
from tests.processes import RunningServer, free_port, open_server
from tests.required import need

pytestmark = pytest.mark.real

CLIENTS = 3
"""As many as one server takes of one user however busy the machine is: more may be refused, which is no fault here."""
NGINX = """
{user} daemon off; pid {folder}/pid; error_log {folder}/error.log; events {{}}
http {{
  access_log off; {temporary}
  upstream openmcp {{
    {servers}
    keepalive 32;
  }}
  server {{
    listen 127.0.0.1:{port};
    location / {{
      proxy_pass http://openmcp; proxy_http_version 1.1; proxy_set_header Connection "";
      add_header Served-By $upstream_addr;
    }}
  }}
}}
"""
QUERY = {"query": "{ pods(first: 5) { items { name } clusters { name state } } }"}


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

    async def start(self, number: int) -> None:
        port = self.ports[number]
        environment = {
            "OPENMCP_HOST": "127.0.0.1",
            "OPENMCP_PORT": str(port),
            "OPENMCP_OPS_PORT": "0",
            "OPENMCP_SHUTDOWN_DRAIN": "1s",
        }
        log = self.folder / f"{number}-{time.monotonic_ns()}.log"
        opened = open_server("serve", environment={**self._environment, **environment}, port=port, log=log)
        self.servers[number] = await self._stack.enter_async_context(opened)

    async def restart(self, number: int, load: Load) -> None:
        """Under load, and so that all servers are under load again when this returns."""
        self.servers[number].process.terminate()
        assert await self.servers[number].process.wait() == 0
        await self.start(number)
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
